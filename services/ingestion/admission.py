"""Who may send which signal from where (DOMAIN §3). Pure: states in, an admission or a refusal out."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import msgspec

from contracts.configurations import (
    IDENTIFY,
    ConfigurationState,
    InvalidDomain,
    KeyState,
    domain_allows,
    normalise_host,
)
from contracts.signals import Reference, SignalKind, Touchpoint
from services.ingestion.refusals import Refusal
from services.ingestion.segment.mapping import Table, declared_table, extended
from services.ingestion.signing import Signature, Verifier

_ORIGIN = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#\\@\s]+)")  # IGNORECASE would take the long s, too
_LONGEST_HOST = 255
_LONGEST_ORIGIN = len("https://") + _LONGEST_HOST + len(":65535")
"""What is longer is not looked at, and never remembered: whoever asks would choose how much memory that takes."""
_DEFAULT_ID_TYPES = ("email",)
_NOBODY: Mapping[str, frozenset[bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Listener:
    """An audience configuration as ingestion needs it.

    `consent_required`: only signals that say so are taken. `attributes`: the undeclared fields that are kept, or None
    for all. `table`: what calls of Segment's API become. `suppressed`: hashes of the customers whose signals are
    refused (`contracts.erasures.subject_of`).
    """

    id: str
    domains: tuple[str, ...]
    id_types: frozenset[str]
    reference: Reference
    audience: Reference
    consent_required: bool = False
    attributes: frozenset[str] | None = None
    table: Table = field(default_factory=declared_table)
    suppressed: frozenset[bytes] = frozenset()


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A key was recognised: what it stands for, and where its signals come from.

    `kinds`: those that it may send, and `IDENTIFY`; None: any. `signed`: the request was taken for its signature.
    """

    listener: Listener
    key_id: str
    touchpoint: Touchpoint
    kinds: tuple[str, ...] | None = None
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """All keys and domains at one moment; immutable, so that threads share it."""

    keys: dict[str, tuple[tuple[Listener, KeyState], ...]]
    domains: tuple[str, ...]
    verifier: Verifier
    listeners: dict[str, Listener] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        states: Iterable[ConfigurationState],
        verifier: Verifier,
        suppressed: Mapping[str, frozenset[bytes]] = _NOBODY,
    ) -> Directory:
        """The directory of the newest states; deleted configurations have no keys and no domains."""
        keys: dict[str, tuple[tuple[Listener, KeyState], ...]] = {}
        domains: dict[str, None] = {}
        listeners: dict[str, Listener] = {}
        for state in states:
            if state.deleted:
                continue
            listeners[state.id] = listener = _listener(state, suppressed.get(state.id, frozenset()))
            domains.update(dict.fromkeys(state.domains))
            for key in state.keys:
                keys[key.id] = (*keys.get(key.id, ()), (listener, key))
        return cls(keys, tuple(domains), verifier, listeners)


def _listener(state: ConfigurationState, suppressed: frozenset[bytes]) -> Listener:
    audience = state.audience
    return Listener(
        id=state.id,
        domains=state.domains,
        id_types=frozenset(audience.id_types if audience else _DEFAULT_ID_TYPES),
        reference=Reference(state.id, state.name),
        audience=Reference(audience.id, audience.name) if audience else Reference(""),
        consent_required=state.consent_required,
        attributes=None if state.attributes is None else frozenset(state.attributes),
        table=extended(declared_table(), state.segment_events),
        suppressed=suppressed,
    )


def hash_secret(pepper: bytes, secret: str) -> str:
    """The hex HMAC-SHA256 that a `KeyState` keeps of a server key's secret."""
    return hmac.digest(pepper, secret.encode("utf-8", "surrogatepass"), "sha256").hex()


def admit(
    directory: Directory,
    key_header: str | None,
    origin: str | None,
    site: str | None,
    kind: SignalKind,
    now: int,
) -> Admitted | Refusal:
    """Whether a signal of `kind` about a normalised `site` is taken from this key and Origin at `now` (µs)."""
    admitted = admit_key(directory, key_header, origin, now)
    if isinstance(admitted, Refusal):
        return admitted
    return admit_kind(admitted, kind) or admit_site(admitted, site) or admitted


def admit_key(
    directory: Directory, key_header: str | None, origin: str | None, now: int, signature: Signature | None = None
) -> Admitted | Refusal:
    """The part of `admit` that holds for a whole request: 401 for the key, 403 when disabled or of foreign origin."""
    if not key_header:
        return Refusal(401, "missing_key", "the header X-Api-Key is missing")
    key_id, colon, secret = key_header.strip().partition(":")
    known = directory.keys.get(key_id, ())
    if not known:
        return Refusal(401, "unknown_key", "the key is unknown")
    matching = [pair for pair in known if _secret_fits(directory.verifier.pepper, pair[1], secret if colon else None)]
    if not matching:
        return Refusal(401, "wrong_secret", "the key's secret is missing or wrong")
    return _admit_matching(matching, origin, now, lambda key: directory.verifier.refusal(signature, key.id, now))


def admit_again(
    directory: Directory, configuration: str, key_id: str, origin: str | None, now: int
) -> Admitted | Refusal:
    """What `admit_key` would say now of a request that was refused before.

    Neither its secret nor its signature is asked for: of whoever failed to show them nothing was kept.
    """
    known = [pair for pair in directory.keys.get(key_id, ()) if pair[0].id == configuration]
    if not known:
        return Refusal(401, "unknown_key", "the key is unknown")
    return _admit_matching(known, origin, now, lambda _: None)


def _admit_matching(
    matching: Sequence[tuple[Listener, KeyState]],
    origin: str | None,
    now: int,
    unsigned_by: Callable[[KeyState], Refusal | None],
) -> Admitted | Refusal:
    alive = [(listener, key) for listener, key in matching if key.expires_at is None or now < key.expires_at]
    if not alive:
        return Refusal(401, "expired_key", "the key has been replaced by a newer one")
    listener, key = alive[0]
    unsigned = unsigned_by(key) if key.signed else None
    if unsigned is not None:
        return unsigned
    if not key.enabled:
        return Refusal(403, "disabled_key", "the key is disabled")
    if key.type == "web" and not origin_allowed(listener.domains, origin):
        return Refusal(403, "foreign_origin", "the Origin is not a domain of the audience configuration")
    return Admitted(listener, key.id, key.type, key.kinds, key.signed)


def _secret_fits(pepper: bytes, key: KeyState, secret: str | None) -> bool:
    """A key that needs signatures is named without its secret, too: what signs is another."""
    if key.type != "server" or (key.signed and secret is None):
        return secret is None
    if secret is None or key.secret_hash is None:
        return False
    return hmac.compare_digest(hash_secret(pepper, secret), key.secret_hash)


def listener_of(directory: Directory, key_header: str | None) -> Listener | None:
    """The configuration that a key belongs to, whether or not it admits anything; None for an unknown one."""
    known = directory.keys.get((key_header or "").strip().partition(":")[0])
    return known[0][0] if known else None


def admit_kind(admitted: Admitted, kind: SignalKind) -> Refusal | None:
    """403 for a kind that the catalogue does not take from this touchpoint, or that its key may not send."""
    if admitted.touchpoint != "server" and admitted.touchpoint not in kind.touchpoints:
        return Refusal(403, "kind_not_allowed", f"{kind.name} is not taken from the touchpoint {admitted.touchpoint}")
    if admitted.kinds is not None and kind.name not in admitted.kinds:
        return Refusal(403, "kind_not_of_key", f"this key may not send {kind.name}")
    return None


def admit_telling(admitted: Admitted) -> Refusal | None:
    """403 for who an anonymous customer is, where the kinds that a key may send are listed and that is not."""
    if admitted.kinds is None or IDENTIFY in admitted.kinds:
        return None
    return Refusal(403, "kind_not_of_key", f"this key may not tell who somebody is: {IDENTIFY} is not among its kinds")


def admit_site(admitted: Admitted, site: str | None) -> Refusal | None:
    """403 for a normalised site outside the domains; where there are none (then no web key fits) any will do."""
    if site is None:
        return None
    domains = admitted.listener.domains
    if domain_allows(domains, site) or not domains:
        return None
    return Refusal(403, "foreign_site", "the site is not a domain of the audience configuration")


def origin_allowed(domains: tuple[str, ...], origin: str | None) -> bool:
    """Whether an Origin header names one of the domains, over http or https on any port."""
    if origin is None or len(origin) > _LONGEST_ORIGIN:
        return False
    host = _origin_host(origin)
    return host is not None and domain_allows(domains, host)


@lru_cache(maxsize=4096)
def _origin_host(origin: str) -> str | None:
    match = _ORIGIN.fullmatch(origin)
    return None if match is None else host_of(match[1])


def host_of(site: str) -> str | None:
    """The normalised host, or None where the text is none; remembered, since IDNA is slow and sites are few."""
    return _host_of(site) if len(site) <= _LONGEST_HOST else None


@lru_cache(maxsize=4096)
def _host_of(site: str) -> str | None:
    try:
        return normalise_host(site)
    except InvalidDomain:
        return None
