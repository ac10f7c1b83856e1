"""What can be done with moments: their settings, their link and their status (DOMAIN §5)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from contracts import templates as declared
from contracts.moments import DELETABLE, EDITABLE, TRANSITIONS, Status
from contracts.templates import templates, validate_settings
from services.config.access import actor
from services.config.audit import Audit
from services.config.errors import ArchivedFixed, CannotRun, LinkFixed, NotDeletable, StatusRefused
from services.config.publication import Publication
from services.config.resources import AudienceConfiguration, Listing, Moment, Page, folded
from services.config.store import ConfigStore, ReferenceBroken
from shared.clock import Clock
from shared.conditions import ANY_VERSION, Expected, VersionConflict
from shared.http import NotFound, Unprocessable
from shared.problems import Fault

LONGEST_NAME = 200


class Moments:
    """Moments; every change is one transaction with its audit entry and its published state."""

    def __init__(self, store: ConfigStore, publication: Publication, audit: Audit, clock: Clock) -> None:
        self._store = store
        self._publication = publication
        self._audit = audit
        self._clock = clock

    def page(self, listing: Listing, filters: dict[str, str]) -> Page[Moment]:
        """A page of the list."""
        with self._store.reading():
            found, total = self._store.moments_page(listing, filters)
        return Page(items=tuple(found), page=listing.page, page_size=listing.page_size, total=total)

    def page_by(self, numbers: Mapping[str, int], listing: Listing, filters: dict[str, str]) -> Page[Moment]:
        """A page of the list by a number that others know of each moment; one without a number counts 0.

        The greatest first where the listing sorts by `-…`; ties as in the list, the newest update first.
        """
        sign = -1 if listing.sort.startswith("-") else 1
        with self._store.reading():
            ids = self._store.moment_ids(listing, filters)
            ids.sort(key=lambda each: sign * numbers.get(each, 0))
            found = self._store.moments_called(ids[listing.offset : listing.offset + listing.page_size])
        return Page(items=tuple(found), page=listing.page, page_size=listing.page_size, total=len(ids))

    def called(self, moment_ids: Sequence[str]) -> tuple[Moment, ...]:
        """The moments of these ids, those that are still there."""
        ids = [each for each in moment_ids if "\0" not in each]  # PostgreSQL does not take it
        with self._store.reading():
            return tuple(self._store.moments_called(ids))

    def running_by_type(self) -> dict[str, int]:
        """Type → how many of its moments run, for every type of which there is a moment."""
        with self._store.reading():
            found = self._store.statuses_by_type()
        counts = dict.fromkeys((type for type, _, _ in found), 0)
        for type, status, count in found:
            counts[type] += count if status == "running" else 0
        return counts

    def get(self, moment_id: str) -> Moment:
        """One moment; raises NotFound."""
        with self._store.reading():
            return self._known(moment_id)

    def create(
        self,
        *,
        type: str,
        name: str,
        description: str,
        audience_configuration_id: uuid.UUID,
        settings: Mapping[str, Any],
        id: str | None = None,
    ) -> Moment:
        """A draft; raises Unprocessable.

        `id`: chosen by who asks, so that what is asked for twice is made once: a moment of this id that is the same
        is returned; where it is another one, or was deleted, a new id is taken.
        """
        try:
            with self._store.transaction():
                configuration = self._linked(str(audience_configuration_id))
                now = self._clock.now()
                made = Moment(
                    id=str(uuid.uuid4()) if id is None or self._store.is_deleted(id) else id,
                    type=type,
                    name=name,
                    description=description,
                    configuration_id=configuration.id,
                    settings=_checked(type, settings, configuration),
                    status="draft",
                    version=1,
                    has_run=False,
                    running_since=None,
                    stopped_at=None,
                    created_at=now,
                    updated_at=now,
                    updated_by=actor(),
                )
                present = self._store.moment(made.id)
                if present is not None and _is_same(present, made):
                    return present
                made = made if present is None else replace(made, id=str(uuid.uuid4()))
                self._add(made, now)
        except ReferenceBroken as error:
            present = None if id is None else self._found(id)
            if present is not None and _is_same(present, made):  # asked for twice at the same time
                return present
            raise _no_configuration(str(audience_configuration_id)) from error
        return made

    def duplicate(self, moment_id: str, name: str) -> Moment:
        """A draft like another moment, by another name; raises NotFound."""
        with self._store.transaction():
            former, now = self._known(moment_id), self._clock.now()
            made = replace(
                former,
                id=str(uuid.uuid4()),
                name=name,
                status="draft",
                version=1,
                has_run=False,
                running_since=None,
                stopped_at=None,
                created_at=now,
                updated_at=now,
                updated_by=actor(),
            )
            self._add(made, now)
        return made

    def free_name(self, name: str) -> str:
        """A name that no moment has: this one, or with the first number after it that is free; never too long."""
        with self._store.reading():
            taken = self._store.names_beginning(name[: LONGEST_NAME - 8])
        number, free = 1, name[:LONGEST_NAME]
        while folded(free) in taken:
            number += 1
            free = f"{name[: LONGEST_NAME - len(str(number)) - 1]} {number}"
        return free

    def change(self, moment_id: str, changes: dict[str, Any], expected: Expected) -> Moment:
        """Merge changes, settings one by one.

        Raises NotFound, VersionConflict, ArchivedFixed, LinkFixed, Unprocessable.
        """
        try:
            with self._store.transaction():
                former = self._known(moment_id, expected)
                return self._write("change", former, self._merged(former, changes))
        except ReferenceBroken as error:
            raise _no_configuration(str(changes.get("audience_configuration_id"))) from error

    def set_status(self, moment_id: str, status: Status, expected: Expected = ANY_VERSION) -> Moment:
        """Start, stop, archive or reopen it; raises NotFound, VersionConflict, StatusRefused, CannotRun."""
        with self._store.transaction():
            former = self._known(moment_id, expected)
            return self._write(f"set {status}", former, self._with_status(former, status))

    def foreseen(
        self, moment_id: str, changes: dict[str, Any], status: Status | None, expected: Expected
    ) -> tuple[Moment, Moment]:
        """The moment as it is, and as changes and a status would make it; refuses what they would, writes nothing."""
        with self._store.reading():
            former = self._known(moment_id)
            expected.check(former)
            wanted = self._merged(former, changes) if changes else former
            return former, wanted if status is None else self._with_status(wanted, status)

    def delete(self, moment_id: str, expected: Expected = ANY_VERSION) -> None:
        """Delete a draft or archived one; raises NotFound, VersionConflict, NotDeletable."""
        with self._store.transaction():
            former = self._known(moment_id, expected)
            if former.status not in DELETABLE:
                raise NotDeletable(f"It is {former.status}; archive it first.")
            now = self._clock.now()
            if not self._store.remove_moment(former, now):
                raise VersionConflict()
            self._audit.moment("delete", former, None, now)
            self._publication.deleted("moment", former)

    def forget_old_settings(self, before: int) -> int:
        """Delete the settings that were superseded before an instant; returns how many."""
        with self._store.transaction():
            kept = self._store.histories(None, before)
            return sum(self._store.forget_settings(moment_id, each[0].version) for moment_id, each in kept.items())

    def _found(self, moment_id: str) -> Moment | None:
        with self._store.reading():
            return self._store.moment(moment_id)

    def _known(self, moment_id: str, expected: Expected | None = None) -> Moment:
        found = None if "\0" in moment_id else self._store.moment(moment_id, lock=expected is not None)
        if found is None:
            raise NotFound(f"There is no moment {moment_id}.")
        if expected is not None:
            expected.check(found)
        return found

    def _add(self, made: Moment, now: int) -> None:
        """Write, publish and record a new moment in the caller's transaction."""
        self._store.add_moment(made)
        self._audit.moment("create", None, made, now)
        self._publication.moments([made])

    def _linked(self, configuration_id: str) -> AudienceConfiguration:
        found = self._store.configuration(configuration_id)
        if found is None:
            raise _no_configuration(configuration_id)
        return found

    def _merged(self, former: Moment, changes: dict[str, Any]) -> Moment:
        """The moment with changes; settings are checked when they or the link change."""
        if former.status not in EDITABLE:
            raise ArchivedFixed("Change its status to draft first.")
        fields: dict[str, Any] = {name: changes[name] for name in ("name", "description") if name in changes}
        link = str(changes["audience_configuration_id"]) if "audience_configuration_id" in changes else None
        if link is not None and link != former.configuration_id:
            if former.has_run and former.configuration_id is not None:
                raise LinkFixed("Make a new moment for another audience configuration.")
            fields["configuration_id"] = link
        if "settings" in changes or "configuration_id" in fields:
            linked = fields.get("configuration_id", former.configuration_id)
            configuration = None if linked is None else self._linked(linked)
            wanted = {**former.settings, **changes.get("settings", {})}
            fields["settings"] = _checked(former.type, wanted, configuration)
        return replace(former, **fields)

    def _with_status(self, former: Moment, status: Status) -> Moment:
        allowed = TRANSITIONS[former.status]
        if status not in allowed:
            raise StatusRefused(f"From {former.status} it can change to {' or '.join(allowed)}, not to {status}.")
        now = self._clock.now()
        if status == "running":
            self._check_runnable(former)
            since = max(now, (former.running_since or 0) + 1)
            return replace(former, status=status, has_run=True, running_since=since, stopped_at=None)
        stops = former.status == "running"
        return replace(former, status=status, stopped_at=now if stops else former.stopped_at)

    def _check_runnable(self, moment: Moment) -> None:
        configuration = moment.configuration_id and self._store.configuration(moment.configuration_id)
        if not configuration:
            raise CannotRun("It has no audience configuration; give it one first.")
        faults = _faults(moment.type, moment.settings, configuration)[1]
        if faults:
            raise CannotRun("Its settings need a change first.", faults=faults)

    def _write(self, action: str, former: Moment, wanted: Moment) -> Moment:
        """Write, publish and record a change; nothing happens when nothing differs."""
        if wanted == former:
            return former
        now = max(self._clock.now(), former.updated_at + 1)
        changed = replace(wanted, version=former.version + 1, updated_at=now, updated_by=actor())
        if not self._store.change_moment(changed, former.version):
            raise VersionConflict()
        if changed.settings != former.settings:
            self._store.add_settings(changed, now)
        self._audit.moment(action, former, changed, now)
        self._publication.moments([changed])
        return changed


def _is_same(one: Moment, other: Moment) -> bool:
    """Whether two moments were made of the same."""
    return all(
        getattr(one, name) == getattr(other, name) for name in ("type", "name", "description", "configuration_id")
    )


def _no_configuration(configuration_id: str) -> Unprocessable:
    reason = f"There is no audience configuration {configuration_id}; make one first."
    return Unprocessable(reason, faults=[Fault("/audienceConfigurationId", reason)])


def _checked(type: str, settings: Mapping[str, Any], configuration: AudienceConfiguration | None) -> dict[str, Any]:
    normal, faults = _faults(type, settings, configuration)
    if faults:
        raise Unprocessable(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the settings.", faults=faults)
    return normal


def _faults(
    type: str, settings: Mapping[str, Any], configuration: AudienceConfiguration | None
) -> tuple[dict[str, Any], list[Fault]]:
    template = templates().get(type)
    if template is None:
        return dict(settings), [Fault("/type", f"This version has no template {type}.")]
    domains = None if configuration is None else configuration.domains
    normal, found = validate_settings(template, settings, domains)
    return normal, _pointed(found)


def _pointed(found: Sequence[declared.Fault]) -> list[Fault]:
    return [Fault(f"/settings{fault.pointer}", fault.reason) for fault in found]
