"""Fixtures of the configuration's tests."""

from pathlib import Path

import pytest
from config_host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without any configuration."""
    return Host(tmp_path)
