"""Command line: the words after the program's name in, the options they give out.

Written by hand over the table of options rather than with argparse or click: the same table also
reads variables and files, so either would only add a second description of each option; neither
parses ``--x=false`` or Go's booleans by itself; and click alone takes as long to import (10 ms) as
all of the configuration takes to import and load (11 ms, 5 of them pathlib; about 1 MB).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from tetragon.config.given import Given, Layer, Rank
from tetragon.config.options import BY_NAME, BY_SHORT, Option, suggest
from tetragon.errors import ConfigError


class Action(StrEnum):
    """What the agent is to do: run, or print something and exit."""

    RUN = "run"
    HELP = "help"
    VERSION = "version"
    DOCS = "generate-docs"


_ACTIONS: Final = {"--help": Action.HELP, "-h": Action.HELP, "--version": Action.VERSION}


def read_argv(argv: Sequence[str]) -> tuple[Layer, Action]:
    """
    Read the command line, program name left out.

    Raises:
        ConfigError: unknown flag, flag without its value, or a word that is no flag.
    """
    layer: Layer = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in _ACTIONS:
            return layer, _ACTIONS[word]
        if word == "--" and not words:
            break
        flag, equals, text = word.partition("=")
        option = _find(flag, word)
        if not equals:
            text = _next(option, words)
        _give(layer, option, text)
    return layer, Action.RUN


def _find(flag: str, word: str) -> Option:
    if flag.startswith("--"):
        option = BY_NAME.get(flag[2:])
    elif flag.startswith("-"):
        option = BY_SHORT.get(flag[1:])
    else:
        raise ConfigError(f"unexpected argument {word!r}: options begin with --")
    if option is None:
        near = suggest(flag.lstrip("-"))
        raise ConfigError(f"unknown flag: {flag}" + (f"; did you mean --{near}?" if near else ""))
    return option


def _next(option: Option, words: list[str]) -> str:
    """Take the value of a flag written without ``=`` off the remaining words."""
    if not option.kind.word:
        if words and not words[0].startswith("-"):
            raise ConfigError(
                f"unexpected argument {words[0]!r} after --{option.name}: "
                f"write --{option.name}={words[0]}"
            )
        return "true"
    if not words or _is_flag(words[0]):
        raise ConfigError(
            f"flag needs an argument: --{option.name}; give {option.kind.accepted}"
            + (f" (found {words[0]!r})" if words else "")
        )
    return words.pop(0)


def _is_flag(word: str) -> bool:
    return word.startswith("--") and word[2:].partition("=")[0] in BY_NAME


def _give(layer: Layer, option: Option, text: str) -> None:
    before = layer.get(option.name)
    if before is not None and option.kind.many:
        text = f"{before.text},{text}"
    layer[option.name] = Given(text, f"--{option.name}", Rank.FLAG)
