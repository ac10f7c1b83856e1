"""`moments contracts`: what is written from the declarations for others to read, and whether it is current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from contracts.templates import product_templates
from contracts.templates.page import templates_page
from services.cli.failures import Failed
from services.cli.options import ROOT


def documents() -> dict[Path, str]:
    """Every generated file: its place in the repository and its text."""
    return {Path("docs/templates.md"): templates_page(list(product_templates().values()))}


@click.command()
@click.option("--write", is_flag=True, help="Write the files that differ. [default: only check]")
def contracts(write: bool) -> None:
    """Check that the generated documents are those of the declarations, or write them.

    Exit code 1 when one differs and --write was not given.
    """
    stale = dict(_stale(documents()))
    for path, text in stale.items():
        if write:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
        click.echo(f"{'written' if write else 'not current'}: {path}")
    if stale and not write:
        raise Failed("Run `./moments contracts --write` and commit what it changed.")
    if not stale:
        click.echo("All generated documents are current.")


def _stale(wanted: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    for path, text in wanted.items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            yield path, text
