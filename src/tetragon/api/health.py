"""Health: the standard gRPC health service, for the name ``liveness``.

Owns    the current status; the loop's thread only
"""

import asyncio
from typing import Final

from tetragon.api.http2 import Call, Method
from tetragon.api.messages import HealthCheckRequest, HealthCheckResponse
from tetragon.api.wire import Code, enclose
from tetragon.errors import RpcError

_NAMES: Final = ("", "liveness")
_UNKNOWN_SERVICE: Final = 3
_SERVING, _NOT_SERVING = 1, 2


class HealthService:
    """Answers Check and Watch with what was last `set`; serving until then."""

    def __init__(self) -> None:
        self._status = _SERVING
        self._changed = asyncio.Event()

    def methods(self) -> dict[str, Method]:
        """Return both RPCs by path."""
        return {
            "/grpc.health.v1.Health/Check": Method(HealthCheckRequest, self._check),
            "/grpc.health.v1.Health/Watch": Method(HealthCheckRequest, self._watch),
        }

    def set(self, serving: bool) -> None:
        """Answer with this from now on, and tell those who watch."""
        status = _SERVING if serving else _NOT_SERVING
        if status != self._status:
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    async def _check(self, request: HealthCheckRequest, _: Call) -> HealthCheckResponse:
        if request.service not in _NAMES:
            raise RpcError(Code.NOT_FOUND, "unknown service")
        return HealthCheckResponse(status=self._status)

    async def _watch(self, request: HealthCheckRequest, call: Call) -> None:
        known = request.service in _NAMES
        while True:
            changed = self._changed
            status = self._status if known else _UNKNOWN_SERVICE
            await call.send(enclose(HealthCheckResponse(status=status).SerializeToString()))
            await changed.wait()
