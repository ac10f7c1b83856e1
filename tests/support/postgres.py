"""A private PostgreSQL cluster of the installed Debian package: own folder and port, loopback only."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.processes import free_ports, wait_until

_ROOT = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")


def _programs() -> Path | None:
    """The newest installed version's folder of programs."""
    found = [path.parent for path in _ROOT.glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name)) if found else None


def _unprivileged() -> pwd.struct_passwd | None:
    """The user a cluster runs as when we are root, which the server refuses."""
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((known[name] for name in _USERS if name in known), None)


def available() -> str | None:
    """None when a cluster can be started here, else what is missing."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian package postgresql)"
    if os.getuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return None


class PostgresNode:
    """One cluster in `folder`, which the user `postgres` must be able to reach when we are root.

    `kill` is SIGKILL; what was committed is there again after the next `start`.
    """

    def __init__(self, folder: Path) -> None:
        programs = _programs()
        if programs is None:
            raise RuntimeError(available())
        self._programs = programs
        self._version = int(programs.parent.name.split(".")[0])
        self._folder = folder
        self._data = folder / "data"
        self._user = _unprivileged() if os.getuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_ports(1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def start(self) -> None:
        """Make the cluster if it is new, start it and wait until it takes connections."""
        if not (self._data / "PG_VERSION").exists():
            self._run("initdb", "-D", str(self._data), "-U", "moments", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "logging_collector": "off",
            # What the server wrote outlives its SIGKILL in the system's memory; only a power cut would tell.
            "fsync": "off",
            # With hundreds of databases it would look into one every fraction of a second.
            "autovacuum": "off",
        }
        if self._version >= 14:
            # After a kill every file of every database is else synced by itself: with hundreds of databases, minutes.
            settings["recovery_init_sync_method"] = "syncfs"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._folder,
                **self._identity(),
            )
        wait_until(self._answers, f"PostgreSQL to start; see {self._folder}/output", timeout=60)

    def stop(self) -> None:
        """Stop at once in an orderly way (open sessions are ended)."""
        self._end(signal.SIGINT)

    def abandon(self) -> None:
        """Stop without keeping what was written last."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """SIGKILL the server and its children."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill if it runs, and start again on the same folder and port."""
        self.kill()
        self.start()

    def ensure_running(self) -> None:
        """Start unless it runs."""
        if self._server is None or self._server.poll() is not None:
            self.start()

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://moments@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        # Else each database is eight megabytes of log, all of which a start after a kill goes through.
        how = "strategy file_copy" if self._version >= 15 else ""
        self._run("psql", "-q", "-X", "-d", self.url(), "-c", f'create database "{name}" {how}')
        return self.url(name)

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at once; see {self._folder}/output")
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        children = _children(self._server.pid)
        if self._server.poll() is None:
            self._server.send_signal(how)
        try:
            self._server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        if how == signal.SIGKILL:
            for child in children:
                _kill(child)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "backends to end")
        self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._folder,
            timeout=60,
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _children(process: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
