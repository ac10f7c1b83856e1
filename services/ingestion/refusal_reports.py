"""Tells trigger of refused signals, so that it can say why nothing happened: best effort, bounded, capped in rate."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.times import from_rfc3339
from contracts.topology import REFUSALS
from contracts.wire import SIGNAL_REFUSED, SignalRefused, encode
from services.ingestion import meters
from services.ingestion.keeping import Kept, Room, keep
from services.ingestion.refusals import AGAIN, NOT_NAMED, Refusal, encodable
from shared.broker import Broker, Message, Publisher
from shared.clock import stopwatch

PER_SECOND = 50
BURST = 200
UNKNOWN_PER_SECOND = 2
UNKNOWN_BURST = 20
"""Of keys that no configuration has: anybody can send those."""
BYTES_PER_SECOND = 65_536
BYTES_BURST = 4_000_000
"""Of what is kept of the refused signals of a configuration; beyond it they are told of without their content."""
CROWDED = 1_000
"""Messages in the queue at which no more content is put there: trigger is away, or slower than what is refused."""
MOST_WAITING = 1_000
MOST_BYTES_WAITING = 16_000_000
_LOOK_EVERY = 2.0
_LONGEST = 255
_LONGEST_KEY = 64
_UNKNOWN_KEY = 8
_MOST_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose signal was refused: the configuration, empty where none has such a key, and what is told of the key.

    `origin`: of the request, as far as it is told. `secret`: what came with the key, so that it can be kept out.
    """

    configuration: str
    key: str
    origin: str = ""
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, configuration: str | None, key_header: str | None, origin: str | None = None) -> Sender:
        """By the header X-Api-Key. Of a key that nobody knows little is told: it may be a secret in the wrong place."""
        key, _, secret = (key_header or "").strip().partition(":")
        return cls(
            configuration or "",
            _printable(key[: _LONGEST_KEY if configuration else _UNKNOWN_KEY]),
            _printable(origin or "") if len(origin or "") <= _LONGEST else "",
            secret,
        )


@dataclass(frozen=True, slots=True)
class _Sketch:
    """What is kept of a refused signal until it is told of: small, and not looked at yet."""

    refusal: Refusal
    sender: Sender
    at: int
    kind: str
    fields: Mapping[str, Any]
    kept: Kept
    final: bool


class RefusalReports:
    """Used by all request threads; `flush` by one. A configuration has a rate of its own: a flood silences no other.

    `tellable`: what of a configuration's item, of the kind of the path, may be told. `suppresses`: whether nothing may
    be of a customer (configuration, idType, profile). `crowded`: whether what was told lies unread at the broker, so
    that no more content should be put there.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        per_second: float = PER_SECOND,
        burst: int = BURST,
        tellable: Callable[[str, Any, str], Any] = lambda _configuration, item, _kind: item,
        suppresses: Callable[[str, str, str], bool] = lambda _configuration, _id_type, _profile: False,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._publisher = publisher
        self._tellable = tellable
        self._suppresses = suppresses
        self._crowded = crowded
        self._rate = per_second
        self._burst = burst
        self._lock = threading.Lock()
        self._allowances: dict[str, tuple[float, float]] = {}
        self._rooms: dict[str, Room] = {}
        self._waiting: deque[_Sketch] = deque()
        self._bytes = 0

    def allows(self, configuration: str) -> bool:
        """Whether one more of the configuration may be told of now; counts it. Empty: of unknown keys."""
        now = stopwatch()
        with self._lock:
            burst = self._burst if configuration else min(self._burst, UNKNOWN_BURST)
            rate = self._rate if configuration else min(self._rate, UNKNOWN_PER_SECOND)
            left, since = self._allowances.get(configuration, (float(burst), now))
            left = min(burst, left + (now - since) * rate)
            taken = left >= 1 and len(self._waiting) < MOST_WAITING
            self._allowances[configuration] = (left - taken, now)
        if not taken:
            meters.REPORTS_DROPPED.labels("rate").inc()
        return taken

    def add(self, refusal: Refusal, sender: Sender, item: Any, kind: str, at: int, *, final: bool = False) -> None:
        """Keep a refused item for the next `flush`; what is to be sent again is no news. `at`: receivedAt, µs.

        `final`: what is wrong does not stand in the item.
        """
        if refusal.code == "suppressed" or refusal.status in AGAIN or not self.allows(sender.configuration):
            return
        told = self._tellable(sender.configuration, item, kind)
        fields = _sketch(told)
        if self._suppresses(sender.configuration, *_profile(fields)):
            return  # for whatever else it was refused: nothing is kept of whoever asked for that
        whole = type(item) is not dict or told.keys() == item.keys()  # else it may not be told of without consent
        kept = keep(told, refusal, known=bool(sender.configuration) and whole, secret=sender.secret)
        if kept.sent and not self._has_room(sender.configuration, len(kept.sent)):
            kept = Kept(unkept="flood")
        self._waiting.append(_Sketch(refusal, sender, at, kind, fields, kept, final))

    def flush(self) -> int:
        """Hand all to the broker, without waiting; how many. While it is away they are kept, up to the bound."""
        if not self._waiting or not self._publisher.ready:
            return 0
        crowded = self._crowded()
        sketches = [self._waiting.popleft() for _ in range(len(self._waiting))]
        with self._lock:
            self._bytes -= sum(len(sketch.kept.sent) for sketch in sketches)
        if crowded:
            sketches = [
                replace(sketch, kept=Kept(unkept="flood")) if sketch.kept.sent else sketch for sketch in sketches
            ]
        messages = [_message(_refused(sketch)) for sketch in sketches]
        for future in self._publisher.publish_all(messages):
            future.add_done_callback(_count_failure)
        return len(messages)

    def _has_room(self, configuration: str, size: int) -> bool:
        now = stopwatch()
        with self._lock:
            room = self._rooms.setdefault(configuration, Room(BYTES_BURST, BYTES_PER_SECOND))
            if self._bytes + size > MOST_BYTES_WAITING or not room.has(size, now):
                meters.REPORTS_DROPPED.labels("content").inc()
                return False
            room.left -= size
            self._bytes += size
        return True


def crowded_by(broker: Broker) -> Callable[[], bool]:
    """Whether the queue of refusals is crowded, asked of the broker every two seconds at most."""
    known, until = False, 0.0

    def crowded() -> bool:
        nonlocal known, until
        if stopwatch() >= until:
            known, until = broker.depth(REFUSALS) > CROWDED, stopwatch() + _LOOK_EVERY
        return known

    return crowded


def _count_failure(future: Future[None]) -> None:
    if future.cancelled() or future.exception() is not None:
        meters.REPORTS_DROPPED.labels("broker").inc()


def _message(refused: SignalRefused) -> Message:
    return Message(
        exchange=REFUSALS,
        routing_key=SIGNAL_REFUSED,
        body=encode(refused),
        message_id=refused.id,
        content_type="application/json",
    )


def _sketch(item: Any) -> dict[str, Any]:
    """The few fields that are told, texts cut short: no large body is held back."""
    if type(item) is not dict:
        return {}
    data = item.get("data")
    named = {name: item.get(name) for name in ("id", "source", "time")}
    if type(data) is dict:
        named.update({name: data.get(name) for name in ("idType", "site", "signal", *PROFILE_FIELDS.values())})
    return {name: _short(name, value) if type(value) is str else value for name, value in _plain(named)}


def _short(name: str, text: str) -> str:
    """The beginning. Blanks around an address are none of it: however many there are, it must be seen whose it is."""
    return (text.strip() if name == PROFILE_FIELDS["email"] else text)[: 2 * _LONGEST]


def _plain(named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in named.items() if type(value) in (str, int, float))


def _refused(sketch: _Sketch) -> SignalRefused:
    refusal, sender = sketch.refusal, sketch.sender
    named = refusal.code not in NOT_NAMED
    fields = sketch.fields if named else {"signal": sketch.fields.get("signal"), "site": sketch.fields.get("site")}
    id_type, profile = _profile(fields) if sender.configuration and named else ("", "")
    return SignalRefused(
        id=str(uuid.uuid4()),
        at=sketch.at,
        status=refusal.status,
        code=refusal.code,
        reason=encodable(refusal.reason),
        faults=tuple((fault.pointer, encodable(fault.reason)) for fault in refusal.faults[:_MOST_FAULTS]),
        configuration=sender.configuration,
        kind=_cut(sketch.kind) or _text(fields, "signal"),
        time=_time(fields),
        source=_text(fields, "source"),
        signal=_text(fields, "id"),
        site=_text(fields, "site"),
        id_type=id_type,
        profile=profile,
        key=sender.key,
        origin=sender.origin if sketch.kept.sent else "",
        sent=sketch.kept.sent,
        unkept=sketch.kept.unkept,
        final=sketch.final,
    )


def _printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ""


def _text(fields: Mapping[str, Any], name: str) -> str:
    """The text of a field, such that every database can hold it."""
    value = fields.get(name)
    return _cut(value) if type(value) is str else ""


def _cut(text: str) -> str:
    return encodable(text[:_LONGEST]).replace("\0", "")


def _time(fields: Mapping[str, Any]) -> int | None:
    try:
        return from_rfc3339(_text(fields, "time"))
    except (ValueError, OverflowError):
        return None


def _profile(fields: Mapping[str, Any]) -> tuple[str, str]:
    """idType and value, normalised as an accepted signal's would be; also of an idType that the audience refuses."""
    id_type = fields.get("idType", "email")
    if id_type not in PROFILE_FIELDS:
        return "", ""
    try:
        value = normalise_profile(id_type, fields.get(PROFILE_FIELDS[id_type]))
        msgspec.json.encode(value)
    except (InvalidProfile, UnicodeEncodeError):
        return "", ""
    return ("", "") if "\0" in value else (id_type, value)
