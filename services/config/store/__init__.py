"""Config's database: configurations with their keys, moments with the history of their settings, audit, deletions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
import peewee

from contracts.configurations import KEY_PREFIXES
from contracts.moments import SettingsVersion, Status
from services.config.resources import AudienceConfiguration, AuditEntry, Deletion, Key, Listing, Moment, folded
from services.config.store.access import AccessStore
from services.config.store.migrations import MIGRATIONS
from services.config.store.rows import (
    Rows,
    audit_entry_of,
    configuration_of,
    configuration_row,
    key_limits,
    key_of,
    key_row,
    moment_of,
    moment_row,
    ordered,
    to_json,
)
from services.config.store.suppressions import SuppressionStore
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

SCHEMA = "moments_config"

_CONFIGURATION_COLUMNS = (
    *("id", "name", "name_key", "search_key", "description", "audience", "domains"),
    *("consent_required", "attributes", "segment_events", "version", "created_at", "updated_at", "updated_by"),
)
_KEY_COLUMNS = (
    *("id", "configuration_id", "type", "enabled", "secret_hash", "created_at", "expires_at", "last_used_at"),
    *("uses_noted", "kinds", "signed"),
)
_MOMENT_COLUMNS = (
    *("id", "type", "name", "name_key", "search_key", "description", "configuration_id", "settings", "status"),
    *("version", "has_run", "running_since", "stopped_at", "created_at", "updated_at"),
    "updated_by",
)
_STANDING: tuple[Status, ...] = ("running", "stopped", "draft", "archived")
_AUDIT_COLUMNS = ("id", "at", "actor", "action", "kind", "resource_id", "before", "after")


def _place(row: dict[str, Any]) -> tuple[int, int, str]:
    """Web, app, server; of one type the oldest first."""
    return list(KEY_PREFIXES).index(row["type"]), row["created_at"], row["id"]


class ReferenceBroken(Exception):
    """What a row refers to went away, or is referred to itself, in another transaction."""


def open_config_database(settings: Settings) -> peewee.Database:
    """Config's database; nothing is connected yet."""
    return open_database(settings.config_database_url, schema=SCHEMA)


class ConfigStore:
    """The tables of config. Every call needs `reading()` or `transaction()` around it."""

    def __init__(self, database: peewee.Database) -> None:
        self.database = database
        self._configurations = Rows(database, "configurations", _CONFIGURATION_COLUMNS)
        self._keys = Rows(database, "keys", _KEY_COLUMNS)
        self._moments = Rows(database, "moments", _MOMENT_COLUMNS)
        self._versions = Rows(database, "moment_versions", ("moment_id", "version", "since", "settings"))
        self._deletions = Rows(database, "deletions", ("id", "kind", "version", "deleted_at"))
        self._audit = Rows(database, "audit", _AUDIT_COLUMNS)
        self.access = AccessStore(database)
        self.suppressions = SuppressionStore(database)

    def migrate(self) -> None:
        """Bring the database to this version."""
        migrate(self.database, MIGRATIONS)

    def close(self) -> None:
        """Close all connections."""
        close_database(self.database)

    def reading(self) -> AbstractContextManager[peewee.Database]:
        """A connection for reading."""
        return connected(self.database)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; raises ReferenceBroken when it breaks a reference between tables."""
        with connected(self.database):
            try:
                with self.database.atomic():
                    yield
            except peewee.IntegrityError as error:
                raise ReferenceBroken(str(error)) from error

    def check(self) -> None:
        """Raises when the database does not answer."""
        with connected(self.database):
            self.database.execute_sql("SELECT 1")

    # Configurations and keys.

    def configuration(self, configuration_id: str, *, lock: bool = False) -> AudienceConfiguration | None:
        """One configuration."""
        rows = self._configurations.find(self._configurations.table.id == configuration_id, lock=lock)
        return self._with_keys(rows)[0] if rows else None

    def configurations(self) -> list[AudienceConfiguration]:
        """All configurations."""
        return self._with_keys(self._configurations.find())

    def configuration_names(self) -> dict[str, str]:
        """Id → name of all configurations, by name."""
        table = self._configurations.table
        query = table.select(table.id, table.name).order_by(table.name_key, table.id)
        return {row["id"]: row["name"] for row in query.dicts().execute()}

    def configurations_page(self, listing: Listing) -> tuple[list[AudienceConfiguration], int]:
        """A page of the configurations, and how many there are."""
        rows = self._configurations
        conditions = rows.containing(rows.table.search_key, listing.words)
        found, total = rows.page(conditions, ordered(rows.table, listing.sort), listing)
        return self._with_keys(found), total

    def add_configuration(self, value: AudienceConfiguration) -> None:
        """Write a new configuration with its keys."""
        self._configurations.table.insert(**configuration_row(value)).execute()
        self._add_keys(value)

    def change_configuration(self, value: AudienceConfiguration, former: int) -> bool:
        """Write a configuration with its keys; False when it has not the `former` version any more."""
        table = self._configurations.table
        row = configuration_row(value)
        changed = table.update(**row).where(table.id == value.id, table.version == former).execute()
        if not changed:
            return False
        self._write_keys(value)
        return True

    def remove_configuration(self, value: AudienceConfiguration, now: int) -> bool:
        """Delete a configuration with its keys; False when it has another version by now."""
        table = self._configurations.table
        gone = table.delete().where(table.id == value.id, table.version == value.version).execute()
        return bool(gone) and self._record_deletion("configuration", value.id, value.version + 1, now)

    def configurations_with_ended_keys(self, now: int) -> list[str]:
        """The ids of configurations with a key whose overlap is over."""
        table = self._keys.table
        return sorted({row["configuration_id"] for row in self._keys.find(table.expires_at <= now)})

    def note_key_use(self, key_id: str, at: int) -> bool:
        """Note when a key was last used, unless a later use is known; the configuration's version stays."""
        table = self._keys.table
        later = (table.id == key_id) & (table.last_used_at.is_null() | (table.last_used_at < at))
        return bool(table.update(last_used_at=at).where(later).execute())

    def _with_keys(self, rows: list[dict[str, Any]]) -> list[AudienceConfiguration]:
        table = self._keys.table
        keys: dict[str, list[Key]] = defaultdict(list)
        if rows:
            ids = [row["id"] for row in rows]
            found = self._keys.find(table.configuration_id.in_(ids)) if len(ids) <= 500 else self._keys.find()
            for row in sorted(found, key=_place):
                keys[row["configuration_id"]].append(key_of(row))
        return [configuration_of(row, tuple(keys[row["id"]])) for row in rows]

    def _add_keys(self, value: AudienceConfiguration) -> None:
        for key in value.keys:
            self._keys.table.insert(**key_row(key, value.id)).execute()

    def _write_keys(self, value: AudienceConfiguration) -> None:
        """Of a key that stands only what an editor changes: its last use may have been noted since it was read."""
        table = self._keys.table
        ids = [key.id for key in value.keys]
        table.delete().where(table.configuration_id == value.id, table.id.not_in(ids)).execute()
        for key in value.keys:
            row = {"enabled": key.enabled, "expires_at": key.expires_at, **key_limits(key)}
            if not table.update(**row).where(table.id == key.id).execute():
                table.insert(**key_row(key, value.id)).execute()

    # Moments.

    def moment(self, moment_id: str, *, lock: bool = False) -> Moment | None:
        """One moment."""
        rows = self._moments.find(self._moments.table.id == moment_id, lock=lock)
        return moment_of(rows[0]) if rows else None

    def moments(self) -> list[Moment]:
        """All moments."""
        return [moment_of(row) for row in self._moments.find()]

    def moments_of(self, configuration_id: str, *, lock: bool = False) -> list[Moment]:
        """The moments that refer to a configuration."""
        condition = self._moments.table.configuration_id == configuration_id
        return [moment_of(row) for row in self._moments.find(condition, lock=lock)]

    def moments_page(self, listing: Listing, filters: dict[str, str]) -> tuple[list[Moment], int]:
        """A page of the moments whose columns equal the filters, and how many there are.

        Beside columns they are sorted by `configuration`, its name, and `standing`: running, stopped, draft, archived.
        """
        found, total = self._moments.page(self._meeting(listing, filters), self._order(listing.sort), listing)
        return [moment_of(row) for row in found], total

    def moment_ids(self, listing: Listing, filters: dict[str, str]) -> list[str]:
        """The ids of all moments that `moments_page` would find, the newest update first."""
        table = self._moments.table
        conditions = self._meeting(listing, filters)
        query = table.select(table.id)
        query = query.where(*conditions) if conditions else query
        return [row["id"] for row in query.order_by(*ordered(table, "-updated_at")).dicts().execute()]

    def moments_called(self, moment_ids: Iterable[str]) -> list[Moment]:
        """The moments of these ids, those that are still there, in this order; for one page of them."""
        ids = list(moment_ids)
        rows = {row["id"]: row for row in self._moments.find(self._moments.table.id.in_(ids))}
        return [moment_of(rows[each]) for each in ids if each in rows]

    def names_beginning(self, text: str) -> set[str]:
        """The names of moments that begin with a text, as names are compared."""
        table, key = self._moments.table, folded(text)
        found = table.select(table.name_key).where(peewee.fn.substr(table.name_key, 1, len(key)) == key)
        return {row["name_key"] for row in found.dicts().execute()}

    def statuses_by_type(self) -> list[tuple[str, str, int]]:
        """Type, status, and how many moments there are of both."""
        table = self._moments.table
        found = table.select(table.type, table.status, peewee.fn.COUNT(table.id)).group_by(table.type, table.status)
        return [(row[0], row[1], int(row[2])) for row in found.tuples().execute()]

    def is_deleted(self, resource_id: str) -> bool:
        """Whether there was a resource of this id once."""
        return bool(self._deletions.find(self._deletions.table.id == resource_id))

    def _meeting(self, listing: Listing, filters: dict[str, str]) -> list[Any]:
        table = self._moments.table
        conditions = self._moments.containing(table.search_key, listing.words)
        return conditions + [getattr(table, column) == value for column, value in filters.items()]

    def _order(self, sort: str) -> list[Any]:
        table, column = self._moments.table, sort.removeprefix("-")
        if column == "configuration":
            named = self._configurations.table
            name = named.select(named.name_key).where(named.id == table.configuration_id)
            by: Any = peewee.fn.coalesce(name, "")
        elif column == "standing":
            by = peewee.Case(table.status, [(status, place) for place, status in enumerate(_STANDING)], len(_STANDING))
        else:
            return ordered(table, sort)
        return [by.desc() if sort.startswith("-") else by.asc(), *ordered(table, "-updated_at")]

    def add_moment(self, value: Moment) -> None:
        """Write a new moment; its settings are in force from its creation."""
        self._moments.table.insert(**moment_row(value)).execute()
        self.add_settings(value, value.created_at)

    def change_moment(self, value: Moment, former: int) -> bool:
        """Write a moment; False when it has not the `former` version any more."""
        table = self._moments.table
        row = moment_row(value)
        return bool(table.update(**row).where(table.id == value.id, table.version == former).execute())

    def remove_moment(self, value: Moment, now: int) -> bool:
        """Delete a moment; False when it has another version by now."""
        table = self._moments.table
        gone = table.delete().where(table.id == value.id, table.version == value.version).execute()
        return bool(gone) and self._record_deletion("moment", value.id, value.version + 1, now)

    def add_settings(self, value: Moment, since: int) -> None:
        """Keep the moment's settings as those in force from an instant on."""
        row = {"moment_id": value.id, "version": value.version, "since": since, "settings": to_json(value.settings)}
        self._versions.table.insert(**row).execute()

    def histories(self, moment_ids: Iterable[str] | None, since: int) -> dict[str, tuple[SettingsVersion, ...]]:
        """Moment → its settings in force at `since` and later, oldest first. None: of all moments."""
        table = self._versions.table
        conditions = [] if moment_ids is None else [table.moment_id.in_(list(moment_ids))]
        found: dict[str, list[SettingsVersion]] = defaultdict(list)
        for row in sorted(self._versions.find(*conditions), key=lambda row: int(row["version"])):
            kept = found[row["moment_id"]]
            if kept and row["since"] <= since:
                kept.clear()
            settings = msgspec.json.decode(row["settings"])
            kept.append(SettingsVersion(version=row["version"], since=row["since"], settings=settings))
        return {moment_id: tuple(kept) for moment_id, kept in found.items()}

    def forget_settings(self, moment_id: str, before_version: int) -> int:
        """Delete the settings older than a version."""
        table = self._versions.table
        return int(table.delete().where(table.moment_id == moment_id, table.version < before_version).execute())

    # Deletions and audit.

    def deletions(self) -> list[Deletion]:
        """Everything that was deleted, with the version of its last state."""
        return [Deletion(kind=row["kind"], id=row["id"], version=row["version"]) for row in self._deletions.find()]

    def _record_deletion(self, kind: str, resource_id: str, version: int, now: int) -> bool:
        self._deletions.table.insert(id=resource_id, kind=kind, version=version, deleted_at=now).execute()
        return True

    def add_audit(self, **fields: Any) -> None:
        """Write who changed what; `before` and `after` are documents or None."""
        documents = {name: None if fields[name] is None else to_json(fields[name]) for name in ("before", "after")}
        self._audit.table.insert(**{**fields, **documents}).execute()

    def audit_page(
        self, listing: Listing, filters: Mapping[str, str | tuple[str, ...]]
    ) -> tuple[list[AuditEntry], int]:
        """A page of the audit log, the newest entry first, and how many there are. A tuple: one of these."""
        table = self._audit.table
        conditions = [
            getattr(table, column).in_(value) if isinstance(value, tuple) else getattr(table, column) == value
            for column, value in filters.items()
        ]
        found, total = self._audit.page(conditions, [table.id.desc()], listing)
        return [audit_entry_of(row) for row in found], total

    def audit_actors(self, kinds: tuple[str, ...]) -> list[str]:
        """Who stands in the audit log for changes of these kinds."""
        table = self._audit.table
        found = table.select(table.actor).where(table.kind.in_(kinds)).distinct().tuples().execute()
        return [actor for (actor,) in found]

    def forget_audit(self, before: int, limit: int = 1000) -> int:
        """Delete up to `limit` entries that were written before an instant, the oldest first; how many."""
        table = self._audit.table
        oldest = table.select(table.id).where(table.at < before).order_by(table.id).limit(limit)
        ids = [row["id"] for row in oldest.dicts()]
        return int(table.delete().where(table.id.in_(ids)).execute()) if ids else 0
