"""Help: the table of options in, text for people out: --help, --version, --generate-docs.

Own renderer because both argparse and click would have to be filled with the table first, and
neither groups, marks or wraps as wanted. Imported only when something is to be printed.
"""

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

from tetragon import __version__
from tetragon.config.argv import Action
from tetragon.config.options import OPTIONS, Group, Option

WIDEST: Final = 100
_NARROWEST: Final = 50
_COLUMN: Final = 34
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"

_TITLE: Final = "eBPF security observability and runtime enforcement"
_SOURCES: Final = (
    "Every option can also be given as variable TETRAGON_NAME (upper case, _ for -; empty counts "
    "as not set), as file NAME in a directory, or in YAML. Highest first: flags; variables; "
    "--config-dir; /etc/tetragon/tetragon.conf.d; /etc/tetragon/tetragon.yaml; ./tetragon.yaml; "
    "/usr/local/lib/tetragon/tetragon.conf.d; /usr/lib/tetragon/tetragon.conf.d."
)
_MARK: Final = "[planned]"
_LEGEND: Final = f"{_MARK} options are accepted and checked but have no effect yet."


def answer(action: Action, width: int = WIDEST, colour: bool = False) -> str:
    """Return what ``action`` prints, ending in a newline; RUN prints nothing."""
    if action is Action.HELP:
        return render_help(width, colour)
    if action is Action.VERSION:
        return f"tetragon v{__version__}\n"
    return render_docs() if action is Action.DOCS else ""


def fit(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, bool]:
    """Return width and colour for ``stream``: colour only on a terminal, never with NO_COLOR."""
    terminal = stream.isatty()
    width = shutil.get_terminal_size((WIDEST, 24)).columns if terminal else WIDEST
    plain = environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb"
    return width, terminal and not plain


def render_help(width: int, colour: bool) -> str:
    """Render ``--help`` for ``width`` columns (from 50 to 100 are used)."""
    width = min(max(width, _NARROWEST), WIDEST)
    lines = [
        *textwrap.wrap(f"tetragon: {_TITLE}", width),
        "",
        _heading("Usage", colour),
        "  tetragon [flags]",
        "",
        *textwrap.wrap(_SOURCES, width),
        "",
        *textwrap.wrap(_LEGEND, width),
    ]
    for group in Group:
        lines += ["", _heading(group.value, colour)]
        for option in OPTIONS:
            if option.group is group and not option.hidden:
                lines += _entry(_left(option), _right(option), width, option.ready or not colour)
        if group is Group.GENERAL:
            lines += _entry("-h, --help", "Print this text and exit.", width)
            lines += _entry("    --version", "Print the agent's version and exit.", width)
    return "\n".join(lines) + "\n"


def show_default(option: Option) -> str:
    """Return the default as text; empty for off, nothing or zero meaning default."""
    text = option.kind.show(option.default)
    return "" if text in ("", "false") else text


def _heading(text: str, colour: bool) -> str:
    return f"{_BOLD}{text}:{_PLAIN}" if colour else f"{text}:"


def _left(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    return f"{short}--{option.name} {option.kind.word}".rstrip()


def _right(option: Option) -> str:
    default = show_default(option)
    return (
        option.help
        + (f" (default {default})" if default else "")
        + ("" if option.ready else f" {_MARK}")
    )


def _entry(left: str, right: str, width: int, plain: bool = True) -> Iterator[str]:
    """Yield the lines of one option: the help beside the flag, or below a long one."""
    indent = " " * (_COLUMN if width >= 2 * _COLUMN else 10)
    head = f"  {left}"
    body = textwrap.wrap(right, width - len(indent), break_long_words=False)
    if len(head) + 2 <= len(indent):
        body[0] = head.ljust(len(indent)) + body[0]
        body[1:] = [indent + line for line in body[1:]]
    else:
        body = [head, *(indent + line for line in body)]
    yield from body if plain else (f"{_DIM}{line}{_PLAIN}" for line in body)


def render_docs() -> str:
    """Render the options as YAML: a list of name, default_value and usage, by name."""
    lines = [
        "name: tetragon",
        f"synopsis: {json.dumps(_TITLE)}",
        "usage: tetragon [flags]",
        "options:",
    ]
    for option in sorted(OPTIONS, key=lambda option: option.name):
        lines.append(f"  - name: {option.name}")
        if option.short:
            lines.append(f"    shorthand: {option.short}")
        default = option.kind.show(option.default)
        if default:
            lines.append(f"    default_value: {json.dumps(default)}")
        lines.append(f"    usage: {json.dumps(option.help)}")
        if not option.ready:
            lines.append("    implemented: false")
    return "\n".join(lines) + "\n"
