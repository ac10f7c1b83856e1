"""Audience configurations: which domains, keys and audience a signal is held against (DOMAIN §3)."""

from __future__ import annotations

from typing import Literal

import idna
import msgspec
from publicsuffixlist import PublicSuffixList

KeyType = Literal["web", "app", "server"]
IDENTIFY = "identify"
"""What stands among the kinds of a limited key that may tell who an anonymous customer is, which is no signal."""
KEY_PREFIXES: dict[KeyType, str] = {"web": "pk", "app": "ak", "server": "sk"}

LARGEST_PORT = 65_535
_LONGEST_HOST = 253

_suffixes: list[PublicSuffixList] = []


class InvalidDomain(ValueError):
    """The text is no domain that a configuration may hold."""


class KeyState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A key as ingestion knows it. Times in microseconds.

    `secret_hash`: hex HMAC-SHA256 of the secret with the installation's pepper (server keys only).
    `expires_at`: set on the old key of an overlap; from then on it is unknown.
    `kinds`: the kinds of signals that it may send, and `IDENTIFY`; None: all that its touchpoint may.
    `signed`: only signed requests are taken (server keys only; `contracts.signatures`).
    """

    id: str
    type: KeyType
    enabled: bool
    secret_hash: str | None = None
    expires_at: int | None = None
    kinds: tuple[str, ...] | None = None
    signed: bool = False


class AudienceState(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The audience in the marketing platform and the idTypes that it accepts."""

    id: str
    name: str
    id_types: tuple[str, ...] = ("email",)


class SegmentEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What an event of Segment's API becomes for one configuration, before the declared table is asked.

    `event`: its name, in any case. `signal`: the kind of signal; None: none, it is only counted. `items`: the property
    that lists products; `.` where the properties are one. `fields`: field of the signal, of a line as `items.<field>`
    → the property it is taken from; steps into objects by full stops, `context.` first for the context.
    """

    event: str
    signal: str | None = None
    items: str = ""
    fields: dict[str, str] = {}


class ConfigurationState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The published, full state of a configuration. Readers keep the greatest `version`.

    `consent_required`: only signals that say `consent: true` are taken. `attributes`: the names of undeclared fields
    that are kept, those of lines as `items.<name>`; None: all. `segment_events`: what events become beside the declared
    table.
    """

    id: str
    version: int
    name: str = ""
    audience: AudienceState | None = None
    domains: tuple[str, ...] = ()
    keys: tuple[KeyState, ...] = ()
    consent_required: bool = False
    attributes: tuple[str, ...] | None = None
    segment_events: tuple[SegmentEvent, ...] = ()
    deleted: bool = False


def normalise_host(text: str) -> str:
    """A host in lower-case A-labels: UTS 46 non-transitional, port and trailing dot dropped; else InvalidDomain."""
    host = text.strip()
    if "://" in host or "/" in host or "@" in host or host.startswith("["):
        raise InvalidDomain(f"{text!r} is not a host name")
    head, colon, port = host.partition(":")
    if colon and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= LARGEST_PORT):
        raise InvalidDomain(f"{text!r} has no valid port")
    if not head:
        raise InvalidDomain("a host name is missing")
    if len(head) > _LONGEST_HOST + 1:  # with a full stop at its end; before IDNA, which takes long for it
        raise InvalidDomain(f"a host name has at most {_LONGEST_HOST} characters")
    try:
        # the dot goes after the mapping, which knows other full stops, and refuses two at the end
        return idna.encode(head, uts46=True, transitional=False).decode("ascii").lower().removesuffix(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidDomain(f"{text!r} is not a valid host name: {error}") from error


def normalise_domain(text: str) -> str:
    """A domain of a configuration, `shop.example.com` or `*.example.com`; `*.` + a public suffix is refused."""
    stripped = text.strip()
    if not stripped.startswith("*."):
        if "*" in stripped:
            raise InvalidDomain(f"{text!r}: a wildcard stands only as the first label, as in *.example.com")
        return normalise_host(stripped)
    if not _suffixes:
        _suffixes.append(PublicSuffixList())
    apex = normalise_host(stripped[2:])
    if _suffixes[0].privatesuffix(apex) is None:
        raise InvalidDomain(f"{text!r} would admit every site under the public suffix {apex}")
    return f"*.{apex}"


def domain_allows(domains: tuple[str, ...], host: str) -> bool:
    """Whether a normalised host is one of the normalised domains; a wildcard means sub-domains of any depth."""
    return any(host.endswith(domain[1:]) if domain.startswith("*.") else host == domain for domain in domains)
