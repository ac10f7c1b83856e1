"""Processes of one transaction: fetched in few statements, changed in memory, written back in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.signals import Signal, decode_signal
from services.trigger.engine.application import ProfileId
from services.trigger.engine.apply import Entry
from services.trigger.engine.decide import ProcessId
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.membership import LEVELS, Membership
from services.trigger.engine.state import Process, decode_process, encode_process
from services.trigger.store.keys import process_key, profile_key, signal_key
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
    "profile_key": "bytea",
    "signal_key": "bytea",
    "level": "int4",
    "received_at": "int8",
    "body": "bytea",
}


@dataclass(slots=True)
class Stored:
    """A process in hand, with its name and place."""

    identity: ProcessId
    profile_key: bytes
    partition: int
    process: Process


@dataclass(slots=True)
class Arrival:
    """A signal that came, with its bytes and its partition; `entry` once it is in the log."""

    partition: int
    signal: Signal
    body: bytes
    profile: ProfileId
    membership: Membership
    entry: Entry | None = None


class BatchShelf:
    """The shelf of one transaction (`engine.application.Shelf`)."""

    def __init__(self, rows: Rows):
        self._rows = rows
        self._stored: dict[ProcessKey, Stored] = {}
        self._touched: set[ProcessKey] = set()
        self._fresh: dict[int, Signal] = {}
        self._profile_keys: dict[ProfileId, bytes] = {}
        self._process_keys: dict[tuple[bytes, str, str], bytes] = {}
        self._partitions: dict[bytes, int] = {}
        self._batch: set[int] = set()
        self._levels: dict[bytes, list[tuple[int, Entry]]] = {}
        self._new_levels: dict[bytes, list[tuple[int, Entry]]] = {}
        self._siblings: set[tuple[bytes, str]] = set()
        self._by_owner: dict[tuple[bytes, str], list[ProcessKey]] = {}

    def log(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write signals to the log; those that stand there already are left out of the answer (DOMAIN §6.8)."""
        sequences = self._allocate(len(arrivals))
        rows = []
        for sequence, arrival in zip(sequences, arrivals, strict=True):
            signal = arrival.signal
            key = self._profile_key(arrival.profile)
            self._partitions[key] = arrival.partition
            arrival.entry = Entry(sequence, signal)
            rows.append(
                (
                    sequence,
                    key,
                    signal_key(key, signal.source, signal.id),
                    arrival.membership.level,
                    signal.received_at,
                    arrival.body,
                )
            )
        kept = self._rows.insert_new("signals", _SIGNAL_COLUMNS, rows, "sequence", "(profile_key, signal_key)")
        new = [arrival for arrival in arrivals if arrival.entry is not None and arrival.entry.sequence in kept]
        self._fresh.update({arrival.entry.sequence: arrival.signal for arrival in new if arrival.entry is not None})
        self._batch |= kept
        return new

    def prefetch(self, arrivals: Sequence[Arrival]) -> None:
        """Load what the signals will need, in at most three statements."""
        keys: dict[ProcessKey, bytes] = {}
        siblings: dict[str, set[bytes]] = {}
        for arrival in arrivals:
            profile = self._profile_key(arrival.profile)
            for kind, process_id in arrival.membership.own:
                keys[self._process_key(profile, kind, process_id)] = profile
            for kind in arrival.membership.every:
                siblings.setdefault(kind, set()).add(profile)
        self._load("key IN {values}", keys)
        for kind, owners in siblings.items():
            self._load_siblings(owners, kind)
        self._load_levels({profile for key, profile in keys.items() if key not in self._stored})

    def fetch(self, keys: Iterable[ProcessKey]) -> dict[ProcessKey, Stored]:
        """Load processes by key; those that exist."""
        wanted = list(keys)
        self._load("key IN {values}", [key for key in wanted if key not in self._stored])
        return {key: self._stored[key] for key in wanted if key in self._stored}

    def fetch_history(self, processes: Iterable[Process]) -> None:
        """Load the signals of processes in one statement, for `history`."""
        wanted = {sequence for process in processes for _, sequence in process.entries} - self._fresh.keys()
        for sequence, body in self._rows.select_in(
            "SELECT sequence, body FROM signals WHERE sequence IN {values}", wanted, "int8"
        ):
            self._fresh[sequence] = decode_signal(bytes(body))

    def note_level(self, arrival: Arrival) -> None:
        """A signal of every process has been applied: processes that are made from now on may join it."""
        if arrival.membership.level and arrival.entry is not None:
            profile = self._profile_key(arrival.profile)
            self._new_levels.setdefault(profile, []).append((arrival.membership.level, arrival.entry))

    def save(self) -> None:
        """Write back every changed process."""
        rows = []
        for key in self._touched:
            stored = self._stored[key]
            process = stored.process
            rows.append(
                (
                    key,
                    stored.profile_key,
                    stored.partition,
                    *stored.identity,
                    process.last[0] if process.last is not None else 0,
                    encode_process(process),
                )
            )
        self._rows.insert(
            "processes", _PROCESS_COLUMNS, rows, "(key) DO UPDATE SET head = excluded.head, last_at = excluded.last_at"
        )
        self._touched.clear()

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:
        """The process, made when it is new."""
        owner = self._profile_key(profile)
        key = self._process_key(owner, kind, process_id)
        stored = self._stored.get(key)
        if stored is None:
            stored = Stored(ProcessId(*profile, kind, process_id), owner, self._partitions[owner], Process())
            self._keep(key, stored)
        return key, stored.process

    def siblings(self, profile: ProfileId, kind: str) -> list[tuple[ProcessKey, Process]]:
        """Every process of that kind of the profile."""
        owner = self._profile_key(profile)
        if (owner, kind) not in self._siblings:
            self._load_siblings({owner}, kind)
        return [(key, self._stored[key].process) for key in self._by_owner.get((owner, kind), ())]

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:
        """The profile's signals that belong to every process of that kind, in order."""
        owner = self._profile_key(profile)
        if owner not in self._levels:
            self._load_levels({owner})
        bit = LEVELS[kind]
        known = self._levels[owner] + self._new_levels.get(owner, [])
        found = [entry for level, entry in known if level & bit]
        return sorted(found, key=lambda entry: entry.signal.key)

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""
        self.fetch_history([process])
        return [Entry(sequence, self._fresh[sequence]) for _, sequence in process.entries]

    def touch(self, key: ProcessKey) -> None:
        """The process was changed and will be saved."""
        self._touched.add(key)

    def stored(self, key: ProcessKey) -> Stored:
        """The process in hand under that key."""
        return self._stored[key]

    def _profile_key(self, profile: ProfileId) -> bytes:
        key = self._profile_keys.get(profile)
        if key is None:
            key = self._profile_keys[profile] = profile_key(profile)
        return key

    def _process_key(self, owner: bytes, kind: str, process_id: str) -> bytes:
        name = (owner, kind, process_id)
        key = self._process_keys.get(name)
        if key is None:
            key = self._process_keys[name] = process_key(owner, kind, process_id)
        return key

    def _keep(self, key: ProcessKey, stored: Stored) -> None:
        self._stored[key] = stored
        self._by_owner.setdefault((stored.profile_key, stored.identity.kind), []).append(key)

    def _allocate(self, count: int) -> range | list[int]:
        if self._rows.postgresql:
            sql = "SELECT nextval('signal_sequence') FROM generate_series(1, ?)"
            return [row[0] for row in self._rows.execute(sql, (count,))]
        last = self._rows.execute("SELECT max(sequence) FROM signals")[0][0] or 0
        return range(last + 1, last + 1 + count)

    def _load(self, condition: str, keys: Iterable[bytes], *, more: Sequence[str] = ()) -> None:
        for key, owner, partition, configuration, id_type, profile, kind, process_id, head in self._rows.select_in(
            _SELECT + condition, keys, "bytea", more=more
        ):
            name = bytes(key)
            if name not in self._stored:
                identity = ProcessId(configuration, id_type, profile, kind, process_id)
                self._keep(name, Stored(identity, bytes(owner), partition, decode_process(bytes(head))))

    def _load_siblings(self, owners: set[bytes], kind: str) -> None:
        self._load("profile_key IN {values} AND kind = ?", owners, more=(kind,))
        self._siblings.update((owner, kind) for owner in owners)

    def _load_levels(self, owners: set[bytes]) -> None:
        wanted = owners - self._levels.keys()
        for owner in wanted:
            self._levels[owner] = []
        for owner, level, sequence, body in self._rows.select_in(
            "SELECT profile_key, level, sequence, body FROM signals WHERE level > 0 AND profile_key IN {values}",
            wanted,
            "bytea",
        ):
            if sequence not in self._batch:
                self._levels[bytes(owner)].append((level, Entry(sequence, decode_signal(bytes(body)))))

    def partitions(self) -> dict[ProcessKey, int]:
        """Process → partition, of all in hand."""
        return {key: stored.partition for key, stored in self._stored.items()}
