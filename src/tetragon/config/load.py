"""Load: command line, environment and roots in; Settings, warnings and each value's source out.

Highest first: flags, ``TETRAGON_*``, ``--config-dir``, ``/etc/tetragon/tetragon.conf.d``,
``/etc/tetragon/tetragon.yaml``, ``./tetragon.yaml``, the drop-ins below ``/usr/local/lib`` and
``/usr/lib``, defaults. Only the text that wins is parsed. An empty one in a file clears what lower
sources gave: an empty text or list for options that hold those, else the default.

Owns    nothing: reads the files below its arguments, knows no other state.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tetragon.config.argv import Action, read_argv
from tetragon.config.checks import check
from tetragon.config.files import (
    HOST,
    Roots,
    read_config_dir,
    read_default_files,
    read_variables,
)
from tetragon.config.given import Given, Layer, Rank, Warn
from tetragon.config.options import BY_NAME, OPTIONS, Option
from tetragon.errors import ConfigError
from tetragon.model.settings import Settings


class Loaded(NamedTuple):
    """
    What was configured.

    Args:
        warnings: lines to log once logging works; each names its option and source.
        sources: field to the flag, variable or file that gave its value; defaults are absent.
        action: anything but RUN means: print ``help.answer(action, ...)`` and exit.
    """

    settings: Settings
    warnings: tuple[str, ...]
    sources: Mapping[str, str]
    action: Action


class Described(NamedTuple):
    """One option that is not as built in: its flag, value as text, and who gave it."""

    name: str
    value: str
    source: str


def load(argv: Sequence[str], environ: Mapping[str, str], roots: Roots = HOST) -> Loaded:
    """
    Read the whole configuration; ``argv`` lacks the program's name.

    Raises:
        ConfigError: something is malformed; the message names its source and what is accepted.
    """
    flags, action = read_argv(argv)
    if action is not Action.RUN:
        return Loaded(Settings(), (), {}, action)
    warnings: list[str] = []
    layer = _merge(flags, environ, roots, warnings.append)
    settings, sources = _parse(layer, warnings.append)
    settings = check(settings, warnings.append)
    action = Action.DOCS if settings.generate_docs else Action.RUN
    return Loaded(settings, tuple(warnings), sources, action)


def describe(settings: Settings, sources: Mapping[str, str]) -> Iterator[Described]:
    """Yield every option that was given or is not at its default, in the order of the table."""
    for option in OPTIONS:
        value = getattr(settings, option.field)
        source = sources.get(option.field)
        if source is not None or value != option.default:
            yield Described(option.name, option.kind.show(value), source or "follows from others")


def _merge(flags: Layer, environ: Mapping[str, str], roots: Roots, warn: Warn) -> Layer:
    """Lay the sources over each other; any of them may name the configuration directory."""
    variables = read_variables(environ, warn)
    layer = read_default_files(roots, warn)
    directory = (layer | variables | flags).get("config-dir")
    if directory is not None and directory.text:
        path = roots.working / directory.text
        layer |= read_config_dir(path, directory.origin, warn)
    return layer | variables | flags


def _parse(layer: Layer, warn: Warn) -> tuple[Settings, dict[str, str]]:
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    named: set[str] = set()
    for name, given in layer.items():
        option = BY_NAME[name]
        if _clears(option, given):
            continue
        values[option.field] = value = _value(option, given, warn)
        sources[option.field] = given.origin
        if given.rank is not Rank.PACKAGE:
            named.add(option.field)
        if not option.ready and (given.rank is Rank.FLAG or value != option.default):
            origin = "" if given.rank is Rank.FLAG else f" (from {given.origin})"
            warn(f"--{name}: accepted, not implemented yet, ignored{origin}")
    settings = msgspec.structs.replace(Settings(), settings_given=frozenset(named), **values)
    return settings, sources


def _clears(option: Option, given: Given) -> bool:
    return not given.text and not option.kind.blank and given.rank is not Rank.FLAG


def _value(option: Option, given: Given, warn: Warn) -> object:
    try:
        return option.kind.parse(given.text)
    except ValueError as exc:
        wrong = f"{given.origin}: {given.text!r} {exc}; give {option.kind.accepted}"
        if not option.lenient or given.rank is Rank.FLAG:
            raise ConfigError(wrong) from exc
        warn(f"{wrong}; using {option.kind.show(option.default)}")
        return option.default
