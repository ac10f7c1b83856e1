"""What the engine keeps of a process: the values in a process row. Instants in microseconds."""

from __future__ import annotations

import msgspec

from contracts.processes import ContentState
from contracts.signals import Key


class Wait(msgspec.Struct, array_like=True, gc=False):
    """A pending wait on one occurrence (DOMAIN §6.3), or an occurrence not yet matched with a wait (`number` -1).

    `opened`, `last`: the order keys of its first and its last activity. `received`: when its signals came to the
    profile, of those that are not before the last activity's time: those that the settle rule may need (DOMAIN §6.6).
    `ended_after`: an ender stands after it. `armed`: the due time in the store's index, never later than the real one.
    `override`: a due that an edit gave, standing until the next activity; 0 for none. `held`: the content at its due,
    once the snapshot has gone beyond that. `stitched`: the latest instant at which an anonymous sender of its signals
    was told to be the profile, or 0.
    """

    number: int
    opened: Key
    last: Key
    latest_received: int
    received: list[int]
    site: str | None = None
    ended_after: bool = False
    armed: int = 0
    override: int = 0
    held: ContentState | None = None
    stitched: int = 0


class Ended(msgspec.Struct, array_like=True, gc=False):
    """A wait that an ender (or a join) closed; kept to recognise its occurrence when it is derived again."""

    number: int
    opened: Key
    last: Key


class Decided(msgspec.Struct, array_like=True, gc=False):
    """A raised or suppressed occurrence: frozen (DOMAIN §6.7)."""

    number: int
    opened: Key
    last: Key
    due: int
    raised: bool
    reason: str
    raise_id: str
    contradicted: int = 0
    recovered: bool = False


class Track(msgspec.Struct, array_like=True, gc=False):
    """One moment's waits on one process.

    `run`: the start of the run of the moment that it belongs to. `current`: the number of the wait that a next
    signal may slide, or -1. `frozen_until`: where the latest decided occurrence ends (those stopped
    excepted): at its due, or at its last activity where an edit has brought the due before that.
    """

    run: int
    count: int = 0
    current: int = -1
    waits: list[Wait] = []
    ended: list[Ended] = []
    decided: list[Decided] = []
    frozen_until: int = -1
    raises: int = 0

    def wait(self, number: int) -> Wait | None:
        """The pending wait of a number."""
        for wait in self.waits:
            if wait.number == number:
                return wait
        return None


class Snapshot(msgspec.Struct, array_like=True, gc=False):
    """The fold of the oldest signals of a process, up to and including the key `until`.

    `waits`: per moment the run and the undecided occurrences at that point, the last one current when `current`.
    """

    until: Key
    content: ContentState
    quantities: dict[str, int]
    gates: dict[str, bool]
    occurrences: dict[str, tuple[int, list[Wait], bool]]


class Process(msgspec.Struct, array_like=True, gc=False):
    """A process with its signals by reference.

    `entries`: (time, sequence number in the signal log) of its signals, in order. `last`: the greatest key.
    `sites`: the earliest key of its own signals per site. `gates`: per template whether a sliding signal may open.
    `ignored`: signals older than the snapshot.
    """

    entries: list[tuple[int, int]] = []
    last: Key | None = None
    latest_received: int = 0
    sites: dict[str, Key] = {}
    quantities: dict[str, int] = {}
    gates: dict[str, bool] = {}
    tracks: dict[str, Track] = {}
    snapshot: Snapshot | None = None
    ignored: int = 0

    def wait(self, moment_id: str, number: int) -> Wait | None:
        """The pending wait of a moment and number."""
        track = self.tracks.get(moment_id)
        return track.wait(number) if track is not None else None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Process)


def encode_process(process: Process) -> bytes:
    """The bytes of a process row."""
    return _encoder.encode(process)


def decode_process(blob: bytes) -> Process:
    """The process of a row's bytes."""
    return _decoder.decode(blob)
