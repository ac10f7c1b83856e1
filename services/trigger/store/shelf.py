"""Processes of one transaction: fetched in few statements, changed in memory, written back in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.signals import Signal, decode_signal
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry
from services.trigger.engine.decide import ProcessId
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.membership import LEVELS, Membership
from services.trigger.engine.state import Process, decode_process, encode_process
from services.trigger.store.cache import Cache, Stored
from services.trigger.store.keys import process_key, profile_key, profile_number, signal_key
from services.trigger.store.rows import Rows

_SELECT = (
    "SELECT key, profile_key, partition, configuration, id_type, profile, kind, process_id, head FROM processes WHERE "
)
_PROCESS_COLUMNS = {
    "key": "bytea",
    "profile_key": "bytea",
    "partition": "int4",
    "configuration": "text",
    "id_type": "text",
    "profile": "text",
    "kind": "text",
    "process_id": "text",
    "last_at": "int8",
    "head": "bytea",
}
_SIGNAL_COLUMNS = {
    "sequence": "int8",
    "profile": "int8",
    "key": "bytea",
    "level": "int4",
    "received_at": "int8",
    "body": "bytea",
}
_SELECT_LEVELS = "SELECT sequence, body FROM signals WHERE level > 0 AND profile IN {values} AND level IN (?, ?)"
_LAST = "SELECT max(coalesce((SELECT max(sequence) FROM signals), 0), coalesce((SELECT max(sequence) FROM log_end), 0))"
"""Erased signals were the last ones, perhaps: their places are not given again."""
_BOTH = sum(LEVELS.values())


@dataclass(slots=True)
class Arrival:
    """A signal that came, with its bytes and its partition; `entry` once it is in the log."""

    partition: int
    signal: Signal
    body: bytes
    profile: ProfileId
    membership: Membership
    profile_key: bytes = b""
    entry: Entry | None = None


class BatchShelf:
    """The shelf of one transaction (`engine.application.Shelf`) over the worker's cache."""

    def __init__(self, rows: Rows, cache: Cache | None = None):
        self._rows = rows
        self._cache = cache if cache is not None else Cache()
        self._cache.trim()
        self._touched: set[ProcessKey] = set()
        self._fresh: dict[int, Signal] = {}
        self._partitions: dict[bytes, int] = {}
        self._batch: set[int] = set()
        self._levels: dict[tuple[bytes, str], list[Entry]] = {}
        self._new_levels: dict[tuple[bytes, str], list[Entry]] = {}

    def log(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write signals to the log; those that stand there already are left out of the answer (DOMAIN §6.8)."""
        sequences = self._allocate(len(arrivals))
        rows = []
        for sequence, arrival in zip(sequences, arrivals, strict=True):
            signal = arrival.signal
            owner = arrival.profile_key = profile_key(arrival.profile)
            self._partitions[owner] = arrival.partition
            arrival.entry = Entry(sequence, signal)
            rows.append(
                (
                    sequence,
                    profile_number(owner),
                    signal_key(owner, signal.source, signal.id),
                    arrival.membership.level,
                    signal.joined_at,
                    arrival.body,
                )
            )
        kept = self._rows.insert_new("signals", _SIGNAL_COLUMNS, rows, "sequence", "(key)")
        new = [arrival for arrival in arrivals if arrival.entry is not None and arrival.entry.sequence in kept]
        self._fresh.update({arrival.entry.sequence: arrival.signal for arrival in new if arrival.entry is not None})
        self._batch |= kept
        return new

    def prefetch(self, arrivals: Sequence[Arrival]) -> None:
        """Load what the signals will need and is not in hand, in few statements."""
        absent: dict[ProcessKey, tuple[bytes, str]] = {}
        siblings: dict[str, set[bytes]] = {}
        for arrival in arrivals:
            owner = arrival.profile_key
            for kind, process_id in arrival.membership.own:
                key = process_key(owner, kind, process_id)
                if key not in self._cache.stored:
                    absent[key] = (owner, kind)
            for kind in arrival.membership.every:
                if kind not in self._cache.owned(owner).complete:
                    siblings.setdefault(kind, set()).add(owner)
        for kind, owners in siblings.items():
            self._load_siblings(owners, kind)
        self._load("key IN {values}", [key for key, place in absent.items() if self._may_exist(key, *place)])
        new: dict[str, set[bytes]] = {}
        for key, (owner, kind) in absent.items():
            if key not in self._cache.stored and kind in LEVELS:
                new.setdefault(kind, set()).add(owner)
        for kind, owners in new.items():
            self._load_levels(owners, kind)

    def fetch(self, keys: Iterable[ProcessKey]) -> dict[ProcessKey, Stored]:
        """Load processes by key; those that exist."""
        wanted = list(keys)
        self._load("key IN {values}", [key for key in wanted if key not in self._cache.stored])
        return {key: self._cache.stored[key] for key in wanted if key in self._cache.stored}

    def fetch_history(self, processes: Iterable[Process]) -> None:
        """Load the signals of processes in one statement, for `history`."""
        wanted = {sequence for process in processes for _, sequence in process.entries} - self._fresh.keys()
        for sequence, body in self._rows.select_in(
            "SELECT sequence, body FROM signals WHERE sequence IN {values}", wanted, "int8"
        ):
            self._fresh[sequence] = decode_signal(bytes(body))

    def note_level(self, arrival: Arrival) -> None:
        """A signal of every process has been applied: processes that are made from now on may join it."""
        if arrival.entry is not None:
            for kind in arrival.membership.every:
                self._new_levels.setdefault((arrival.profile_key, kind), []).append(arrival.entry)

    def save(self) -> None:
        """Write back every changed process."""
        made, changed = [], []
        for key in self._touched:
            stored = self._cache.stored[key]
            process = stored.process
            last_at = process.last[0] if process.last is not None else 0
            head = encode_process(process)
            if stored.kept:
                changed.append((last_at, head, key))
            else:
                made.append((key, stored.profile_key, stored.partition, *stored.identity, last_at, head))
                stored.kept = True
        self._rows.insert("processes", _PROCESS_COLUMNS, made)
        self._rows.update("processes", {"last_at": "int8", "head": "bytea"}, ("key", "bytea"), changed)
        self._touched.clear()

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:
        """The process, made when it is new."""
        owner = profile_key(profile)
        key = process_key(owner, kind, process_id)
        stored = self._cache.stored.get(key)
        if stored is None:
            stored = Stored(
                ProcessId(*profile, kind, process_id), owner, self._partitions[owner], Process(), kept=False
            )
            self._cache.keep(key, stored)
        return key, stored.process

    def siblings(self, profile: ProfileId, kind: str) -> list[tuple[ProcessKey, Process]]:
        """Every process of that kind of the profile."""
        owner = profile_key(profile)
        owned = self._cache.owned(owner)
        if kind not in owned.complete:
            self._load_siblings({owner}, kind)
        return [(key, self._cache.stored[key].process) for key in owned.keys.get(kind, ())]

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:
        """The profile's signals that belong to every process of that kind, in order."""
        place = (profile_key(profile), kind)
        if place not in self._levels:
            self._load_levels({place[0]}, kind)
        found = self._levels[place] + self._new_levels.get(place, [])
        return sorted(found, key=lambda entry: entry.signal.key)

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""
        self.fetch_history([process])
        return [Entry(sequence, self._fresh[sequence]) for _, sequence in process.entries]

    def touch(self, key: ProcessKey) -> None:
        """The process was changed and will be saved."""
        self._touched.add(key)

    def stored(self, key: ProcessKey) -> Stored:
        """A process in hand, with its name and place."""
        return self._cache.stored[key]

    def _may_exist(self, key: ProcessKey, owner: bytes, kind: str) -> bool:
        """Whether a process that is not in hand may stand in the database."""
        return key not in self._cache.stored and kind not in self._cache.owned(owner).complete

    def _allocate(self, count: int) -> range | list[int]:
        if self._rows.postgresql:
            sql = "SELECT nextval('signal_sequence') FROM generate_series(1, ?)"
            return [row[0] for row in self._rows.execute(sql, (count,))]
        last = self._rows.execute(_LAST)[0][0]
        return range(last + 1, last + 1 + count)

    def _load(self, condition: str, keys: Iterable[bytes], *, more: Sequence[str] = ()) -> None:
        for key, owner, partition, configuration, id_type, profile, kind, process_id, head in self._rows.select_in(
            _SELECT + condition, keys, "bytea", more=more
        ):
            name = bytes(key)
            if name not in self._cache.stored:
                identity = ProcessId(configuration, id_type, profile, kind, process_id)
                self._cache.keep(
                    name, Stored(identity, bytes(owner), partition, decode_process(bytes(head)), kept=True)
                )

    def _load_siblings(self, owners: set[bytes], kind: str) -> None:
        wanted = [owner for owner in owners if kind not in self._cache.owned(owner).complete]
        self._load("profile_key IN {values} AND kind = ?", wanted, more=(kind,))
        for owner in wanted:
            self._cache.owned(owner).complete.add(kind)

    def _load_levels(self, owners: set[bytes], kind: str) -> None:
        numbers = {}
        for owner in owners:
            if (owner, kind) not in self._levels:
                self._levels[owner, kind] = []
                numbers[profile_number(owner)] = owner
        levels = (LEVELS[kind], _BOTH)
        for sequence, body in self._rows.select_in(_SELECT_LEVELS, numbers, "int8", more=levels):
            if sequence not in self._batch:
                signal = decode_signal(bytes(body))
                place = (profile_key(profile_of(signal)), kind)
                if place in self._levels:
                    self._levels[place].append(Entry(sequence, signal))
