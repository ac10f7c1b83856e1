"""The account of a moment and a profile: what each signal did to each wait, and why, as a document (DOMAIN §6.12).

Instants are RFC 3339 text, spans ISO 8601 text. Everything that became of the waits can be derived from `entries`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Event = Literal["signal", "decision", "settings", "refusal"]
Effect = Literal[
    "opened", "slid", "retimed", "ended", "raised", "suppressed", "closed_after_due", "contradicted", "recovered"
]


class ProcessName(msgspec.Struct, frozen=True, rename="camel"):
    """A process of the profile."""

    kind: str
    id: str


class Due(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """When a wait is due, and how that comes about (DOMAIN §6.2, §6.6).

    `counted_from`: the last activity, the opening (instant moments), or an edit that spread what was due at once.
    `length`: the duration or delay. `maximum_wait`: it was cut by it. `quiet_until`: it was moved out of the quiet
    hours to that. `ready_at`: when it may be decided; later than `at` when signals came late.
    """

    at: str
    counted_from: Literal["last_activity", "opening", "edit"]
    length: str
    maximum_wait: str | None = None
    quiet_until: str | None = None
    ready_at: str


class Change(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What happened to one wait; a wait is named by its process and its number.

    `reason`: of an end or a suppression. `due_at`: of a decision, as it was recorded. `split_from`, `revived`,
    `merged_into`: how a late signal rearranged waits.
    `numbers`: what the reason was measured by.
    """

    effect: Effect
    process: ProcessName
    wait: int
    text: str
    reason: str | None = None
    opened_at: str | None = None
    last_activity_at: str | None = None
    due: Due | None = None
    due_at: str | None = None
    split_from: int | None = None
    merged_into: int | None = None
    revived: bool = False
    raise_id: str | None = None
    raise_number: int | None = None
    numbers: dict[str, Any] = {}


class SignalName(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A signal of the account. `stitched_at`: when its anonymous sender was known to be the profile, if later."""

    source: str
    id: str
    kind: str
    time: str | None
    received_at: str
    site: str | None = None
    stitched_at: str | None = None


class Entry(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One thing that happened, in the order in which it did.

    `at`: when it was received, decided or took effect. `code`: of a signal from the list of reasons, of a refusal
    that which the sender was told; else empty. `settings_version`: the settings that it was judged by.
    """

    place: int
    at: str
    event: Event
    code: str
    text: str
    process: ProcessName | None = None
    signal: SignalName | None = None
    settings_version: int | None = None
    changes: tuple[Change, ...] = ()
    numbers: dict[str, Any] = {}


class WaitLine(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A wait as it stands at the end of the account."""

    process: ProcessName
    wait: int
    state: Literal["pending", "raised", "suppressed", "ended"]
    reason: str | None
    opened_at: str | None
    last_activity_at: str | None
    due: Due | None
    raise_id: str | None


class Counts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The account in numbers. `other`: stored signals of the profile that concern no process of the moment's kind."""

    signals: int
    other: int
    refused: int
    opened: int
    raised: int
    ended: dict[str, int]
    suppressed: dict[str, int]
    pending: int


class Run(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A run of the moment; `until` is null while it lasts or where the stop is not known."""

    since: str
    until: str | None


class SettingsLine(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A version of the settings, in force from `since`."""

    version: int
    since: str
    settings: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The outcome in one word and one sentence."""

    code: str
    text: str


class Account(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Why a moment was raised for a profile, and why it was not.

    `consistent`: what is derived from the stored signals is what was recorded; `differences` tells what is not.
    `complete`: every signal of the profile is still kept and none was left out; else `missing` says what is.
    """

    moment: dict[str, Any]
    profile: dict[str, str]
    answer: Answer
    rule: str
    consistent: bool
    differences: tuple[str, ...]
    complete: bool
    missing: str | None
    runs: tuple[Run, ...]
    settings: tuple[SettingsLine, ...]
    counts: Counts
    waits: tuple[WaitLine, ...]
    entries: tuple[Entry, ...]
