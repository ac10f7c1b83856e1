"""What config keeps, as values. Times are microseconds since 1970 on config's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from contracts.configurations import AudienceState, KeyType, SegmentEvent
from contracts.moments import Status

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a configuration. `expires_at`: the end of its overlap, once another has taken its place.

    `uses_noted`: whether its uses were noted from its making on; else it is not known whether it was ever used.
    `kinds`: the kinds of signals that it may send, and `IDENTIFY`; None: all that its touchpoint may.
    `signed`: only signed requests are taken with it (server keys only).
    `secret`: set only in the value that has just been made; nothing but its hash is kept. `signing_secret`: set only
    in the value of a key that has just been made or told to be signed; it is kept nowhere.
    """

    id: str
    type: KeyType
    enabled: bool
    created_at: int
    secret_hash: str | None = None
    expires_at: int | None = None
    last_used_at: int | None = None
    uses_noted: bool = True
    kinds: tuple[str, ...] | None = None
    signed: bool = False
    secret: str | None = None
    signing_secret: str | None = None

    @property
    def never_used(self) -> bool | None:
        """Whether it was never used; None where that is not known."""
        if self.last_used_at is not None:
            return False
        return True if self.uses_noted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceConfiguration:
    """Who may send signals, and which audience is meant (DOMAIN §3). `updated_by`: an actor of the audit log.

    `consent_required`: only signals that say `consent: true` are taken. `attributes`: the names of undeclared fields
    that are kept, those of lines as `items.<name>`; None: all. `segment_events`: what events of Segment's API become
    beside the declared table.
    """

    id: str
    name: str
    description: str
    audience: AudienceState
    domains: tuple[str, ...]
    keys: tuple[Key, ...]
    consent_required: bool = False
    attributes: tuple[str, ...] | None = None
    segment_events: tuple[SegmentEvent, ...] = ()
    version: int
    created_at: int
    updated_at: int
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment (DOMAIN §5). `settings` are complete and in normal form; `running_since` is of the latest start."""

    id: str
    type: str
    name: str
    description: str
    configuration_id: str | None
    settings: dict[str, Any]
    status: Status
    version: int
    has_run: bool
    running_since: int | None
    stopped_at: int | None
    created_at: int
    updated_at: int
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what and when; `before` and `after` are the resource's documents, None where there was none."""

    id: int
    at: int
    actor: str
    action: str
    kind: str
    resource_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A customer, by a keyed hash, whose signals are refused. `ended_at`: they are taken again since."""

    id: str
    configuration_id: str
    version: int
    created_at: int
    created_by: str
    ended_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A resource that is no more; readers that were away learn of it from a snapshot."""

    kind: str
    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A part of a list; `total` counts all of it."""

    items: tuple[T, ...]
    page: int
    page_size: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which part of a list is asked for. `sort`: an attribute, `-` before it for descending."""

    page: int = 1
    page_size: int = 20
    search: str = ""
    sort: str = "-updated_at"

    @property
    def offset(self) -> int:
        """How many entries come before the page."""
        return (self.page - 1) * self.page_size

    @property
    def words(self) -> tuple[str, ...]:
        """The words searched for, without regard to case; an entry must contain all."""
        return tuple(folded(self.search).split())


def folded(text: str) -> str:
    """Text as it is compared in searches and sorted by."""
    return text.casefold()
