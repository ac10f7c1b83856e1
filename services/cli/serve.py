"""`moments serve`: one service in the foreground; and how each service is started, for `up` too."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from services.cli.failures import Failed, Unreachable
from services.cli.options import ROOT, data_option, environment, settings_from, warn
from services.cli.rest import Client, NoAnswer
from services.cli.supervisor import Program, Supervisor, Wake
from shared.clock import SystemClock
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Served:
    """A service: its place after MOMENTS_PORT_BASE and its gunicorn threads; None for no HTTP."""

    port_offset: int | None
    threads: int = 4


SERVICES: Mapping[str, Served] = {
    "config": Served(0, threads=8),
    "ingestion": Served(1),
    "trigger": Served(2, threads=8),
    "trigger-worker": Served(None),
}


def port_of(service: str, port_base: int) -> int | None:
    """The port of a service, or None for the worker."""
    offset = SERVICES[service].port_offset
    return None if offset is None else port_base + offset


def url_of(host: str, port: int) -> str:
    """Where a service that listens on `host` is reached from this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def command_of(service: str, settings: Settings) -> tuple[str, ...]:
    """The command line that starts a service."""
    port = port_of(service, settings.port_base)
    if port is None:
        return (sys.executable, "-m", "services.trigger.worker")
    host, threads = settings.host, SERVICES[service].threads
    # Each stream holds a thread for as long as it is open.
    threads += {"trigger": settings.streams, "config": settings.live_pages}.get(service, 0)
    workers = settings.ingestion_workers if service == "ingestion" else 1
    return (
        *(sys.executable, "-m", "gunicorn", f"services.{service}.wsgi:application()"),
        *("--bind", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
        *("--worker-class", "shared.worker.PatientWorker", "--workers", str(workers), "--threads", str(threads)),
        *("--forwarded-allow-ips", ""),  # whom to believe is MOMENTS_TRUSTED_PROXIES' to say
        *("--no-control-socket", "--graceful-timeout", "8", "--keep-alive", "30", "--log-level", "warning"),
        *("--name", f"moments-{service}", "--chdir", str(ROOT)),
    )


def environment_of(service: str, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service; the processes of ingestion share an emptied folder for their metrics."""
    more = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if service == "ingestion":
        folder = settings.data / "metrics" / service
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        more["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        # Threads that take turns gain nothing from an arena each, and each keeps what the largest requests took.
        more["MALLOC_ARENA_MAX"] = environ.get("MALLOC_ARENA_MAX", "2")
    return {**environ, **more}


TRIGGER_REST = "trigger-rest"


@click.command()
@click.argument("service", type=click.Choice(["config", "ingestion", "trigger", TRIGGER_REST, "trigger-worker"]))
@click.option("--host", metavar="HOST", help="Listen on this address. [default: $MOMENTS_HOST, else 127.0.0.1]")
@click.option("--port-base", type=click.IntRange(1, 65533), metavar="PORT", help="config's port; the others follow.")
@data_option
def serve(service: str, host: str | None, port_base: int | None, data: str | None) -> None:
    """Run one service in the foreground, as a container or systemd does.

    config, ingestion and trigger listen on port base, +1 and +2 (8081 to 8083). trigger is two programs, the worker
    and its REST API; trigger-rest and trigger-worker run one of them alone.
    """
    environ = environment(data)
    if host:
        environ["MOMENTS_HOST"] = host
    if port_base:
        environ["MOMENTS_PORT_BASE"] = str(port_base)
    settings = settings_from(environ)
    os.chdir(ROOT)
    if service == "trigger":
        _serve_together(("trigger-worker", "trigger"), settings, environ)
        return
    program = "trigger" if service == TRIGGER_REST else service
    command = command_of(program, settings)
    os.execve(command[0], command, environment_of(program, settings, environ))  # noqa: S606 - there is no shell


def _serve_together(names: Sequence[str], settings: Settings, environ: Mapping[str, str]) -> None:
    """Run several programs in the foreground until a stop signal; one that crashes is started again."""
    clock = SystemClock()
    supervisor = Supervisor(clock, warn)
    with Wake() as wake:
        try:
            for name in names:
                more = environment_of(name, settings, environ)
                supervisor.add(
                    Program(name=name, command=command_of(name, settings), environment=more, folder=ROOT, log=None)
                )
            supervisor.run(wake)
        finally:
            supervisor.stop(wake)


@click.command(hidden=True)
@click.argument("service", type=click.Choice(list(SERVICES)), envvar="MOMENTS_SERVICE", required=False)
def healthy(service: str | None) -> None:
    """Exit with 0 when the service on this machine is ready, or all are: the check of a container."""
    settings = settings_from(environment())
    for name in SERVICES if service is None else (service,):
        _check_health(name, settings)


def _check_health(service: str, settings: Settings) -> None:
    port = port_of(service, settings.port_base)
    if port is None:
        return
    try:
        answer = Client(url_of(settings.host, port), timeout=4.0).call("GET", "/readyz")
    except NoAnswer as error:
        raise Unreachable(f"{service}: {error}") from error
    if answer.status != 200:
        raise Failed(f"{service} is not ready: {answer.reason()}")
