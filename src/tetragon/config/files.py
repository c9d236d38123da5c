"""Files: the places configuration is kept in, and what each gives; warnings for the rest.

Layout  ``dir/OPTION`` holds the value of OPTION, white space around it does not count; links are
        followed, directories (a ConfigMap's ``..data``) and names with a leading dot are not
        options. ``tetragon.yaml`` is one mapping of option to value.
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.config.given import Given, Layer, Rank, Warn
from tetragon.config.options import BY_NAME, OPTIONS, suggest
from tetragon.errors import ConfigError


class Roots(NamedTuple):
    """Where ``/etc`` and ``/usr`` are, and the working directory; tests pass their own."""

    system: Path = Path("/")
    working: Path = Path()

    @property
    def package_dirs(self) -> tuple[Path, ...]:
        """Drop-ins of a package, lowest first."""
        usr = self.system / "usr"
        return (usr / "lib/tetragon/tetragon.conf.d", usr / "local/lib/tetragon/tetragon.conf.d")

    @property
    def yaml_files(self) -> tuple[Path, ...]:
        """The YAML files, lowest first."""
        return (self.working / "tetragon.yaml", self.system / "etc/tetragon/tetragon.yaml")

    @property
    def admin_dir(self) -> Path:
        """Drop-ins of the administrator."""
        return self.system / "etc/tetragon/tetragon.conf.d"


HOST: Final = Roots()
"""The real ones."""


def read_default_files(roots: Roots, warn: Warn) -> Layer:
    """
    Read the default places, a higher one over a lower one; a missing one gives nothing.

    Raises:
        ConfigError: a YAML file is malformed or unreadable, or an option's text is not UTF-8.
    """
    layer: Layer = {}
    for directory in roots.package_dirs:
        layer |= _default_dir(directory, Rank.PACKAGE, warn)
    for file in roots.yaml_files:
        layer |= read_yaml_file(file)
    return layer | _default_dir(roots.admin_dir, Rank.FILE, warn)


def read_config_dir(directory: Path, origin: str, warn: Warn) -> Layer:
    """
    Read the directory of ``--config-dir``, which ``origin`` asked for.

    Raises:
        ConfigError: it cannot be listed, or an option's text is not UTF-8.
    """
    try:
        return _read_dir(directory, Rank.FILE, warn)
    except OSError as exc:
        raise ConfigError(
            f"{origin}: cannot read directory {str(directory)!r}: {exc.strerror}; "
            "give an existing directory with one file per option"
        ) from exc


def read_yaml_file(path: Path) -> Layer:
    """
    Read a YAML file, if there is one.

    Raises:
        ConfigError: it cannot be read, or is not one mapping of known options to values.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    from tetragon.config.yamlfile import read_yaml

    return read_yaml(content, str(path))


def read_variables(environ: Mapping[str, str], warn: Warn) -> Layer:
    """Read ``TETRAGON_*``; an empty variable counts as not set, a near miss is warned about."""
    layer: Layer = {}
    names = {name for name in environ if name.startswith("TETRAGON_") and environ[name]}
    for option in OPTIONS if names else ():
        if option.variable in names:
            names.discard(option.variable)
            origin = f"{option.variable} (--{option.name})"
            layer[option.name] = Given(environ[option.variable], origin, Rank.VARIABLE)
    for name in sorted(names):
        # Others may own such names (Kubernetes sets TETRAGON_SERVICE_HOST): only typos count.
        near = suggest(name.removeprefix("TETRAGON_"), cutoff=0.9)
        if near:
            warn(f"{name}: no such option, ignored; did you mean {BY_NAME[near].variable}?")
    return layer


def _default_dir(directory: Path, rank: Rank, warn: Warn) -> Layer:
    try:
        return _read_dir(directory, rank, warn)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        warn(f"{directory}: directory cannot be read, skipped: {exc.strerror}")
        return {}


def _read_dir(directory: Path, rank: Rank, warn: Warn) -> Layer:
    layer: Layer = {}
    for path in sorted(directory.iterdir()):
        text = None if path.name.startswith(".") else _read_option(path, warn)
        if text is not None:
            layer[path.name] = Given(text, str(path), rank)
    return layer


def _read_option(path: Path, warn: Warn) -> str | None:
    """Return the text of a drop-in; None for what is no option or cannot be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if path.name not in BY_NAME:
            near = suggest(path.name)
            hint = f"; did you mean {near}?" if near else ""
            warn(f"{path}: no such option, ignored{hint}")
            return None
        if not stat.S_ISREG(mode):
            warn(f"{path}: not a regular file, skipped")
            return None
        return path.read_bytes().decode().strip()
    except OSError as exc:
        warn(f"{path}: cannot be read, skipped: {exc.strerror}")
        return None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text (byte {exc.start})") from exc
