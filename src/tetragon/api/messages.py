"""Messages: the name of an API message in, its class out, from the committed descriptors.

``from tetragon.api.messages import Process`` makes the class at first use; `messages.pyi` types it.

Owns    one private descriptor pool, made at first use, so no other protobuf code in the process
        can clash with our file names. Safe on any thread.
Source  descriptors.binpb, generated from proto/ by scripts/gen_api.py
"""

import typing
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import RLock

PACKAGES = ("tetragon", "grpc.health.v1", "google.protobuf")
"""Where a bare name is looked up, in this order."""

_MADE: dict[str, typing.Any] = {}
"""Classes by full name: protobuf wants one class per message, however it is asked for."""

_MAKING = RLock()


def __getattr__(name: str) -> typing.Any:
    """Return the class or enum called ``name`` (without its package)."""
    if not name.startswith("_"):
        for package in PACKAGES:
            found = _find(f"{package}.{name}")
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def message_class(full_name: str) -> typing.Any:
    """Return the class of a message by its full name; KeyError when there is none."""
    with _MAKING:
        return _MADE.get(full_name) or _make(descriptor(full_name))


def descriptor(full_name: str) -> typing.Any:
    """Return the descriptor of a message by its full name; KeyError when there is none."""
    return _pool().FindMessageTypeByName(full_name)


def service(full_name: str) -> typing.Any:
    """Return the descriptor of a service by its full name; KeyError when there is none."""
    return _pool().FindServiceByName(full_name)


def _find(full_name: str) -> typing.Any:
    try:
        return message_class(full_name)
    except KeyError:
        pass  # not a message: perhaps an enum
    try:
        enum = _pool().FindEnumTypeByName(full_name)
    except KeyError:
        return None
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

    return EnumTypeWrapper(enum)


@cache
def _pool() -> typing.Any:
    """Return the pool with all our files in it."""
    pool: typing.Any = _implementation()[0]()
    for file in _files(Path(__file__).with_name("descriptors.binpb").read_bytes()):
        pool.AddSerializedFile(file)
    return pool


@cache
def _implementation() -> tuple[typing.Any, typing.Any]:
    """
    Return protobuf's descriptor pool class and its metaclass of messages.

    The C ones are taken where they live: the public modules around them import the pure Python
    implementation too, which costs more than all of the rest of this module.
    """
    try:
        upb: typing.Any = import_module("google._upb._message")
        return upb.DescriptorPool, upb.MessageMeta
    except (ImportError, AttributeError):
        public: typing.Any = import_module("google.protobuf.message_factory")
        pool: typing.Any = import_module("google.protobuf.descriptor_pool")
        return pool.DescriptorPool, public._GENERATED_PROTOCOL_MESSAGE_TYPE


def _make(described: typing.Any) -> typing.Any:
    """Make the class of a message, and of those it holds: protobuf finds them by itself later."""
    from google.protobuf.message import Message

    members = {"DESCRIPTOR": described, "__module__": __name__}
    made = _implementation()[1](described.name, (Message,), members)
    _MADE[described.full_name] = made
    for field in described.fields:
        held = field.message_type
        if held is not None and held.full_name not in _MADE:
            _make(held)
    return made


def _files(descriptor_set: bytes) -> Iterator[bytes]:
    """Split a FileDescriptorSet: only ``repeated FileDescriptorProto file = 1``."""
    at = 0
    while at < len(descriptor_set):
        at += 1  # the tag, always 0x0a
        size = shift = 0
        while True:
            byte = descriptor_set[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield descriptor_set[at : at + size]
        at += size
