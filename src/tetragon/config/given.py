"""Given: the text somebody gave for an option, and where; what every source hands to load."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple


class Rank(IntEnum):
    """Kind of source a text came from, lowest first."""

    PACKAGE = 1
    """A drop-in below /usr: a distribution's default, not what the administrator named."""
    FILE = 2
    VARIABLE = 3
    FLAG = 4


class Given(NamedTuple):
    """One option's text; ``origin`` names flag, variable or file and line, and the option."""

    text: str
    origin: str
    rank: Rank


Layer = dict[str, Given]
"""What one source gives, by option name."""

Warn = Callable[[str], None]
"""Takes one warning line, to be logged once logging works."""
