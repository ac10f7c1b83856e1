"""`moments test`, `lint` and `bench`: what a developer and the CI run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import click

from services.cli.contained import docker_answers, run_in_container
from services.cli.failures import Failed
from services.cli.options import ROOT, warn

# What a suite needs: the module of tests.support that knows whether it is there, and its Debian packages.
SERVERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "RabbitMQ": ("tests.support.rabbitmq", ("rabbitmq-server",)),
    "PostgreSQL": ("tests.support.postgres", ("postgresql",)),
    "Chromium": ("tests.support.chromium", ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")),
    "axe-core": ("tests.support.axe", ("npm",)),
    "clients for Node": ("tests.support.npm", ("nodejs", "npm")),
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_SIDE_BY_SIDE = ("-n", "6", "--dist", "loadfile")
_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": True}


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a CI run, which must not skip anything."""
    return environ.get("CI", "").lower() in ("true", "1", "yes")


def missing_servers() -> dict[str, str]:
    """Server → why its tests cannot run here."""
    missing = {}
    for server, (module, _) in SERVERS.items():
        reason: str | None = import_module(module).available()
        if reason is not None:
            missing[server] = reason
    return missing


def _packages_of(servers: Mapping[str, str]) -> list[str]:
    return [package for server in servers for package in SERVERS[server][1]]


@contextmanager
def no_service_starts() -> Iterator[None]:
    """While packages are installed, keep Debian from starting their system services; ours are private."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def install(servers: Mapping[str, str]) -> None:
    """Install the Debian packages of servers; raises Failed."""
    packages = _packages_of(servers)
    if os.geteuid() != 0:
        raise Failed(f"--install-services needs root. Or install them yourself: sudo apt install {' '.join(packages)}")
    warn(f"Installing {' '.join(packages)} (apt; their system services are not started)")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        _apt(["update", "-qq"], environ)
        _apt(["install", "-y", "-qq", "--no-install-recommends", *packages], environ)


def _apt(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise Failed("--install-services works with apt (Debian, Ubuntu), which is not here.") from error
    if done.returncode:
        raise Failed(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _frame(lines: Sequence[str]) -> str:
    edge = "!" * 78
    return "\n".join([edge, *(f"! {line}" for line in lines), edge])


@click.command(context_settings=_PASSED_ON)
@click.option("--install-services", is_flag=True, help="Install the servers and Chromium by apt when missing (root).")
@click.option("--require-services", is_flag=True, help="Fail, instead of skipping, when a server is missing.")
@click.option("--compose", is_flag=True, help="Only build and walk docker-compose.yml; needs Docker.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(install_services: bool, require_services: bool, compose: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run the tests; what this command does not know is passed on to pytest.

    The tests start private RabbitMQ and PostgreSQL servers on free ports and stop them; those of the app drive
    Chromium. Where the programs are missing, the tests run in a container if Docker answers; else those suites are
    skipped, and told so. CI=true implies --install-services --require-services. The whole suite runs in six
    processes (most of it waits); with arguments, in one: -n says otherwise.

    \b
    Exit codes: 0 all passed · 1 a test failed, or a server is missing and required · 2 wrong arguments
    """
    if compose:
        sys.exit(
            _run("-m", "pytest", "tests/compose", "-p", "no:cacheprovider", *pytest_arguments, MOMENTS_COMPOSE="1")
        )
    ci = in_ci(os.environ)
    missing = missing_servers()
    if missing and (install_services or ci):
        install(missing)
        missing = missing_servers()
    if missing and docker_answers():
        warn(f"{' '.join(missing.values())}: running the tests in a container that has all")
        sys.exit(run_in_container(pytest_arguments))
    if missing:
        packages = " ".join(_packages_of(missing))
        advice = f"Install: sudo apt install {packages}   (or: ./moments test --install-services, as root)"
        if require_services or ci:
            raise Failed("\n".join([*missing.values(), advice]))
        notice = _frame([*missing.values(), "The tests that need them are SKIPPED.", advice])
        warn(notice)
    required = ("--require-services",) if require_services or ci else ()
    side_by_side = () if pytest_arguments else _SIDE_BY_SIDE
    code = _run("-m", "pytest", *required, *side_by_side, *pytest_arguments)
    if missing:
        warn(notice)
    sys.exit(code if code in (0, 2) else 1)


@click.command()
def lint() -> None:
    """Check style, formatting, types and import rules; all are run, the first failure does not stop the rest."""
    imports = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    steps: Mapping[str, tuple[str, ...]] = {
        "ruff check": ("-m", "ruff", "check", "."),
        "ruff format --check": ("-m", "ruff", "format", "--check", "."),
        "mypy": ("-m", "mypy"),
        "import rules": ("-c", imports),
    }
    failed = []
    for name, arguments in steps.items():
        warn(f"== {name}")
        if _run(*arguments):
            failed.append(name)
    if failed:
        raise Failed(f"not clean: {', '.join(failed)}")
    warn("All clean.")


@click.command(context_settings={**_PASSED_ON, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure throughput and fire lag beside the bare limits of this machine (--json, --quick, --help)."""
    sys.exit(_run("-m", "benchmarks", *arguments))


def _run(*arguments: str, **changes: str) -> int:
    """Run Python with arguments in the repository; its exit code. Ctrl-C reaches it too."""
    environ = {**os.environ, **changes}
    process = subprocess.Popen((sys.executable, *arguments), cwd=ROOT, env=environ)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
