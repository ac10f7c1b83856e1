"""Looking for a customer in databases and files, byte for byte, whatever table holds what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.trigger.store.spellings import texts_of
from shared.store import dialect, fold_log

_BLOCK = 16 * 1024 * 1024
_SHORT = 4
_NAMING = (b'customerid":', b'userid":', b'user_id":', b'customer_id":')


@dataclass(frozen=True, slots=True)
class Trace:
    """Where something was found: a table's column, or a file; in how many rows or places."""

    where: str
    count: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: a value in any spelling of its letters, and the key of the profile."""

    texts: tuple[bytes, ...]
    key: bytes

    @classmethod
    def of(cls, value: str, key: bytes) -> Wanted:
        """A short value or a number stands in others by chance, as 2026 in every time: of it only whole texts are
        looked for, and numbers that a field says to be a customer's."""
        found = tuple(text.lower() for text in texts_of(value))
        if len(value) >= _SHORT and not value.isdecimal():
            return cls(found, key)
        named = tuple(name + text for text in found for name in _NAMING) if value.isdecimal() else ()
        return cls((*(b'"%s"' % text for text in found), *named), key)

    def is_in(self, value: Any) -> bool:
        """Whether a value of a row holds it."""
        if value is None or isinstance(value, int | float):
            return False
        body = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
        plain = body.lower()
        return self.key in body or any(text in plain or text.strip(b'"') == plain for text in self.texts)


def traces_in(database: Any, name: str, wanted: Wanted) -> Iterator[Trace]:
    """The traces in every column of every table that holds text or bytes."""
    if dialect(database) == "sqlite":
        database.connection().create_function("holds", 1, lambda value: int(wanted.is_in(value)))
    for table, column, kind in _columns(database):
        count = _count(database, table, column, kind, wanted)
        if count:
            yield Trace(f"{name}: {table}.{column}", count)


def traces_in_files(path: Path, wanted: Wanted) -> Iterator[Trace]:
    """The traces in a SQLite file and its log, also in what was deleted and not overwritten yet."""
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            count = _count_in_file(file, wanted)
            if count:
                yield Trace(f"file {file.name}", count)


def fold(database: Any) -> None:
    """Bring what the log holds into the file, where nobody is reading."""
    fold_log(database, patience=2_000)


def _columns(database: Any) -> list[tuple[str, str, str]]:
    if dialect(database) == "sqlite":
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        return [
            (table, column, "any")
            for (table,) in database.execute_sql(tables).fetchall()
            for _, column, *_ in database.execute_sql(f'PRAGMA table_info("{table}")').fetchall()
        ]
    found = database.execute_sql(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type IN ('text', 'bytea') ORDER BY 1, 2"
    )
    return [tuple(row) for row in found.fetchall()]


def _count(database: Any, table: str, column: str, kind: str, wanted: Wanted) -> int:
    if dialect(database) == "sqlite":
        sql = f'SELECT count(*) FROM "{table}" WHERE holds("{column}")'  # noqa: S608 - of the schema
        return int(database.execute_sql(sql).fetchone()[0])
    # Bytes are compared as text in which all that is not ASCII is escaped, so that letters have no case.
    text = f"lower(encode(\"{column}\", 'escape'))" if kind == "bytea" else f'lower("{column}")'
    sought = "lower(encode(%s::bytea, 'escape'))" if kind == "bytea" else "lower(convert_from(%s::bytea, 'UTF8'))"
    conditions = [f"position({sought} in {text}) > 0" for _ in wanted.texts]
    parameters: list[bytes] = list(wanted.texts)
    if kind == "bytea":
        conditions.append(f'position(%s::bytea in "{column}") > 0')
        parameters.append(wanted.key)
    sql = f'SELECT count(*) FROM "{table}" WHERE {" OR ".join(conditions)}'  # noqa: S608 - of the schema
    return int(database.execute_sql(sql, parameters).fetchone()[0])


def _count_in_file(path: Path, wanted: Wanted) -> int:
    """Block by block; the end of each is looked at with the next."""
    longest, count, rest = max(map(len, (*wanted.texts, wanted.key))), 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            body = rest + block
            count += sum(_ends_beyond(body, text, len(rest)) for text in _bytes_of(wanted))
            rest = body[-(longest - 1) :]
    return count


def _bytes_of(wanted: Wanted) -> Sequence[bytes]:
    return (*wanted.texts, wanted.key)


def _ends_beyond(body: bytes, text: bytes, seen: int) -> int:
    """How often a text ends after the bytes that were seen before."""
    count, place = 0, body.find(text)
    while place >= 0:
        count += place + len(text) > seen
        place = body.find(text, place + 1)
    return count
