"""Resources: what the process uses, beyond what prometheus-client reads; metric families out.

Source  /proc/self/net/netstat (proc(5)): the network namespace's IP octets
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_NETSTAT: Final = Path("/proc/self/net/netstat")


class NetworkCollector(Collector):
    """Bytes received and sent by the network namespace of the agent."""

    def __init__(self, path: Path = _NETSTAT) -> None:
        self._path = path

    def collect(self) -> Iterable[Metric]:
        """Read both counters; none where the kernel does not show them."""
        try:
            octets = _extensions(self._path.read_text())
        except OSError:
            return
        for name, key in (("receive", "InOctets"), ("transmit", "OutOctets")):
            if key in octets:
                yield CounterMetricFamily(
                    f"process_network_{name}_bytes",
                    "Bytes of IP packets in the agent's network namespace.",
                    value=octets[key],
                )


def _extensions(netstat: str) -> Mapping[str, int]:
    """Return the IpExt counters: one line has their names, the next their values."""
    rows = [line.split()[1:] for line in netstat.splitlines() if line.startswith("IpExt:")]
    return dict(zip(rows[0], map(int, rows[1]), strict=True)) if len(rows) == 2 else {}
