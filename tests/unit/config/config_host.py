"""A host of one's own: the places configuration is read from, below a temporary directory."""

from collections.abc import Mapping
from pathlib import Path

from tetragon.config.files import Roots
from tetragon.config.load import Loaded, load


class Host:
    """Files to read configuration from, and what `load` makes of them."""

    def __init__(self, base: Path) -> None:
        self.roots = Roots(base / "root", base / "work")
        self.config_dir = base / "given"
        self.usr_lib, self.usr_local = self.roots.package_dirs
        self.working_yaml, self.etc_yaml = self.roots.yaml_files
        self.etc_dir = self.roots.admin_dir

    def option(self, directory: Path, name: str, text: str) -> Path:
        """Write a drop-in."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / name
        path.write_text(text)
        return path

    def yaml(self, text: str | bytes, path: Path | None = None) -> Path:
        """Write a YAML file, by default the one in /etc."""
        path = path or self.etc_yaml
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, *argv: str, environ: Mapping[str, str] | None = None) -> Loaded:
        """Load from these files alone."""
        return load(argv, environ or {}, self.roots)
