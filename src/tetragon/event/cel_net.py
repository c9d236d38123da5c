"""CEL addresses: the Kubernetes IP and CIDR functions, as declarations and implementations.

Values are those of the standard `ipaddress`: an IP is an address, a CIDR an interface (address and
prefix length).

Source  Kubernetes documentation, "Common Expression Language in Kubernetes", IP and CIDR libraries
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from operator import attrgetter
from typing import Any, Final

Ip = IPv4Address | IPv6Address
Cidr = IPv4Interface | IPv6Interface

IP: Final = "net.IP"
CIDR: Final = "net.CIDR"
"""Type names, as the checker and its messages have them."""


@lru_cache(maxsize=1024)
def parse_ip(text: str) -> Ip:
    """Return the address a text names; ValueError for zones and IPv4-mapped IPv6, too."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f'IP address "{text}" with zone value is not allowed')
        if address.ipv4_mapped is not None:
            raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


@lru_cache(maxsize=1024)
def parse_cidr(text: str) -> Cidr:
    """Return the network address a text names, host bits kept; ValueError for anything else."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit() or length != str(int(length)):
        raise ValueError(f'network address "{text}": expected an address, a slash and a length')
    parse_ip(address)
    return ip_interface(text)


def ip_text(address: Ip) -> str:
    """Return the canonical text of an address."""
    return address.compressed


def cidr_text(cidr: Cidr) -> str:
    """Return the canonical text of a network address."""
    return f"{cidr.ip.compressed}/{cidr.network.prefixlen}"


def contains_ip(cidr: Cidr, address: "Ip | str") -> bool:
    """Tell whether an address is in a network."""
    return (parse_ip(address) if isinstance(address, str) else address) in cidr.network


def contains_cidr(cidr: Cidr, other: "Cidr | str") -> bool:
    """Tell whether a network is within another."""
    inner = parse_cidr(other).network if isinstance(other, str) else other.network
    outer = cidr.network
    if inner.version != outer.version or inner.prefixlen < outer.prefixlen:
        return False
    return inner.network_address in outer


def _is(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_global_unicast(address: Ip) -> bool:
    if address in (IPv4Address(0), IPv4Address("255.255.255.255"), IPv6Address(0)):
        return False
    return not (address.is_loopback or address.is_multicast or address.is_link_local)


def _is_link_local_multicast(address: Ip) -> bool:
    if isinstance(address, IPv4Address):
        return int(address) >> 8 == 0xE00000
    return int(address) >> 112 & 0xFF0F == 0xFF02


def _masked(cidr: Cidr) -> Cidr:
    return ip_interface(cidr.network)


def _is_canonical(text: str) -> bool:
    return ip_text(parse_ip(text)) == text


def _is_ip(text: str) -> bool:
    return _is(parse_ip, text)


def _is_cidr(text: str) -> bool:
    return _is(parse_cidr, text)


# By function and argument types: result type, whether the first argument is the target of a member
# function, and the implementation.
FUNCTIONS: Final[Mapping[tuple[str, ...], tuple[str, bool, Callable[..., Any]]]] = {
    ("ip", "string"): (IP, False, parse_ip),
    ("ip", CIDR): (IP, True, attrgetter("ip")),
    ("isIP", "string"): ("bool", False, _is_ip),
    ("ip.isCanonical", "string"): ("bool", False, _is_canonical),
    ("family", IP): ("int", True, attrgetter("version")),
    ("isUnspecified", IP): ("bool", True, attrgetter("is_unspecified")),
    ("isLoopback", IP): ("bool", True, attrgetter("is_loopback")),
    ("isLinkLocalMulticast", IP): ("bool", True, _is_link_local_multicast),
    ("isLinkLocalUnicast", IP): ("bool", True, attrgetter("is_link_local")),
    ("isGlobalUnicast", IP): ("bool", True, _is_global_unicast),
    ("cidr", "string"): (CIDR, False, parse_cidr),
    ("isCIDR", "string"): ("bool", False, _is_cidr),
    ("containsIP", CIDR, IP): ("bool", True, contains_ip),
    ("containsIP", CIDR, "string"): ("bool", True, contains_ip),
    ("containsCIDR", CIDR, CIDR): ("bool", True, contains_cidr),
    ("containsCIDR", CIDR, "string"): ("bool", True, contains_cidr),
    ("prefixLength", CIDR): ("int", True, attrgetter("network.prefixlen")),
    ("masked", CIDR): (CIDR, True, _masked),
    ("string", IP): ("string", False, ip_text),
    ("string", CIDR): ("string", False, cidr_text),
}
