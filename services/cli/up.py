"""`moments up`: everything on this machine, supervised together (ARCHITECTURE §3.11)."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from contracts.times import SECOND
from services.cli import demo
from services.cli.failures import Conflict, Failed
from services.cli.options import ROOT, data_option, environment, settings_from
from services.cli.preflight import check_ports, reach_servers
from services.cli.rest import Client, NoAnswer, administration
from services.cli.serve import SERVICES, command_of, environment_of, port_of, url_of
from services.cli.supervisor import Program, Supervisor, Wake, ports_taken, tail
from shared.clock import Clock, SystemClock
from shared.settings import Settings

LOCK = "up.lock"
_MOST_CRASHES_AT_START = 4
_LONGEST_START = 120 * SECOND
_AGREEMENTS = 4


@contextmanager
def sole_user_of(folder: Path) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Hold the data folder's lock; gives a function that writes down who holds it. Raises Conflict when it is held."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise Failed(f"The data folder {folder} cannot be used: {error.strerror or error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(_held_by(lock.name, folder)) from None

        def note(holder: Mapping[str, object]) -> None:
            lock.seek(0)
            lock.truncate()
            lock.write(json.dumps(holder))
            lock.flush()

        note({"pid": os.getpid()})
        yield note
        lock.seek(0)
        lock.truncate()


def _held_by(lock: str, folder: Path) -> str:
    try:
        holder = json.loads(Path(lock).read_text(encoding="utf-8"))
    except ValueError:
        holder = {}
    process = f" (process {holder['pid']})" if "pid" in holder else ""
    where = f" at {holder['config']}" if "config" in holder else ""
    return (
        f"Moments already runs on the data folder {folder}{process}{where}. "
        "Stop it first, or give this one another folder and ports: --data FOLDER --port-base PORT."
    )


@dataclass(slots=True)
class Readiness:
    """Asks each service's /readyz until all have said yes often enough: each of their processes answers for itself."""

    urls: Mapping[str, str]
    agreed: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)

    def ask(self) -> bool:
        """Whether all are ready now; asks those that were not yet."""
        for name in self._waiting():
            self._ask(name, self.urls[name])
        return not self._waiting()

    def _ask(self, name: str, url: str) -> None:
        try:
            answer = Client(url, {"Connection": "close"}, timeout=2.0).call("GET", "/readyz")
        except NoAnswer as error:
            self.reasons[name] = str(error)
            return
        if answer.status == 200:
            self.agreed[name] += 1
        else:
            self.agreed[name] = 0
            self.reasons[name] = str((answer.document or {}).get("detail") or answer.reason())

    def missing(self) -> str:
        """Who is not ready, and why."""
        return "; ".join(f"{name}: {self.reasons.get(name, 'not asked yet')}" for name in self._waiting())

    def _waiting(self) -> list[str]:
        return [name for name in self.urls if self.agreed[name] < _AGREEMENTS]


@dataclass(slots=True)
class House:
    """One running installation."""

    settings: Settings
    folder: Path
    environ: Mapping[str, str]
    clock: Clock
    wake: Wake
    supervisor: Supervisor

    @property
    def urls(self) -> dict[str, str]:
        """Service → URL."""
        ports = {name: port_of(name, self.settings.port_base) for name in SERVICES}
        return {name: url_of(self.settings.host, port) for name, port in ports.items() if port is not None}

    def program(self, name: str, command: tuple[str, ...], more: Mapping[str, str], *, log: bool = True) -> Program:
        """A program with this house's environment, which logs into a file unless it speaks at the terminal."""
        path = self.folder / "logs" / f"{name}.log" if log else None
        return Program(name=name, command=command, environment={**self.environ, **more}, folder=ROOT, log=path)

    def start(self) -> None:
        """Start the services and wait until they are ready; raises Failed when one cannot start."""
        for name in SERVICES:
            more = environment_of(name, self.settings, {})
            self.supervisor.add(self.program(name, command_of(name, self.settings), more))
        readiness = Readiness(self.urls)
        until, tell_at = self.clock.now() + _LONGEST_START, self.clock.now() + 10 * SECOND
        while not self.wake.stops and not readiness.ask():
            self._watch_the_start()
            if self.clock.now() >= until:
                raise Failed(f"not ready after {_LONGEST_START // SECOND} s: {readiness.missing()}. Logs: {self.logs}")
            if self.clock.now() >= tell_at:
                say(f"Still waiting. {readiness.missing()}")
                tell_at += 10 * SECOND
            self.wake.wait(0.25)

    def _watch_the_start(self) -> None:
        for crash in self.supervisor.look_after():
            if crash.times >= _MOST_CRASHES_AT_START:
                log = self.logs / f"{crash.name}.log"
                raise Failed(f"{crash.name} does not start: it {crash.ending}.\nThe end of {log}:\n{tail(log)}")

    @property
    def logs(self) -> Path:
        """Where the services log."""
        return self.folder / "logs"


@click.command()
@click.option("--host", metavar="HOST", help="Listen on this address. [default: $MOMENTS_HOST, else 127.0.0.1]")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65533),
    metavar="PORT",
    help="config's port; ingestion has the next one, trigger the one after. [default: 8081]",
)
@click.option("--demo", "with_demo", is_flag=True, help="Also make a shop with running moments and send it visitors.")
@data_option
def up(host: str | None, port_base: int | None, with_demo: bool, data: str | None) -> None:
    """Start config, ingestion and trigger, and keep them running until Ctrl-C.

    Without further settings everything lies in the data folder: SQLite files, an embedded broker, keys and logs.
    MOMENTS_BROKER_URL=amqp://… and MOMENTS_DATABASE_URL=postgresql://… take RabbitMQ and PostgreSQL instead.

    \b
    Exit codes: 0 stopped by Ctrl-C or SIGTERM · 1 a service does not start · 2 wrong arguments ·
    3 RabbitMQ or PostgreSQL does not answer · 4 already running on this data folder, or a port is taken
    """
    changes = {"MOMENTS_HOST": host, "MOMENTS_PORT_BASE": port_base and str(port_base)}
    environ = environment(data, **{key: value for key, value in changes.items() if value})
    folder = Path(environ["MOMENTS_DATA"])
    clock = SystemClock()
    with Wake() as wake, sole_user_of(folder) as note:
        settings = settings_from(environ)
        check_ports(settings.host, settings.port_base, clock, wake)
        reach_servers(settings, clock, wake, say)
        if wake.stops:
            return
        environ.update(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
        if with_demo:
            environ.setdefault("MOMENTS_SAMPLE_SHOP", _shop_of(settings))
        supervisor = Supervisor(clock, say)
        house = House(settings, folder, environ, clock, wake, supervisor)
        note({"pid": os.getpid(), **house.urls})
        say(f"Starting Moments. Data in {folder}, logs in {house.logs}")
        try:
            house.start()
            if not wake.stops:
                _announce(house)
            if with_demo and not wake.stops:
                _start_demo(house)
            supervisor.run(wake)
            say("Stopping.")
        finally:
            supervisor.stop(wake)
        say("Stopped.")


def _announce(house: House) -> None:
    for name, url in house.urls.items():
        say(f"  {name:<12}{url}")
    say(f"  {'admin token':<12}{house.settings.admin_token}")
    link = _first_link(house)
    if link:
        say(f"  {'first user':<12}{link}")
        say("Open that link to make the first administrator of the app; it works once, for a day.")
    say("Ready. Ctrl-C stops.")


def _first_link(house: House) -> str:
    """The link for the first administrator; empty when there are users."""
    headers = {"Authorization": f"Bearer {house.settings.admin_token}", "Connection": "close"}
    try:
        answer = Client(house.urls["config"], headers).call("POST", "/api/v1/users/first-link", {})
    except NoAnswer:
        return ""
    return str(answer.document["url"]) if answer.status == 201 else ""


def _start_demo(house: House) -> None:
    made = demo.make_shop(administration(house.urls["config"], house.settings.admin_token))
    say(f"Demo: the shop {demo.SITE} with {' and '.join(made.moments)}. Moments as they fire:")
    moments = (sys.executable, "-m", "services.cli")
    watch = (*moments, "watch", "--quiet", "--queue", demo.QUEUE)
    traffic = (*moments, "demo-traffic", "--url", house.urls["ingestion"])
    house.supervisor.add(house.program("demo-journey", watch, {}, log=False))
    house.supervisor.add(house.program("demo-traffic", traffic, {"MOMENTS_DEMO_KEY": made.web_key}))
    _open_shop(house, made.web_key)


def _shop_of(settings: Settings) -> str:
    """Where browsers find the demo's own shop."""
    return f"http://{demo.SHOP_SITE}:{settings.port_base + demo.SHOP_AFTER}"


def _open_shop(house: House, key: str) -> None:
    """A shop to walk about in, beside the invented visitors; without it the demo goes on."""
    port, url = house.settings.port_base + demo.SHOP_AFTER, _shop_of(house.settings)
    if ports_taken("127.0.0.1", (port,)):
        say(f"The demo's own shop is not opened: port {port} is taken.")
        return
    shop = (sys.executable, "-m", "examples.shop", "--key", key, "--signals", house.urls["ingestion"])
    house.supervisor.add(house.program("demo-shop", (*shop, "--port", str(port)), {}))
    say(f"  {'shop':<12}{url}   (be a visitor: say who you are, fill a cart, leave)")


def say(text: str) -> None:
    """One line for the person at the terminal."""
    click.echo(text)
    sys.stdout.flush()
