"""A real installation for the shop log: `./moments up` on a broker and a store, its shops, its journey, its tables."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from contracts.signals import Signal, decode_signal
from shared.broker import connect_broker
from shared.clock import SystemClock
from tests.acceptance.program import MOMENTS, Up, environment, run
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQNode

CLOCK = SystemClock()
PATIENCE = 240.0
"""Seconds that something observable may take on a machine with much else to do."""

_CONFIGURATIONS = "/api/v1/audience-configurations"
_MOMENTS = "/api/v1/moments"


@dataclass(frozen=True, slots=True)
class Shop:
    """An audience configuration with an enabled server key, and a running Cart Abandon."""

    configuration: str
    moment: str
    key_id: str
    key: str


@dataclass(slots=True)
class Journey:
    """`./moments watch` on a durable queue. `seen`: (moment, event id) as printed, by each process that watched."""

    stack: Stack
    queue: str
    seen: list[list[tuple[str, str]]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Watch, also again after `kill`."""
        self._process = self.stack.begin("watch", "--json", "--type", "cart_abandon", "--queue", self.queue)
        self.seen.append([])
        threading.Thread(target=self._read, args=(self._process, self.seen[-1]), daemon=True).start()

    def kill(self) -> None:
        """SIGKILL: what was printed and not acknowledged comes again to the next process."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ids(self, shop: Shop) -> set[str]:
        """The ids of a shop's events that were seen so far."""
        return {event for events in self.seen for moment, event in events if moment == shop.moment}

    @staticmethod
    def _read(process: subprocess.Popen[str], seen: list[tuple[str, str]]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                event = json.loads(line)
                seen.append((event["data"]["moment"]["id"], event["id"]))


@dataclass(slots=True)
class Sending:
    """A running `./moments send --json`."""

    process: subprocess.Popen[str]
    signals: int

    def finish(self) -> dict[str, Any]:
        """Wait for its end; the summary it printed."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, f"send ended with {self.process.returncode}: {output}"
        summary: dict[str, Any] = json.loads(output)
        return summary


@dataclass(slots=True)
class Stack:
    """One installation. `node`: its RabbitMQ node, None for the embedded broker; `changes`: its environment."""

    name: str
    up: Up
    changes: dict[str, str]
    node: RabbitMQNode | None = None
    journey: Journey = field(init=False)
    _made: int = 0

    def __post_init__(self) -> None:
        self.journey = Journey(self, f"journey.{self.name}")

    def start(self) -> None:
        """Start everything and watch."""
        self.up.start(timeout=PATIENCE)
        self.journey.start()
        told = self.up.data / "logs" / "acceptance-watch.log"
        wait_until(lambda: "Watching" in told.read_text(encoding="utf-8"), "the journey to have its queue", PATIENCE)

    def stop(self) -> None:
        """Stop everything."""
        self.journey.kill()
        self.up.stop()

    def begin(self, *arguments: str, read: bool = True, **changes: str) -> subprocess.Popen[str]:
        """Start a command on this installation; with `read`, what it prints can be read; the rest goes to `logs`."""
        with (self.up.data / "logs" / f"acceptance-{arguments[0]}.log").open("a") as rest:
            return subprocess.Popen(
                [str(MOMENTS), *arguments],
                env=environment(**self.changes, MOMENTS_DATA=str(self.up.data), **changes),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read else rest,
                stderr=rest,
                text=True,
            )

    def make_shop(self, duration: str) -> Shop:
        """A new shop, known to trigger; ingestion learns the key while `send` begins."""
        self._made += 1
        config = self.up.client("config")
        audience = {"id": f"list-{self._made}", "name": "Customers", "idTypes": ["external"]}
        made = config.call("POST", _CONFIGURATIONS, {"name": f"Shop {self._made}", "audience": audience, "domains": []})
        assert made.status == 201, made.document
        configuration = made.document["id"]
        path = f"{_CONFIGURATIONS}/{configuration}/keys/server"
        keys = config.call("POST", f"{path}/regenerate", {}).document["keys"]
        key = next(each for each in keys if each.get("secret"))
        assert config.call("PATCH", path, {"enabled": True}).status == 200
        wanted = {"type": "cart_abandon", "name": "Cart", "audienceConfigurationId": configuration}
        answer = config.call("POST", _MOMENTS, {**wanted, "settings": {"duration": duration}})
        assert answer.status == 201, answer.document
        moment = answer.document["id"]
        assert config.call("POST", f"{_MOMENTS}/{moment}/status", {"status": "running"}).status == 200
        wait_until(lambda: self._knows(moment), f"trigger to know the moment {moment}", timeout=60)
        return Shop(configuration, moment, key["id"], f"{key['id']}:{key['secret']}")

    def send(self, shop: Shop, file: Path, speed: float) -> Sending:
        """Start sending a shop log."""
        where = ("--format", "rees46", "--key", shop.key, "--url", self.up.url("ingestion"), "--json")
        rows = len(file.read_text(encoding="utf-8").splitlines()) - 1
        return Sending(self.begin("send", str(file), *where, "--speed", f"{speed:g}"), rows)

    def children(self, program: str) -> list[int]:
        """The supervisor's children that run a program: one, or none between its end and its next start."""
        supervisor = json.loads((self.up.data / "up.lock").read_text(encoding="utf-8"))["pid"]
        return [pid for pid in children_of(supervisor) if program in _command_line(pid)]

    def kill(self, program: str) -> list[int]:
        """SIGKILL the supervisor's child that runs a program, and its own children; which processes those were."""
        killed = [each for child in self.children(program) for each in (child, *children_of(child))]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return killed

    def kill_and_see_restarted(self, program: str) -> None:
        """Kill it, and wait until the supervisor has started it again, which it does within 5 s."""
        killed = self.kill(program)
        assert killed
        line = self.up.line(lambda text: "was killed (SIGKILL) and starts again in" in text, PATIENCE)
        assert float(line.partition("starts again in ")[2].partition(" ")[0]) < 5
        wait_until(lambda: set(self.children(program)) - set(killed), f"{program} to start again", PATIENCE)

    def depth(self, name: str) -> int:
        """How many messages lie in a queue."""
        broker = connect_broker(self.changes.get("MOMENTS_BROKER_URL", f"embedded://{self.up.data}/broker.db"), CLOCK)
        try:
            return broker.depth(name)
        finally:
            broker.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read trigger's tables."""
        url = self.changes.get("MOMENTS_DATABASE_URL")
        if url is None:
            file = f"file:{self.up.data}/trigger.db?mode=ro"
            with closing(sqlite3.connect(file, uri=True, timeout=30)) as lite:
                return lite.execute(sql).fetchall()
        with psycopg.connect(url, options="-c search_path=moments_trigger") as connection:
            return connection.execute(sql.encode()).fetchall()

    def signals(self, shop: Shop) -> list[Signal]:
        """The shop's signals in trigger's log, in the order in which they were applied."""
        bodies = self.query("SELECT body FROM signals ORDER BY sequence")
        found = [decode_signal(bytes(body)) for (body,) in bodies]
        return [each for each in found if each.configuration == shop.configuration]

    def wait_for_signals(self, count: int) -> None:
        """Wait until trigger has applied so many signals in all."""
        wait_until(lambda: self.applied() >= count, f"{count} signals to be applied", timeout=PATIENCE)

    def applied(self) -> int:
        """How many signals trigger has applied."""
        return int(self.query("SELECT count(*) FROM signals")[0][0])

    def settle(self, shop: Shop, applied: int) -> None:
        """Wait until so many signals are applied in all, the shop's waits decided and their events published."""
        unsent = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"
        wait_until(lambda: self.up.ready("trigger"), "trigger to be ready", PATIENCE)
        self.wait_for_signals(applied)
        wait_until(lambda: self.ledger(shop)["pending"] == 0, "every wait to be decided", PATIENCE)
        wait_until(lambda: self.query(unsent)[0][0] == 0, "every event to be published", PATIENCE)

    def events(self, shop: Shop, outcome: str = "raised") -> list[dict[str, Any]]:
        """Every decided occurrence by trigger's REST API."""
        return list(self._pages(f"{_MOMENTS}/{shop.moment}/events?limit=50&outcome={outcome}"))

    def contradictions(self, shop: Shop) -> list[dict[str, Any]]:
        """Every contradiction by trigger's REST API."""
        return list(self._pages(f"{_MOMENTS}/{shop.moment}/contradictions?limit=50"))

    def ledger(self, shop: Shop) -> dict[str, Any]:
        """The moment's counters by trigger's REST API."""
        answer = self.up.client("trigger").call("GET", f"{_MOMENTS}/{shop.moment}/ledger")
        assert answer.status == 200, answer.document
        document: dict[str, Any] = answer.document
        return document

    def audit(self) -> list[dict[str, Any]]:
        """The differences that `./moments audit` finds."""
        done = run("audit", "--json", "--data", str(self.up.data), timeout=PATIENCE, **self.changes)
        differences: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
        assert done.returncode == bool(differences), done.stderr
        return differences

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = ""
        while cursor is not None:
            answer = self.up.client("trigger").call("GET", path + (f"&cursor={cursor}" if cursor else ""))
            assert answer.status == 200, answer.document
            yield from answer.document["items"]
            cursor = answer.document["next"]

    def _knows(self, moment: str) -> bool:
        return self.up.client("trigger").call("GET", f"{_MOMENTS}/{moment}/ledger").status == 200


def children_of(pid: int) -> list[int]:
    """The child processes of a process, whichever of its threads started them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(each) for each in task.read_text().split()]
        except OSError:
            continue
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
