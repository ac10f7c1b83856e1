"""What was read of the log, sorted by profile in files of the disk: memory is needed for one file at a time."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

_HEADER = struct.Struct("<qqqBI")
"""Profile number, place in the log, receivedAt of a signal, kind, length of the body."""
_SPAN = 2**64
_LARGEST = 32_000_000
"""Bytes of a file that is read at once; a larger one is split."""
_BUFFER = 65_536
_PARTS = 16

SIGNAL, DECISION, RETIMED = 0, 1, 2


class Record(msgspec.Struct, frozen=True, gc=False):
    """One thing of a profile: a signal's body, or what happened between signals. `place`: in the log."""

    place: int
    received_at: int
    kind: int
    body: bytes


class Shards:
    """Files without a name, which vanish with the process. Profiles lie in them by their number, which is a hash."""

    def __init__(self, folder: Path, count: int, *, low: int = -(2**63), span: int = _SPAN):
        self._folder = folder
        self._low = low
        self._span = span
        self._files: list[IO[bytes]] = []
        self._open = ExitStack()
        for _ in range(count):
            file = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115 - closed with the stack
            self._files.append(self._open.enter_context(file))
        self._count = count

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def add(self, profile: int, place: int, received_at: int, kind: int, body: bytes) -> None:
        """Append a record; those of a profile come in the order of their places."""
        file = self._files[(profile - self._low) * self._count // self._span]
        file.write(_HEADER.pack(profile, place, received_at, kind, len(body)) + body)

    def groups(self) -> Iterator[list[Record] | Stream]:
        """The records of one profile number after the other; a file's place on the disk is free when it is done."""
        for file in self._files:
            file.flush()
            size = os.fstat(file.fileno()).st_size
            if size <= _LARGEST:
                yield from _sorted(file)
            else:
                yield from self._split(file)
            file.close()

    def _split(self, file: IO[bytes]) -> Iterator[list[Record] | Stream]:
        """A file that is too large, in parts; one of a single profile as a stream."""
        first, last = _bounds(file)
        if first == last:
            yield Stream(file)
            return
        with Shards(self._folder, _PARTS, low=first, span=last - first + 1) as parts:
            for profile, record in _read(file):
                parts.add(profile, record.place, record.received_at, record.kind, record.body)
            yield from parts.groups()


class Stream:
    """The records of a profile that has too many to hold, read from the disk each time."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    def __iter__(self) -> Iterator[Record]:
        return (record for _, record in _read(self._file))


def _read(file: IO[bytes]) -> Iterator[tuple[int, Record]]:
    file.flush()
    file.seek(0)
    while header := file.read(_HEADER.size):
        profile, place, received_at, kind, length = _HEADER.unpack(header)
        yield profile, Record(place, received_at, kind, file.read(length))


def _bounds(file: IO[bytes]) -> tuple[int, int]:
    low, high = 2**63, -(2**63)
    for profile, _ in _read(file):
        low, high = min(low, profile), max(high, profile)
    return low, high


def _sorted(file: IO[bytes]) -> Iterator[list[Record]]:
    """The records of a file by profile, in the order of the profiles' numbers."""
    file.seek(0)
    content = file.read()
    found: dict[int, list[Record]] = {}
    at, size, unpack = 0, _HEADER.size, _HEADER.unpack_from
    while at < len(content):
        profile, place, received_at, kind, length = unpack(content, at)
        end = at + size + length
        record = Record(place, received_at, kind, content[at + size : end])
        known = found.get(profile)
        if known is None:
            found[profile] = [record]
        else:
            known.append(record)
        at = end
    del content
    for profile in sorted(found):
        yield found.pop(profile)
