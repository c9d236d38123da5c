"""Every: the time of day in, whether an interval is over out.

Owns    when it is over next; used by the thread that feeds the output. Time is an argument.
"""


class Every:
    """
    An interval that begins anew whenever it is over; the first begins at the first look.

    The clock may be set: the end is never further away than one interval.

    Args:
        interval: ns; 0 is never over.
    """

    __slots__ = ("_interval", "_next")

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._next: int | None = None

    def over(self, now: int) -> bool:
        """Tell, once for each interval, that it is over at ``now``."""
        if not self._interval:
            return False
        if self._next is not None and now < self._next <= now + self._interval:
            return False
        over = self._next is not None and now >= self._next
        self._next = now + self._interval
        return over
