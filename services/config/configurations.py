"""What can be done with audience configurations and their keys (DOMAIN §3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.configurations import IDENTIFY, AudienceState, KeyType
from contracts.moments import DELETABLE
from contracts.signals import CATALOGUE, KINDS
from services.config.access import actor
from services.config.audit import Audit
from services.config.errors import MomentsRefer, SitesInUse
from services.config.keys import KeyMaker
from services.config.publication import Publication
from services.config.resources import AudienceConfiguration, Key, Listing, Moment, Page
from services.config.store import ConfigStore, ReferenceBroken
from shared.clock import Clock
from shared.conditions import ANY_VERSION, Expected, VersionConflict
from shared.http import NotFound, Unprocessable
from shared.problems import Fault

_TYPES: tuple[KeyType, ...] = ("web", "app", "server")
_SECOND = 1_000_000
_MOST_NAMED = 5


class Configurations:
    """Audience configurations; every change is one transaction with its audit entry and its published state."""

    def __init__(
        self, store: ConfigStore, publication: Publication, audit: Audit, keys: KeyMaker, clock: Clock
    ) -> None:
        self._store = store
        self._publication = publication
        self._audit = audit
        self._keys = keys
        self._clock = clock

    def page(self, listing: Listing) -> Page[AudienceConfiguration]:
        """A page of the list."""
        with self._store.reading():
            found, total = self._store.configurations_page(listing)
        return Page(items=tuple(found), page=listing.page, page_size=listing.page_size, total=total)

    def names(self) -> dict[str, str]:
        """Id → name of all configurations, by name."""
        with self._store.reading():
            return self._store.configuration_names()

    def get(self, configuration_id: str) -> AudienceConfiguration:
        """One configuration; raises NotFound."""
        with self._store.reading():
            return self._known(configuration_id)

    def create(self, **fields: Any) -> AudienceConfiguration:
        """A new configuration with three disabled keys; the server key carries its secret, this once.

        `fields`: as `NewConfigurationSchema` reads them.
        """
        now = self._clock.now()
        made = AudienceConfiguration(
            **_values(fields),
            id=str(uuid.uuid4()),
            keys=tuple(self._keys.make(type, now) for type in _TYPES),
            version=1,
            created_at=now,
            updated_at=now,
            updated_by=actor(),
        )
        with self._store.transaction():
            self._store.add_configuration(made)
            self._audit.configuration("create", None, made, now)
            self._publication.configuration(made)
        return made

    def change(self, configuration_id: str, changes: dict[str, Any], expected: Expected) -> AudienceConfiguration:
        """Merge changes; raises NotFound, VersionConflict, SitesInUse."""
        with self._store.transaction():
            former = self._known(configuration_id, expected)
            wanted = replace(former, **_values(changes))
            self._keep_sites(former, wanted.domains)
            return self._write("change", former, wanted)

    def delete(self, configuration_id: str, expected: Expected = ANY_VERSION) -> None:
        """Delete it with its keys; draft and archived moments lose the link, others refuse it (MomentsRefer)."""
        try:
            with self._store.transaction():
                former = self._known(configuration_id, expected)
                moments = self._store.moments_of(configuration_id, lock=True)
                _refuse_deletion([moment for moment in moments if moment.status not in DELETABLE])
                now = self._clock.now()
                self._unlink(moments, now)
                if not self._store.remove_configuration(former, now):
                    raise VersionConflict()
                self._audit.configuration("delete", former, None, now)
                self._publication.deleted("configuration", former)
        except ReferenceBroken as error:
            raise MomentsRefer("A moment was linked to it at this moment.") from error

    def change_key(
        self, configuration_id: str, key: str, changes: Mapping[str, Any], expected: Expected = ANY_VERSION
    ) -> AudienceConfiguration:
        """Enable, disable or limit a key, named by its type or its id; raises NotFound, Unprocessable.

        One that is told to be signed carries the secret that signs.
        """
        with self._store.transaction():
            former = self._known(configuration_id, expected)
            wanted = _key_of(former, key)
            changed = _changed_key(wanted, changes)
            keys = tuple(changed if each.id == wanted.id else each for each in former.keys)
            written = self._write(_doing(changes), former, replace(former, keys=keys))
        return self._telling(written, wanted.id) if changes.get("signed") else written

    def regenerate_key(
        self, configuration_id: str, key: str, *, overlap_seconds: int, expected: Expected = ANY_VERSION
    ) -> AudienceConfiguration:
        """Replace a key by a new one, as enabled and limited as the old, which stays valid for the overlap.

        The new server key carries its secret, this once. An old key that is disabled goes at once.
        """
        with self._store.transaction():
            former = self._known(configuration_id, expected)
            old = _key_of(former, key)
            if old.expires_at is not None:
                raise NotFound("This key has been replaced already.")
            now = self._clock.now()
            made = self._keys.make(old.type, now, enabled=old.enabled)
            made = replace(made, kinds=old.kinds, signed=old.signed)
            kept = tuple(each for each in former.keys if each.id != old.id)
            if overlap_seconds and old.enabled:
                kept = (*kept, replace(old, expires_at=now + overlap_seconds * _SECOND))
            written = self._write("regenerate key", former, replace(former, keys=(*kept, made)))
        return self._telling(written, made.id)

    def note_key_uses(self, uses: Mapping[str, int]) -> int:
        """Note when keys were last used (µs); keys that are no more are passed over. Returns how many were noted.

        No change of a configuration: its version stays, nothing is published, the audit log does not hold it. Each in
        a transaction of its own, so that it waits for no editor while another waits for it.
        """
        noted = 0
        for key, at in uses.items():
            with self._store.transaction():
                noted += self._store.note_key_use(key, at)
        return noted

    def drop_ended_keys(self) -> int:
        """Remove the keys whose overlap is over; returns of how many configurations."""
        now = self._clock.now()
        with self._store.reading():
            concerned = self._store.configurations_with_ended_keys(now)
        for configuration_id in concerned:
            with self._store.transaction():
                former = self._store.configuration(configuration_id, lock=True)
                if former is not None:
                    kept = tuple(key for key in former.keys if key.expires_at is None or key.expires_at > now)
                    self._write("end key", former, replace(former, keys=kept))
        return len(concerned)

    def _telling(self, value: AudienceConfiguration, key: str) -> AudienceConfiguration:
        """The configuration with the secret by which one of its keys signs, if it does."""
        tell = self._keys.with_signing_secret
        return replace(value, keys=tuple(tell(each) if each.id == key else each for each in value.keys))

    def _known(self, configuration_id: str, expected: Expected | None = None) -> AudienceConfiguration:
        found = self._store.configuration(configuration_id, lock=expected is not None)
        if found is None:
            raise NotFound(f"There is no audience configuration {configuration_id}.")
        if expected is not None:
            expected.check(found)
        return found

    def _write(
        self, action: str, former: AudienceConfiguration, wanted: AudienceConfiguration
    ) -> AudienceConfiguration:
        """Write, publish and record a change; nothing happens when nothing differs."""
        if wanted == former:
            return former
        now = max(self._clock.now(), former.updated_at + 1)
        changed = replace(wanted, version=former.version + 1, updated_at=now, updated_by=actor())
        if not self._store.change_configuration(changed, former.version):
            raise VersionConflict()
        self._audit.configuration(action, former, changed, now)
        self._publication.configuration(changed)
        return changed

    def _unlink(self, moments: list[Moment], now: int) -> None:
        unlinked = []
        for moment in moments:
            changed = replace(
                moment,
                configuration_id=None,
                version=moment.version + 1,
                updated_at=max(now, moment.updated_at + 1),
                updated_by=actor(),
            )
            if not self._store.change_moment(changed, moment.version):
                raise VersionConflict()
            self._audit.moment("lose link", moment, changed, now)
            unlinked.append(changed)
        self._publication.moments(unlinked)

    def _keep_sites(self, former: AudienceConfiguration, domains: tuple[str, ...]) -> None:
        gone = set(former.domains) - set(domains)
        if not gone:
            return
        limited = [
            moment
            for moment in self._store.moments_of(former.id)
            if moment.status == "running" and gone.intersection(moment.settings.get("sites") or ())
        ]
        if limited:
            raise SitesInUse(f"The sites of running moments name a domain that would go: {_named(limited)}.")


def _values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a configuration has them: lists fixed, the audience as it travels."""
    values: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()}
    return {**values, "audience": _audience(values["audience"])} if "audience" in values else values


def _audience(fields: dict[str, Any]) -> AudienceState:
    return AudienceState(id=fields["id"], name=fields["name"], id_types=tuple(fields["id_types"]))


def _key_of(configuration: AudienceConfiguration, key: str) -> Key:
    for each in configuration.keys:
        if each.id == key or (each.type == key and each.expires_at is None):
            return each
    raise NotFound("The configuration has no such key; say web, app, server or the key's id.")


def _changed_key(key: Key, changes: Mapping[str, Any]) -> Key:
    """The key with changes of its fields; raises Unprocessable for what keys of its type cannot do."""
    if changes.get("signed") and key.type != "server":
        fault = Fault("/signed", f"A {key.type} key is public; only servers can sign.")
        raise Unprocessable("The key cannot be limited like this.", faults=(fault,))
    kinds = changes.get("kinds")
    if kinds is None:
        return replace(key, **changes)
    foreign = [
        Fault(f"/kinds/{place}", f"A {key.type} key does not send {name}.")
        for place, name in enumerate(kinds)
        if not sends(key.type, name)
    ]
    if foreign:
        raise Unprocessable("The key cannot be limited like this.", faults=tuple(foreign))
    names = (*(kind.name for kind in KINDS), IDENTIFY)
    return replace(key, **{**changes, "kinds": tuple(name for name in names if name in kinds)})


def sends(type: KeyType, kind: str) -> bool:
    """Whether keys of a type may send a kind of signal at all; each may tell who somebody is."""
    return type == "server" or kind == IDENTIFY or type in CATALOGUE[kind].touchpoints


def _doing(changes: Mapping[str, Any]) -> str:
    if set(changes) == {"enabled"}:
        return "enable key" if changes["enabled"] else "disable key"
    return "change key"


def _refuse_deletion(moments: list[Moment]) -> None:
    if moments:
        raise MomentsRefer(
            f"Archive or delete first: {_named(moments)}. Only draft and archived moments may refer to it."
        )


def _named(moments: list[Moment]) -> str:
    names = [f"{moment.name} ({moment.id}, {moment.status})" for moment in moments[:_MOST_NAMED]]
    more = len(moments) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
