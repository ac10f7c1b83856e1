"""`moments contracts`: what is written from the declarations for others to read, and whether it is current."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from contracts.description import asyncapi_document, schema_documents
from contracts.templates import product_templates
from contracts.templates.page import templates_page
from services.cli.failures import Failed
from services.cli.options import ROOT

SCHEMAS = Path("contracts/schemas")


def documents() -> dict[Path, str]:
    """Every generated file: its place in the repository and its text."""
    schemas = {name: _json(document) for name, document in schema_documents().items()}
    return {
        Path("docs/templates.md"): templates_page(list(product_templates().values())),
        SCHEMAS / "asyncapi.json": _json(asyncapi_document()),
        **{SCHEMAS / name: text for name, text in schemas.items()},
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


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
