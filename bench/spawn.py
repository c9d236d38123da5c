"""Cost of watching: a storm of posix_spawn with and without the agent, in one run.

Usage: spawn.py [--count 20000] [--width 4] [--rounds 3] [--sequential] [--agent PROGRAM [FLAG ...]]

Prints the time from start to ready, the load's time without and with the agent and their ratio,
the agent's CPU time per process (one exec and one exit), its memory, and whether an event was lost
or lacks its parent. With --agent, that program is measured instead of ours; it must take
--export-filename and log "Listening for events" when it is ready.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """The compiled load: run ``program`` ``count`` times, ``width`` at once."""

    spawner: Path
    program: Path
    count: int
    width: int

    def run(self) -> tuple[float, int]:
        """Return seconds of wall time and the spawner's pid."""
        command = [self.spawner, str(self.count), str(self.width), self.program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            seconds = float(process.stdout.read())
        return seconds, process.pid


def build(folder: Path, count: int, width: int) -> Load:
    """Compile the spawner and a program that only returns."""
    (folder / "nothing.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(
        ["cc", "-O2", "-static", "-o", folder / "nothing", folder / "nothing.c"], check=True
    )
    subprocess.run(["cc", "-O2", "-o", folder / "spawn", HERE / "spawn.c"], check=True)
    return Load(folder / "spawn", folder / "nothing", count, width)


class Agent:
    """An agent that writes JSON lines to ``file``."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.file = folder / "events.json"
        self.log = folder / "agent.log"
        before = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--export-filename={self.file}", "--export-file-max-size-mb=1000"],
                stdout=log,
                stderr=log,
            )
        while "Listening for events" not in self.log.read_text():
            if self.process.poll() is not None:
                sys.exit(f"the agent ended:\n{self.log.read_text()}")
            time.sleep(0.005)
        self.ready = time.monotonic() - before

    def cpu(self) -> float:
        """Return seconds of CPU time used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> float:
        """Return resident memory, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def settle(self) -> float:
        """Wait until the file no longer grows; return CPU time used until then."""
        size, same = -1, 0
        while same < 5:
            time.sleep(0.1)
            now = self.file.stat().st_size if self.file.exists() else 0
            same = same + 1 if now == size else 0
            size = now
        return self.cpu()

    def stop(self) -> float:
        """End it; return seconds that took."""
        before = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.monotonic() - before


def check(lines: list[dict[str, Any]], parents: set[int], expected: int) -> dict[str, int]:
    """Count what is missing of ``expected`` processes spawned by ``parents``."""
    execs, exits, orphans = set(), set(), 0
    for line in lines:
        event = line.get("process_exec") or line.get("process_exit")
        if event is None or event.get("parent", {}).get("pid") not in parents:
            orphans += event is not None and "parent" not in event
            continue
        (execs if "process_exec" in line else exits).add(event["process"]["exec_id"])
    return {
        "exec events": len(execs),
        "exit events": len(exits),
        "lost": 2 * expected - len(execs) - len(exits),
        "without parent": orphans,
    }


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Run the rounds and print the table."""
    load = build(folder, options.count, 1 if options.sequential else options.width)
    load.run()
    alone, watched, spent, parents = [], [], [], set()
    command = options.agent or [str(Path(sys.executable).parent / "tetragon"), "--server-address="]
    for _ in range(options.rounds):
        alone.append(load.run()[0])
        agent = Agent(command, folder)
        before, rss = agent.settle(), agent.rss()
        seconds, pid = load.run()
        parents.add(pid)
        watched.append(seconds)
        spent.append(agent.settle() - before)
        after = agent.rss()
        stopped = agent.stop()
    lines = [json.loads(line) for line in agent.file.read_text().splitlines()]
    found = check(lines, parents, options.count * options.rounds)
    each = statistics.median(spent) / options.count
    ratio = statistics.median(w / a for w, a in zip(watched, alone, strict=True))
    print(f"processes                    {options.count} x {options.rounds}, {load.width} at once")
    print(f"ready after                  {agent.ready:.2f} s; stopped in {stopped:.3f} s")
    print(f"load alone, watched          {min(alone):.2f} s, {min(watched):.2f} s")
    print(f"slowdown, median of pairs    {100 * (ratio - 1):.1f} %")
    print(
        f"agent CPU per exec+exit pair {1e6 * each:.1f} us ({2 / each:,.0f} events per CPU second)"
    )
    print(f"agent memory                 {rss:.1f} MiB after start, {after:.1f} MiB after the load")
    print("  ".join(f"{name}: {number}" for name, number in found.items()))


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequential", action="store_true", help="one at a time")
    parser.add_argument("--agent", nargs=argparse.REMAINDER, help="another agent and its flags")
    with tempfile.TemporaryDirectory() as folder:
        measure(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
