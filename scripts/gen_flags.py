#!/usr/bin/env python3
"""Write docs/flags.md from the table of options; with --check, only tell whether it is fresh.

Flow    tetragon.config.options -> [gen_flags] -> docs/flags.md
"""

import sys
from pathlib import Path
from typing import Final

from tetragon.config.help import show_default
from tetragon.config.options import OPTIONS, Group, Option

TARGET: Final = Path(__file__).parent.parent / "docs" / "flags.md"

_INTRODUCTION: Final = """\
# Options of the agent

Made by `scripts/gen_flags.py` from `src/tetragon/config/options.py`; do not edit.

## Where options come from

Highest first; a source only overrides what it names.

| | source | form |
|---|---|---|
| 1 | command line | `--name value`, `--name=value`; switches `--name`, `--name=false`; `-d` |
| 2 | environment | `TETRAGON_NAME`: upper case, `_` for `-`; an empty variable counts as not set |
| 3 | `--config-dir` | directory with a file per option; a missing directory is an error |
| 4 | `/etc/tetragon/tetragon.conf.d/` | the same |
| 5 | `/etc/tetragon/tetragon.yaml` | `name: value` |
| 6 | `./tetragon.yaml` | in the working directory |
| 7 | `/usr/local/lib/tetragon/tetragon.conf.d/` | directory, for packages |
| 8 | `/usr/lib/tetragon/tetragon.conf.d/` | directory, for packages |
| 9 | built-in defaults | the tables below |

**Directories.** A file is named like the option and holds its value; white space around it does
not count. Links are followed; directories (such as a ConfigMap's `..data`) and names with a leading
dot are skipped. A file that is no option or cannot be read is skipped with a warning. So a
`.yaml` file in such a directory is not read.

**YAML.** One mapping of option to value. An unknown option, one given twice, and a mapping or list
where text is expected are errors with file and line. A value is taken as it is written:
`export-file-perm: 0640` and `udp-buffer-size: 64K` need no quotes.

**Empty values.** In a file an empty value clears what a lower source gave: text, addresses and
lists become empty, everything else returns to its default.

**Bad values** end the start with exit status 1 and one line that names flag, variable or file and
line, the value, and what is accepted. Outside the command line two options are lenient, warn and
use their default: LENIENT.

## How values are written

| kind | form |
|---|---|
| switch | `true`, `false`, also `1`, `0`, `t`, `f` and their capitals |
| size | bytes, or with K, M, G, T (1024 based; also `Ki`, `KB`, `KiB`; any case) |
| duration | `500ms`, `15s`, `1h2m3s`, `1.5s`, plain `0` |
| seconds | a whole number of seconds, or a duration |
| names, paths | commas between; in YAML also a list; repeating the flag adds |
| filters | JSON objects one after another |
| address | `host:port`, `:port`, `[IPv6]:port`; listeners of gRPC also `unix:///path` or `/path` |
| mode | octal |

Options marked *planned* are accepted and checked, and have no effect yet: one that is set gives one
warning at start.
"""

_ACTIONS: Final = (
    "\n## Actions\n\n"
    "| flag | what it does |\n|---|---|\n"
    "| `-h`, `--help` | Print all options and exit. |\n"
    "| `--version` | Print the agent's version and exit. |\n"
)


def main(argv: list[str]) -> int:
    """Write the file, or compare it; the exit status."""
    text = render()
    if "--check" not in argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET} is stale: run scripts/gen_flags.py", file=sys.stderr)
    return 1


def render() -> str:
    """Return the whole document."""
    lenient = ", ".join(f"`--{option.name}`" for option in OPTIONS if option.lenient)
    parts = [_INTRODUCTION.replace("LENIENT", lenient), _ACTIONS]
    for group in Group:
        rows = [_row(option) for option in OPTIONS if option.group is group]
        table = "| flag | value | default | what it does |\n|---|---|---|---|\n" + "".join(rows)
        parts.append(f"\n## {group.value}\n\n{table}")
    return "".join(parts)


def _row(option: Option) -> str:
    short = f"`-{option.short}`, " if option.short else ""
    word = _cell(option.kind.word or "switch")
    default = show_default(option)
    shown = f"`{default}`" if default else ""
    about = _cell(option.help) + ("" if option.ready else " *planned*")
    return f"| {short}`--{option.name}` | {word} | {shown} | {about} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*****", "`*****`")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
