"""A private RabbitMQ node of the installed Debian package: own folder, ports and port mapper, loopback only."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import free_ports, wait_until

_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_USER = "moments"
_REGISTERED_WITHIN = 6.0


def available() -> str | None:
    """None when a node can be started here, else what is missing."""
    if not (_SCRIPTS / "rabbitmq-server").exists():
        return "RabbitMQ is not installed (Debian package rabbitmq-server)"
    if shutil.which("erl") is None or shutil.which("epmd") is None:
        return "Erlang is not installed (Debian packages erlang-base and those that rabbitmq-server needs)"
    return None


class RabbitMQNode:
    """One node in `folder`. `kill` is SIGKILL; what was confirmed is there again after the next `start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, distribution, mapper = free_ports(3)
        (folder / "rabbitmq.conf").write_text(
            "\n".join(
                [
                    f"listeners.tcp.1 = 127.0.0.1:{self.port}",
                    f"default_user = {_USER}",
                    f"default_pass = {_USER}",
                    "disk_free_limit.absolute = 50MB",
                    "vm_memory_high_watermark.absolute = 2GB",
                    "log.file.level = warning",
                    "log.console = false",
                    "",
                ]
            )
        )
        (folder / "enabled_plugins").write_text("[].\n")
        self._environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"moments{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        self._mapper: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._vhosts: list[str] = []
        self._given_back: list[str] = []
        self._made = 0
        self._handed_out = -_REGISTERED_WITHIN

    def start(self) -> None:
        """Start and wait until the node takes connections."""
        if self._mapper is None or self._mapper.poll() is not None:
            self._mapper = subprocess.Popen(["epmd"], env=self._environment, stdin=subprocess.DEVNULL)
        with (self._folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [str(_SCRIPTS / "rabbitmq-server")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self._answers, f"RabbitMQ to start; see {self._folder}/output and log", timeout=90)

    def stop(self) -> None:
        """Stop the node in an orderly way, then its port mapper."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        self._end_session()
        if self._mapper is not None and self._mapper.poll() is None:
            self._mapper.kill()
            self._mapper.wait()
        self._mapper = None

    def kill(self) -> None:
        """SIGKILL the node and the processes it started, once it is settled."""
        self.settle()
        self.abandon()

    def settle(self) -> None:
        """Wait until the queues of the vhost that was handed out last are registered on the disk.

        RabbitMQ 3.10 keeps the registration of a new quorum queue in memory for a moment, and a kill within it leaves
        the queue without a leader for good.
        """
        time.sleep(max(0.0, self._handed_out + _REGISTERED_WITHIN - time.monotonic()))

    def abandon(self) -> None:
        """SIGKILL it at once. Vhosts not handed out yet may not survive that."""
        self._vhosts.clear()
        self._end_session()
        if self._server is not None:
            self._server.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP all its processes for a while: sockets stay open, nothing answers."""
        if self._server is None:
            raise RuntimeError("the node does not run")
        members = _session(self._server.pid)
        for process in members:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in members:
                with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                    os.kill(process, signal.SIGCONT)

    def restart(self) -> None:
        """Kill if it runs, and start again on the same folder and ports."""
        self.kill()
        self.start()

    def ensure_running(self) -> None:
        """Start unless it runs."""
        if self._server is None or self._server.poll() is not None:
            self.start()

    def url(self, vhost: str = "%2F") -> str:
        """The AMQP URL of a vhost."""
        return f"amqp://{_USER}:{_USER}@127.0.0.1:{self.port}/{vhost}"

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`, which takes a second or two; returns what it printed."""
        done = subprocess.run(
            [str(_SCRIPTS / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def fresh_vhost(self) -> str:
        """The name of a vhost that nobody used; they are made ten at a time."""
        if not self._vhosts:
            names = [f"v{self._made + n}" for n in range(10)]
            self._made += len(names)
            made = (
                f'rabbit_vhost:add(<<"{name}">>, <<"test">>), rabbit_auth_backend_internal:set_permissions('
                f'<<"{_USER}">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)'
                for name in names
            )
            self._evaluate(", ".join((*self._deletions(), *made)))
            self._vhosts = names[::-1]
        self._handed_out = time.monotonic()
        return self._vhosts.pop()

    def give_back(self, vhost: str) -> None:
        """Nobody uses it any more. It goes when others are made: each queue that stays costs time, also at rest."""
        self._given_back.append(vhost)

    def _deletions(self) -> Iterator[str]:
        """What deletes, beside all else, the vhosts that were given back; a kill may have done away with some."""
        while self._given_back:
            vhost = self._given_back.pop()
            yield f'spawn(fun() -> catch rabbit_vhost:delete(<<"{vhost}">>, <<"test">>) end)'

    def _evaluate(self, expression: str) -> None:
        """Evaluate Erlang in the node, by the program that Erlang brings: rabbitmqctl takes a hundred times as long."""
        program = shutil.which("erl_call")
        if program is None:
            self.ctl("eval", f"{expression}, done.")
            return
        done = subprocess.run(
            [program, "-sname", self._environment["RABBITMQ_NODENAME"], "-e"],
            env=self._environment,
            input=f"{expression}, done.\n",
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if done.stdout.strip() != "{ok, done}":
            raise RuntimeError(f"erl_call: {done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended at once; see {self._folder}/output")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _end_session(self) -> None:
        if self._server is None:
            return
        for process in _session(self._server.pid):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 5
        while _session(self._server.pid) and time.monotonic() < deadline:
            self._server.poll()
            time.sleep(0.01)


def _session(leader: int) -> list[int]:
    """The processes of a session: the node, its shell and its helpers (each helper has a group of its own)."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            fields = status.rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[3]) == leader:
                members.append(int(entry.name))
    return members
