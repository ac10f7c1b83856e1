"""What commands share: the data folder, the settings and who answers at which URL."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from contracts.templates import InvalidTemplate, use_templates
from services.cli.rest import checked_url
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
_OWN = "MOMENTS_TEMPLATES"

data_option = click.option("--data", metavar="FOLDER", help="The data folder. [default: $MOMENTS_DATA, else .moments]")


def environment(data: str | None = None, **changes: str) -> dict[str, str]:
    """The environment of this process with the data folder made absolute, and with changes."""
    folder = Path(data or os.environ.get("MOMENTS_DATA") or ".moments").expanduser().absolute()
    own = {_OWN: str(Path(os.environ[_OWN]).expanduser().absolute())} if os.environ.get(_OWN) else {}
    return {**os.environ, "MOMENTS_DATA": str(folder), **own, **changes}


def learn_templates() -> None:
    """Have this command know the operator's own templates; a wrong one ends it with exit code 2."""
    try:
        use_templates(settings_from(environment()).templates)
    except InvalidTemplate as error:
        raise click.UsageError(f"{_OWN}: {error}") from error


def settings_from(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment; a wrong one ends the command with exit code 2."""
    try:
        return Settings.from_environment(environ)
    except ValueError as error:
        raise click.UsageError(f"a setting is wrong: {error}") from error


class Url(click.ParamType[str]):
    """A URL of http or https."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The checked URL."""
        try:
            return checked_url(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that it cleans up."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(143)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def warn(text: str) -> None:
    """A line on the terminal that is not part of the output."""
    click.echo(text, err=True)
