"""YAML file: its bytes in, the texts of its options out. Imported only when there is a file.

Scalars are kept as written, not as YAML types: ``export-file-perm: 0640`` stays octal text and
``rb-size: 64K`` needs no quotes; each option's own kind then reads it as everywhere else.
"""

from typing import Final

import yaml

from tetragon.config.given import Given, Layer, Rank
from tetragon.config.options import BY_NAME, Option, suggest
from tetragon.errors import ConfigError

_NULL: Final = "tag:yaml.org,2002:null"
"""Tag of nothing, ~ and null, unless quoted."""

_DEEPEST: Final = 50
"""Options are one level deep; more is only walked to say what is wrong where."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C one is in every wheel of PyYAML; a build without libyaml only lacks speed."""


def read_yaml(content: bytes, path: str) -> Layer:
    """
    Read the options in one YAML document.

    Raises:
        ConfigError: with file and line: not YAML, not a mapping, unknown or repeated option, or
            a value that is no scalar (a list of scalars for options that hold lists).
    """
    root = _compose(content, path)
    if root is None or root.tag == _NULL:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{_place(path, root)}: not a mapping of options, such as debug: true")
    layer: Layer = {}
    lines: dict[str, int] = {}
    for key, value in root.value:
        option = _option(key, path)
        if option.name in lines:
            first = lines[option.name]
            raise ConfigError(
                f"{_place(path, key)}: option {option.name} is given twice (first in line {first})"
            )
        lines[option.name] = key.start_mark.line + 1
        origin = f"{_place(path, key)}: {option.name}"
        layer[option.name] = Given(_text(option, value, origin), origin, Rank.FILE)
    return layer


def _compose(content: bytes, path: str) -> yaml.Node | None:
    try:
        text = content.decode()
        _check_depth(text, path)
        return yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path}: not YAML: {exc}") from exc


def _check_depth(text: str, path: str) -> None:
    """Refuse deep nesting first: libyaml's composer recurses without bound and would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"{path}:{line}: nested too deep")


def _option(key: yaml.Node, path: str) -> Option:
    if not isinstance(key, yaml.ScalarNode):
        raise ConfigError(f"{_place(path, key)}: an option's name must be plain text")
    option = BY_NAME.get(key.value)
    if option is None:
        near = suggest(key.value)
        hint = f"; did you mean {near}?" if near else ""
        raise ConfigError(f"{_place(path, key)}: unknown option {key.value!r}{hint}")
    return option


def _text(option: Option, value: yaml.Node, origin: str) -> str:
    if isinstance(value, yaml.ScalarNode):
        return "" if value.tag == _NULL else str(value.value).strip()
    items = value.value if isinstance(value, yaml.SequenceNode) and option.kind.many else None
    if items is None or not all(isinstance(item, yaml.ScalarNode) for item in items):
        found = "a list" if isinstance(value, yaml.SequenceNode) else "a mapping"
        found = "a list with other than plain values" if items is not None else found
        hint = _FILTER_HINT if option.kind.word == "filters" else ""
        raise ConfigError(f"{origin}: {found} is not accepted; give {option.kind.accepted}{hint}")
    return ",".join(str(item.value) for item in items)


_FILTER_HINT = ": JSON objects one after another, in a block that begins with |"


def _place(path: str, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
