"""The rate limit: exactly N a minute, N at once."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tetragon.export.limit import MINUTE, RateLimiter

SECOND = 1_000_000_000


def test_bucket_is_full_at_the_start() -> None:
    """A whole minute's events may come at once, and not one more."""
    limiter = RateLimiter(100, now=5)
    assert limiter.take(150, now=5) == 100
    assert limiter.take(1, now=5) == 0


def test_tokens_come_back_evenly() -> None:
    """60 a minute is one a second; half a second gives none."""
    limiter = RateLimiter(60, now=0)
    limiter.take(60, now=0)
    assert limiter.take(5, now=SECOND // 2) == 0
    assert limiter.take(5, now=SECOND) == 1
    assert limiter.take(5, now=4 * SECOND) == 3


def test_an_hour_of_silence_is_worth_one_minute() -> None:
    """The bucket holds no more than one minute's events."""
    limiter = RateLimiter(10, now=0)
    assert limiter.take(1000, now=60 * MINUTE) == 10


def test_a_limit_of_zero_lets_nothing_pass() -> None:
    """Zero is not the same as no limit."""
    limiter = RateLimiter(0, now=0)
    assert limiter.take(1, now=MINUTE) == 0
    assert limiter.report(MINUTE) == 1


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    """Time that runs backwards neither fills nor empties the bucket."""
    limiter = RateLimiter(60, now=10 * SECOND)
    limiter.take(60, now=10 * SECOND)
    assert limiter.take(1, now=0) == 0
    assert limiter.take(1, now=11 * SECOND) == 1


def test_drops_are_reported_once_a_minute() -> None:
    """The report tells every drop once, and is silent when there were none."""
    limiter = RateLimiter(1, now=0)
    limiter.take(8, now=0)
    assert limiter.report(MINUTE - 1) == 0
    assert limiter.report(MINUTE) == 7
    assert limiter.report(2 * MINUTE) == 0


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(0, 3 * MINUTE), st.integers(0, 500)), max_size=40),
)
def test_it_is_the_bucket_of_the_textbook(rate: int, steps: list[tuple[int, int]]) -> None:
    """Whatever the timing, it grants what an exact bucket in fractions grants."""
    limiter = RateLimiter(rate, now=0)
    level, now = Fraction(rate), 0
    for pause, wanted in steps:
        now += pause
        level = min(Fraction(rate), level + Fraction(pause * rate, MINUTE))
        expected = min(wanted, int(level))
        level -= expected
        assert limiter.take(wanted, now) == expected
