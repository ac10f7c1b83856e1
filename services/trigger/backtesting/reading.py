"""From the signal log to the disk: what concerns the back-test, sorted by profile."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from contracts.signals import CATALOGUE, decode_signal
from services.trigger.backtesting.progress import Progress
from services.trigger.backtesting.request import Request
from services.trigger.backtesting.shards import DECISION, RETIMED, SIGNAL, Record, Shards
from services.trigger.engine.apply import Entry
from services.trigger.engine.membership import BROWSE, Membership, membership_in
from services.trigger.store import backtests, course
from services.trigger.store.keys import profile_number
from services.trigger.store.rows import Rows

_PAGE = 5_000
_SHARD = 16_000_000
_MOST_SHARDS = 128
_BODY = 1_000
_ROOM_LEFT = 200_000_000
"""Bytes that a back-test leaves free on the disk."""


class NoRoom(Exception):
    """The disk has no room to sort the signals; free some, or move MOMENTS_DATA."""


class _Reference(msgspec.Struct, gc=False):
    id: str


class _Data(msgspec.Struct, rename="camel", gc=False):
    signal: str
    audience_configuration: _Reference


class _Envelope(msgspec.Struct, gc=False):
    data: _Data


_glance = msgspec.json.Decoder(_Envelope).decode


class LogReader:
    """Reads in short transactions, so that the log of changes of the database is not held up."""

    def __init__(self, rows: Rows, request: Request, kind: str, folder: Path, progress: Progress):
        self._rows = rows
        self._request = request
        self._folder = folder
        self._progress = progress
        self._names = _names_of(kind)
        self._first, self._last = backtests.log_bounds(rows)
        progress.total = self._last - self._first + 1

    def shards(self) -> Shards:
        """Files for what there is to read."""
        return Shards(self._folder, min(_MOST_SHARDS, max(1, self._progress.total * _BODY // _SHARD)))

    def read_signals(self, shards: Shards) -> None:
        """Copy the signals that were received before the end of the period; raises NoRoom."""
        before, until, progress = self._first - 1, self._request.until, self._progress
        while before < self._last:
            page = backtests.log_page(self._rows, before, self._last, _PAGE)
            if not page:
                break
            if shutil.disk_usage(self._folder).free < _ROOM_LEFT:
                raise NoRoom
            for sequence, number, received_at, body in page:
                if received_at < until and self._concerns(body):
                    shards.add(number, sequence, received_at, SIGNAL, body)
            before = page[-1][0]
            progress.taken += len(page)
            progress.report()
        progress.total = progress.taken

    def read_course(self, shards: Shards) -> None:
        """Copy what was recorded of the moment beside the signals."""
        for decided in course.decisions(self._rows, self._request.moment_id):
            if decided.after >= self._first and decided.decided_at < self._request.until:
                number = profile_number(decided.profile_key)
                shards.add(number, decided.after, 0, DECISION, msgspec.msgpack.encode(decided))
            self._progress.report()
        for retimed in course.retimed_waits(self._rows, self._request.moment_id):
            number = profile_number(retimed.profile_key)
            shards.add(number, retimed.after, 0, RETIMED, msgspec.msgpack.encode(retimed))

    def _concerns(self, body: bytes) -> bool:
        data = _glance(body).data
        return data.signal in self._names and data.audience_configuration.id == self._request.configuration_id


def _names_of(kind: str) -> frozenset[str]:
    """The signals that can be part of a process of a kind."""
    return frozenset(
        name
        for name, declared in CATALOGUE.items()
        if declared.process == kind or (kind == BROWSE and declared.also_browse)
    )


class Places:
    """The signals among the records of a profile, and their processes of a kind; read anew each time."""

    def __init__(self, records: Iterable[Record], kind: str):
        self._records = records
        self._kind = kind

    def __iter__(self) -> Iterator[tuple[Entry, Membership]]:
        for record in self._records:
            if record.kind == SIGNAL:
                signal = decode_signal(record.body)
                membership = membership_in(signal, self._kind)
                if membership is not None:
                    yield Entry(record.place, signal), membership
