"""The import rows of docs/architecture.md hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tetragon"
ROWS = {
    "errors": 0, "log": 0, "abi": 0, "model": 0,
    "kernel": 1, "procfs": 1,
    "policy": 2, "process": 2, "event": 2,
    "sensor": 3, "pipeline": 3, "reader": 3,
    "export": 4, "metrics": 4, "k8s": 4, "api": 4,
    "config": 5, "outputs": 5, "diagnostics": 5, "control": 5, "agent": 5, "cli": 6,
}  # fmt: skip
ALLOWED = {
    0: {0},
    1: {0},
    2: {0},
    3: {0, 1, 2, 3},
    4: {0, 2},
    5: {0, 1, 2, 3, 4, 5},
    6: {0, 2},
}


def imports(path: Path) -> Iterator[str]:
    """Yield the top package of ours of every import in a file, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "tetragon" and len(parts) > 1:
                yield parts[1]


def sources() -> list[Path]:
    """Return every module of the package, generated ones too."""
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_follow_the_rows(path: Path) -> None:
    """A module imports its own package and what its row may; nothing else of ours."""
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in ROWS, f"{own} has no row: add it here and to docs/architecture.md"
    for package in imports(path):
        if package in {own, "__version__"}:
            continue
        allowed = ALLOWED[ROWS[own]] | ({4} if own == "cli" and package == "api" else set())
        assert ROWS.get(package) in allowed, f"{path.name} of {own} imports {package}"
        neighbours = ROWS[own] == ROWS.get(package) and ROWS[own] in {1, 2, 4}
        assert not neighbours, f"{own} and {package} are neighbours"
