"""A real server on a socket file and a TCP port, and clients of several kinds."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from api_support import Call, Running, caller

from tetragon.api.client import Channel


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server."""
    started = Running(tmp_path)
    yield started
    started.server.stop(1)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Running]:
    """A server whose queues hold ten events."""
    started = Running(tmp_path, queue_size=10)
    yield started
    started.server.stop(1)


@pytest.fixture
def channel(running: Running) -> Iterator[Channel]:
    """Our own client on the socket file."""
    made = Channel(f"unix://{running.path}")
    yield made
    made.close()


@pytest.fixture
def google(running: Running) -> Iterator[Call]:
    """Google's client on the TCP port."""
    with grpc.insecure_channel(running.tcp) as made:
        yield caller(made)
