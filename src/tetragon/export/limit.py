"""Rate limit: how many events want to go and the time in, how many may go out.

Owns    its tokens; used by the thread that feeds the output. Time is an argument.
"""

MINUTE = 60_000_000_000
"""One minute in ns: the unit of the limit, and how often drops are told."""


class RateLimiter:
    """
    A token bucket of ``per_minute`` events a minute; it starts full and holds a minute's worth.

    Args:
        per_minute: events a minute, 0 lets nothing pass.
        now: any steady clock in ns, the same as is given to ``take``.
    """

    __slots__ = ("_level", "_per_minute", "_since", "_unreported", "_updated")

    def __init__(self, per_minute: int, now: int) -> None:
        self._per_minute = per_minute
        # One token is MINUTE units, so that a ns adds the whole number per_minute: no rounding.
        self._level = per_minute * MINUTE
        self._updated = now
        self._since = now
        self._unreported = 0

    def take(self, wanted: int, now: int) -> int:
        """Return how many of ``wanted`` events may pass at ``now``; the others are dropped."""
        full = self._per_minute * MINUTE
        if now > self._updated:
            self._level = min(full, self._level + (now - self._updated) * self._per_minute)
            self._updated = now
        granted = min(wanted, self._level // MINUTE)
        self._level -= granted * MINUTE
        self._unreported += wanted - granted
        return granted

    def report(self, now: int) -> int:
        """Return, once a minute, how many were dropped since the last time; otherwise 0."""
        if now - self._since < MINUTE:
            return 0
        self._since = now
        dropped, self._unreported = self._unreported, 0
        return dropped
