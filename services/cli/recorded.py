"""Opening a recorded shop log."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from services.cli.failures import Failed
from services.cli.formats import Record


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The lines of a log, without a byte order mark; one ending in .gz is unpacked."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="") as lines
        ):
            yield lines
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise Failed(f"{path} cannot be read as text: {error}") from error


def limited(records: Iterator[Record], limit: int | None) -> Iterator[Record]:
    """The first `limit` records, or all."""
    for number, record in enumerate(records, start=1):
        yield record
        if number == limit:
            return
