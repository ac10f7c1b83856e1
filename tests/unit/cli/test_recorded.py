"""Opening recorded logs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.cli.failures import Failed
from services.cli.recorded import opened

LINES = "event_time\ncafé\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_a_log_is_read_packed_or_not_with_a_byte_order_mark_or_without(
    tmp_path: Path, name: str, encoding: str
) -> None:
    data = LINES.encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

    with opened(path) as lines:
        assert list(lines) == ["event_time\n", "café\n"]


PACKED = gzip.compress(bytes(range(256)) * 9, mtime=0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("log.csv", b"\xff"),
        ("log.csv.gz", b"no gzip"),
        ("log.csv.gz", PACKED[:-20]),
        ("log.csv.gz", PACKED[:10] + b"\xff" * 40),
    ],
)
def test_what_cannot_be_read_is_told_with_its_name(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(Failed, match=f"{name} cannot be read as text"), opened(path) as lines:
        list(lines)
