"""Where datagrams go: names, addresses, and names that change their meaning."""

import socket
import threading
from collections.abc import Sequence

import pytest
from export_support import SECOND, wait_until

from tetragon.errors import ExportError
from tetragon.export.address import (
    Resolver,
    Target,
    destination,
    is_literal,
    system_resolve,
)


def target(address: str) -> Target:
    """Return an IPv4 target."""
    return Target(socket.AF_INET, (address, 514))


class Names:
    """A hosts file that a test can change."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    def __call__(self, _host: str, port: int) -> Sequence[Target]:
        """Look a name up."""
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [Target(socket.AF_INET, (address, port)) for address in self.addresses]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", Target(socket.AF_INET, ("127.0.0.1", 514))),
        ("::1", Target(socket.AF_INET6, ("::1", 514, 0, 0))),
        ("[::1]", Target(socket.AF_INET6, ("::1", 514, 0, 0))),
    ],
)
def test_addresses_are_taken_as_they_are(host: str, expected: Target) -> None:
    """IPv4, IPv6, IPv6 in brackets; and they are never looked up again."""
    resolver = Resolver(host, 514)
    assert resolver.target == expected
    for hour in range(3):
        assert resolver.tick(hour * 3600 * SECOND) is False
    assert is_literal(host)


def test_a_name_of_this_machine_is_resolved() -> None:
    """The system's own means find localhost."""
    assert system_resolve("localhost", 514)[0].address[0] in ("127.0.0.1", "::1")
    assert not is_literal("localhost")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_cannot_be_resolved_is_refused(host: str) -> None:
    """The error names the flag, the host, the reason and what to do."""

    def resolve(name: str, port: int) -> Sequence[Target]:
        if name.endswith(".invalid"):  # where a test may have no name server to ask
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return system_resolve(name, port)

    with pytest.raises(ExportError, match=r"--udp-output-address: cannot resolve '.*': .*give an"):
        Resolver(host, 514, resolve)


@pytest.mark.parametrize(
    ("host", "text"),
    [("h", "h:1"), ("1.2.3.4", "1.2.3.4:1"), ("::1", "[::1]:1"), ("[::1]", "[::1]:1")],
)
def test_destinations_are_written_with_brackets(host: str, text: str) -> None:
    """As other programs write host and port."""
    assert destination(host, 1) == text


def look(resolver: Resolver, now: int) -> bool:
    """Let a look happen at ``now``, wait for it, and return whether the target changed."""
    at_once = resolver.tick(now)
    resolver.join(5)
    return resolver.tick(now) or at_once


def test_a_name_is_followed_to_its_new_address() -> None:
    """Once an interval the name is looked up; a new address is taken."""
    names = Names("10.0.0.1")
    resolver = Resolver("log.example", 514, names, interval=60 * SECOND)
    resolver.tick(0)
    names.addresses = ("10.0.0.2",)
    assert look(resolver, 59 * SECOND) is False
    assert names.asked == 1
    assert look(resolver, 61 * SECOND) is True
    assert resolver.target == target("10.0.0.2")
    assert look(resolver, 62 * SECOND) is False
    assert names.asked == 2


def test_an_address_stays_while_the_name_still_means_it() -> None:
    """A name server that rotates its answers does not make the output wander."""
    names = Names("10.0.0.1", "10.0.0.2")
    resolver = Resolver("log.example", 514, names, interval=SECOND)
    resolver.tick(0)
    names.addresses = ("10.0.0.2", "10.0.0.1")
    assert look(resolver, 2 * SECOND) is False
    assert resolver.target == target("10.0.0.1")


def test_a_name_that_is_gone_keeps_its_last_address() -> None:
    """A name server that fails is counted and asked again; the output goes on."""
    names = Names("10.0.0.1")
    resolver = Resolver("log.example", 514, names, interval=SECOND)
    resolver.tick(0)
    names.addresses = ()
    for second in (2, 4):
        assert look(resolver, second * SECOND) is False
    assert resolver.failures == 2
    assert resolver.target == target("10.0.0.1")
    names.addresses = ("10.0.0.3",)
    assert look(resolver, 6 * SECOND) is True


def test_a_name_server_that_hangs_does_not_hold_up_the_feeder() -> None:
    """The look has its own thread; while it takes, no second one is started."""
    answer = threading.Event()
    started: list[int] = []

    def resolve(host: str, port: int) -> Sequence[Target]:
        if threading.current_thread() is not threading.main_thread():
            started.append(1)
            answer.wait()
        return [Target(socket.AF_INET, (host.replace("log", "10.0.0.1"), port))]

    resolver = Resolver("log", 514, resolve, interval=SECOND)
    resolver.tick(0)
    for second in range(2, 10):
        assert resolver.tick(second * SECOND) is False
    wait_until(lambda: started)
    answer.set()
    resolver.join(5)
    assert started == [1]


def test_a_clock_that_is_set_back_does_not_put_off_the_next_look() -> None:
    """The next look is never further away than one interval."""
    names = Names("10.0.0.1")
    resolver = Resolver("log.example", 514, names, interval=SECOND)
    resolver.tick(100 * SECOND)
    look(resolver, 1 * SECOND)
    assert names.asked == 1
    look(resolver, 2 * SECOND)
    assert names.asked == 2
