"""The latest signals and what they did: what the live list of signals shows (DOMAIN §6.12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from contracts.configurations import KEY_PREFIXES
from contracts.moments import MomentState
from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS, Signal, sending_key
from contracts.times import DAY, to_rfc3339
from contracts.wire import SignalRefused, SignalReplayed, decode_configuration_state
from services.trigger.api.cursors import cursor_text
from services.trigger.engine.account import Entry as Line
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.explanation import explain
from services.trigger.store.accounts import Terms, read_case
from services.trigger.store.reading import snapshot
from services.trigger.store.received import received_kinds
from services.trigger.store.recent import (
    Accepted,
    Entry,
    Place,
    Refused,
    Tail,
    Wanted,
    accepted_of,
    read_recent,
    refused_of,
    tail,
)
from services.trigger.store.records import load_moments
from services.trigger.store.replays import sent_of
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.http import NotFound
from shared.store import connected

MOST_MOMENTS = 20
"""Moments for which it is told what one signal did."""

_ID = re.compile("([sr])([0-9]{1,18})")
_TYPES = {prefix: type for type, prefix in KEY_PREFIXES.items()}


class UnknownSignal(NotFound):
    """No such signal is kept."""


class RecentSignals:
    """Reads for one request at a time per thread."""

    def __init__(self, rows: Rows, terms: Terms, clock: Clock) -> None:
        self._rows = rows
        self._terms = terms
        self._clock = clock

    def page(
        self,
        *,
        limit: int,
        cursor: Place | None,
        after: Tail | None,
        profile: str | None,
        id_type: str | None,
        **named: Any,
    ) -> dict[str, Any]:
        """The newest first; `after`: only what has come since, and of that the newest."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            profiles = None if profile is None else _profiles(rows, profile, id_type, named["configuration"])
            found = read_recent(
                rows,
                Wanted(profiles=profiles, **named),
                before=cursor,
                after=None if after is None else after.after,
                limit=limit,
            )
            end = tail(rows, after, self._clock.now())
            names = names_of(rows, found.entries)
        return {
            "items": [entry_document(each, names) for each in found.entries],
            "next": None if found.next is None else cursor_text(found.next),
            "latest": cursor_text(end),
            "searched_since": found.searched_since,
        }

    def one(self, entry_id: str) -> dict[str, Any]:
        """One signal with all that is kept of it and, when it was accepted, what it did to waits."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            entry = _find(rows, entry_id)
            document = entry_document(entry, names_of(rows, [entry]))
            if not isinstance(entry, Accepted):
                return {**document, **kept_content(rows, entry), "effects": [], "more": False}
            heeding = self._heeding(rows, entry.signal)
            effects = [self._effect(rows, state, entry.signal) for state in heeding[:MOST_MOMENTS]]
        more = len(heeding) > MOST_MOMENTS
        return {
            **document,
            "envelope": msgspec.json.decode(entry.body),
            "whole": True,
            "unkept": None,
            "effects": effects,
            "more": more,
        }

    def kinds(self, configuration: str | None) -> dict[str, Any]:
        """Which kinds have come of late, by configuration."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            found = received_kinds(rows, self._clock.now() - DAY, configuration)
        return {
            "items": [
                {"kind": each.kind, "configuration": each.configuration, "last_at": each.last_at, "count": each.count}
                for each in found
            ]
        }

    def _heeding(self, rows: Rows, signal: Signal) -> list[MomentState]:
        """The moments of the signal's configuration that have run and heed its kind; running ones first."""
        found = [
            state
            for state in load_moments(rows).values()
            if state.configuration_id == signal.configuration
            and state.running_since is not None
            and state.type in self._terms.templates
            and self._terms.templates[state.type].effect(signal.kind.name) is not None
        ]
        return sorted(found, key=lambda state: (state.status != "running", state.name, state.id))

    def _effect(self, rows: Rows, state: MomentState, signal: Signal) -> dict[str, Any]:
        account = explain(*read_case(rows, state, profile_of(signal), self._terms))
        lines = [line for line in account.entries if _is_of(line, signal)]
        return {"moment": account.moment, "entries": [msgspec.to_builtins(line) for line in lines]}


def _find(rows: Rows, entry_id: str) -> Entry:
    """The entry of an id of the list; raises UnknownSignal."""
    match = _ID.fullmatch(entry_id)
    entry: Entry | None = None
    if match is not None:
        entry = (accepted_of if match[1] == "s" else refused_of)(rows, int(match[2]))
    if entry is None:
        raise UnknownSignal
    return entry


def _is_of(line: Line, signal: Signal) -> bool:
    named = line.signal
    return line.event == "signal" and named is not None and (named.source, named.id) == (signal.source, signal.id)


def _profiles(rows: Rows, profile: str, id_type: str | None, configuration: str | None) -> list[ProfileId]:
    """Every profile that a text may mean: of each configuration, in each way of addressing."""
    known = (each for (each,) in rows.execute("SELECT id FROM configurations"))
    configurations = [configuration] if configuration is not None else list(known)
    return [
        ProfileId(each, way, value)
        for way, value in _spellings(profile, PROFILE_FIELDS if id_type is None else (id_type,))
        for each in configurations
    ]


def _spellings(profile: str, ways: Iterable[str]) -> Iterator[tuple[str, str]]:
    for way in ways:
        try:
            yield way, normalise_profile(way, profile)
        except InvalidProfile:
            continue


def kept_content(rows: Rows, entry: Refused) -> dict[str, Any]:
    """What is kept of the content of a refused signal; if nothing is, what is known of it, and why."""
    sent = sent_of(rows, entry.sequence)
    if sent is not None:
        return {"envelope": msgspec.json.decode(sent), "whole": True, "unkept": None}
    return {"envelope": _sketch(entry.refused), "whole": False, "unkept": entry.refused.unkept or "forgotten"}


def names_of(rows: Rows, entries: Sequence[Entry]) -> dict[str, str]:
    """The present names of the configurations of entries."""
    ids = {each.signal.configuration if isinstance(each, Accepted) else each.refused.configuration for each in entries}
    found = rows.select_in("SELECT id, body FROM configurations WHERE id IN {values}", ids, "text")
    return {each: decode_configuration_state(bytes(body)).name for each, body in found}


def entry_document(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    """An entry of the list."""
    return _accepted(entry, names) if isinstance(entry, Accepted) else _refused(entry, names)


def _accepted(entry: Accepted, names: dict[str, str]) -> dict[str, Any]:
    signal = entry.signal
    reference = signal.data.audience_configuration
    return {
        "id": f"s{entry.sequence}",
        "outcome": "accepted",
        "received_at": entry.at,
        "time": signal.time,
        "kind": signal.kind.name,
        "source": signal.source,
        "signal_id": signal.id,
        "site": signal.site,
        "configuration": {"id": reference.id, "name": names.get(reference.id, reference.name)},
        "key": _key(sending_key(signal)) or {"id": None, "type": signal.data.touchpoint},
        "profile": {"idType": signal.id_type, "id": signal.profile},
        "refusal": None,
        "replayable": False,
        "replay": None,
    }


def _refused(entry: Refused, names: dict[str, str]) -> dict[str, Any]:
    refused = entry.refused
    configuration = refused.configuration
    return {
        "id": f"r{entry.sequence}",
        "outcome": "refused",
        "received_at": refused.at,
        "time": refused.time,
        "kind": refused.kind or None,
        "source": refused.source or None,
        "signal_id": refused.signal or None,
        "site": refused.site or None,
        "configuration": {"id": configuration, "name": names.get(configuration, "")} if configuration else None,
        "key": _key(refused.key),
        "profile": {"idType": refused.id_type, "id": refused.profile} if refused.profile else None,
        "refusal": _refusal(refused),
        "replayable": entry.replayable,
        "replay": _replay(entry),
    }


def _refusal(told: SignalRefused | SignalReplayed) -> dict[str, Any]:
    return {
        "status": told.status,
        "code": told.code,
        "reason": told.reason,
        "errors": [{"pointer": pointer, "reason": reason} for pointer, reason in told.faults],
    }


def _replay(entry: Refused) -> dict[str, Any] | None:
    if entry.replay is None or entry.state in ("", "final"):
        return None
    answer = entry.answer
    return {
        "id": entry.replay,
        "state": "waiting" if answer is None else entry.state,
        "at": None if answer is None else answer.at,
        "refusal": None if answer is None or answer.status == 200 else _refusal(answer),
    }


def _key(key: str | None) -> dict[str, str | None] | None:
    return {"id": key, "type": _TYPES.get(key.partition("_")[0])} if key else None


def _sketch(refused: SignalRefused) -> dict[str, Any]:
    """What is kept of a refused signal, in the shape in which it was sent."""
    named = {
        "signal": refused.kind,
        "site": refused.site,
        "idType": refused.id_type,
        PROFILE_FIELDS.get(refused.id_type, "profile"): refused.profile,
    }
    time = None if refused.time is None else to_rfc3339(refused.time)
    head = {"id": refused.signal, "time": time, "source": refused.source}
    data = {name: value for name, value in named.items() if value}
    return {**{name: value for name, value in head.items() if value}, **({"data": data} if data else {})}
