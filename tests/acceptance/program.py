"""A running `./moments up`, and single commands, for acceptance tests."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from services.cli.rest import Client, NoAnswer
from tests.support.processes import stretched, wait_until

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = ROOT / "moments"


def environment(**changes: str) -> dict[str, str]:
    """The environment without settings that a developer may have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MOMENTS_")} | changes


def run(*arguments: str, timeout: float = 240, **changes: str) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [str(MOMENTS), *arguments],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@dataclass(slots=True)
class Up:
    """`./moments up` on a data folder of its own. `seen` are the lines printed so far."""

    data: Path
    port_base: int
    options: tuple[str, ...] = ()
    changes: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    _lines: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)
    _process: subprocess.Popen[str] | None = None

    def start(self, timeout: float = 60) -> None:
        """Start and wait until it says that it is ready."""
        self.begin()
        self.line(lambda line: line.startswith("Ready"), timeout)

    def begin(self) -> None:
        """Start."""
        self._process = subprocess.Popen(
            [str(MOMENTS), "up", "--data", str(self.data), "--port-base", str(self.port_base), *self.options],
            env=environment(**self.changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    def line(self, wanted: Callable[[str], object], timeout: float = 30) -> str:
        """The next printed line that is wanted; the time allowed is from line to line."""
        while True:
            try:
                line = self._lines.get(timeout=stretched(timeout))
            except queue.Empty:
                line = None
            if line is None:
                raise TimeoutError("the line did not come; printed so far:\n" + "\n".join(self.seen))
            self.seen.append(line)
            if wanted(line):
                return line

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the supervisor alone and wait for its end; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=stretched(30))

    def stop(self) -> int:
        """Stop it, when it runs; its exit code."""
        assert self._process is not None
        return self._process.poll() if self._process.poll() is not None else self.signal(signal.SIGINT)  # type: ignore[return-value]

    def url(self, service: str) -> str:
        """Where a service listens."""
        return f"http://127.0.0.1:{self.port_base + ('config', 'ingestion', 'trigger').index(service)}"

    def client(self, service: str) -> Client:
        """The REST API of a service with the admin token."""
        token = (self.data / "admin-token").read_text().strip()
        return Client(self.url(service), {"Authorization": f"Bearer {token}", "Connection": "close"})

    def ready(self, service: str) -> bool:
        """Whether /readyz says so."""
        try:
            return self.client(service).call("GET", "/readyz").status == 200
        except NoAnswer:
            return False

    def wait_until_ready(self, service: str) -> None:
        """Wait for /readyz."""
        wait_until(lambda: self.ready(service), f"{service} to be ready", timeout=30)

    def processes(self, part: str = "") -> list[int]:
        """Living processes of this installation, those with `part` in their command line; the parents first."""
        return sorted(
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and self._is_ours(entry) and part in _text(entry / "cmdline")
        )

    def _is_ours(self, entry: Path) -> bool:
        alive = _text(entry / "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])
        ours = f"MOMENTS_DATA={self.data}" in _text(entry / "environ").split("\0")
        return alive and (ours or f"--data\0{self.data}\0" in _text(entry / "cmdline"))

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line.rstrip("\n"))
        lines.put(None)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
