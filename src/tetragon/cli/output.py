"""Output: rows in, aligned columns out."""

import unicodedata
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], padding: int = 3) -> list[str]:
    """Return a line per row, columns ``padding`` blanks apart; the last one is not padded."""
    columns = max((len(row) for row in rows), default=0)
    widths = [
        max((_width(row[at]) for row in rows if at < len(row) - 1), default=0) + padding
        for at in range(columns)
    ]
    return [
        "".join(
            cell if at == len(row) - 1 else cell + " " * (widths[at] - _width(cell))
            for at, cell in enumerate(row)
        )
        for row in rows
    ]


def _width(text: str) -> int:
    return sum(not unicodedata.combining(char) for char in text)


def decimal_bytes(count: int) -> str:
    """Return a number of bytes in steps of 1000: ``999 B``, ``4.46 MB``."""
    if count < 1000:
        return f"{count} B"
    value, power = float(count), 0
    while value >= 1000 and power < len("kMGTPE"):
        value, power = value / 1000, power + 1
    return f"{value:.2f} {'kMGTPE'[power - 1]}B"
