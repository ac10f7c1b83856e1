"""All that trigger keeps of a customer, page by page: each page is one statement, and the rows are JSON documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from contracts.stitching import ANONYMOUS
from contracts.times import to_rfc3339
from contracts.wire import SignalRefused, decode_signal_refused
from services.trigger.audience import profile_data
from services.trigger.engine.application import ProfileId
from services.trigger.engine.state import decode_process
from services.trigger.store.anonymous import Link, held_page, links_of
from services.trigger.store.erasing import signals_of_page, unread_refusals_page
from services.trigger.store.keys import profile_key
from services.trigger.store.profiles import ProfileRow, bring_up_to_date, decode_profile
from services.trigger.store.records import load_configurations
from services.trigger.store.rows import Rows

PAGE = 500
REFUSED_PAGE = 50
"""Of refused signals, whose contents may be of 64 kB each."""
Document = dict[str, Any]
Place = tuple[Any, ...] | None
"""Where a page begins: the order columns of the last row before it; None at the beginning."""
Page = tuple[list[Document], Place]
Section = Callable[[Rows, ProfileId, Place], Page]


def known(rows: Rows, profile: ProfileId) -> Document | None:
    """What is known of the profile: attributes, first and last seen; None where nothing is."""
    key = profile_key(profile)
    sql = "SELECT partition, body FROM profiles WHERE key = ?"
    for partition, body in rows.execute(sql, (key,)):
        state = decode_profile(bytes(body))
        bring_up_to_date(rows, {key: (profile, state)})
        data = profile_data(ProfileRow(key, profile, partition, state), load_configurations(rows))
        return dict(msgspec.to_builtins(data))
    return None


def signals(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """Every signal as it was accepted, with its content and attributes."""
    found, place = signals_of_page(rows, profile_key(profile), profile, after[0] if after else None, PAGE)
    return [_raw(each.body) for each in found], None if place is None else (place,)


def processes(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """Carts, visits and whatever else may be unfinished, with their waits and decisions."""
    found = rows.execute(
        "SELECT kind, process_id, last_at, head, key FROM processes WHERE profile_key = ? AND key > ?"
        " ORDER BY key LIMIT ?",
        (profile_key(profile), after[0] if after else b"", PAGE),
    )
    return [_process(row) for row in found], _next(found, lambda row: (bytes(row[4]),))


def outcomes(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """What was raised and suppressed, with the events that journeys got."""
    found = rows.execute(
        "SELECT id, moment_id, raised, reason, due_at, decided_at, event FROM raises WHERE profile_key = ?"
        " AND id > ? ORDER BY id LIMIT ?",
        (profile_key(profile), after[0] if after else "", PAGE),
    )
    documents = [
        {
            "id": row[0],
            "moment": row[1],
            "raised": bool(row[2]),
            "reason": row[3],
            "dueAt": to_rfc3339(row[4]),
            "decidedAt": to_rfc3339(row[5]),
            "event": _raw(bytes(row[6])) if row[6] else None,
        }
        for row in found
    ]
    return documents, _next(found, lambda row: (row[0],))


def recoveries(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """What was completed after a raise."""
    found = rows.execute(
        "SELECT raise_id, moment_id, source, signal_id, time, value FROM recoveries WHERE profile_key = ?"
        " AND raise_id > ? ORDER BY raise_id LIMIT ?",
        (profile_key(profile), after[0] if after else "", PAGE),
    )
    documents = [
        {
            "raise": row[0],
            "moment": row[1],
            "source": row[2],
            "signal": row[3],
            "time": to_rfc3339(row[4]),
            "value": _raw(row[5].encode()),
        }
        for row in found
    ]
    return documents, _next(found, lambda row: (row[0],))


def refusals(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """Signals that were refused, as far as they could be read; `sent` is what is kept of their content."""
    if profile.id_type == ANONYMOUS:  # they are kept under no profile, and known by what they say
        mine, last = unread_refusals_page(rows, profile, after[0] if after else -1, REFUSED_PAGE)
        return [_refused_document(each, sent) for _, each, sent in mine], None if last is None else (last,)
    found = rows.execute(
        "SELECT sequence, body, sent FROM refused WHERE profile_key = ? AND sequence > ? ORDER BY sequence LIMIT ?",
        (profile_key(profile), after[0] if after else 0, REFUSED_PAGE),
    )
    place = (found[-1][0],) if len(found) == REFUSED_PAGE else None
    return [_refused(bytes(body), sent) for _, body, sent in found], place


def deliveries(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """What went to webhooks, and what became of it."""
    found = rows.execute(
        "SELECT id, subscription_id, type, state, taken_at, body FROM webhook_deliveries WHERE profile_key = ?"
        " AND id > ? ORDER BY id LIMIT ?",
        (profile_key(profile), after[0] if after else 0, PAGE),
    )
    documents = [
        {
            "id": row[0],
            "webhook": row[1],
            "type": row[2],
            "state": row[3],
            "takenAt": to_rfc3339(row[4]),
            "event": _raw(bytes(row[5])),
        }
        for row in found
    ]
    return documents, _next(found, lambda row: (row[0],))


def anonymous_ids(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """Under which anonymous ids the customer is known, from when on, and when that was told.

    Of an anonymous visitor: the same links, with the customers who they were told to be; these are few.
    """
    key = profile_key(profile)
    if profile.id_type == ANONYMOUS:
        links = links_of(rows, [key]).get(key, [])
        return [_link(link) | {"profile": _whose(link.identity)} for link in links], None
    found = rows.execute(
        "SELECT anonymous, time, at, key FROM anonymous_links WHERE profile_key = ? AND (time, key) > (?, ?)"
        " ORDER BY time, key LIMIT ?",
        (key, *(after or (-1, b"")), PAGE),
    )
    documents = [{"anonymousId": row[0], "from": to_rfc3339(row[1]), "toldAt": to_rfc3339(row[2])} for row in found]
    return documents, _next(found, lambda row: (row[1], bytes(row[3])))


def held_signals(rows: Rows, profile: ProfileId, after: Place) -> Page:
    """Signals of an anonymous visitor that wait until it is known who that is."""
    found = held_page(rows, profile_key(profile), after[0] if after else -1, PAGE)
    return [_raw(body) for _, body in found], _next(found, lambda row: (row[0],))


SECTIONS: tuple[tuple[str, Section], ...] = (
    ("signals", signals),
    ("processes", processes),
    ("outcomes", outcomes),
    ("recoveries", recoveries),
    ("refusedSignals", refusals),
    ("anonymousIds", anonymous_ids),
    ("heldSignals", held_signals),
    ("deliveries", deliveries),
)
"""Name → what is kept under it."""


def pages(section: Section, profile: ProfileId, read: Callable[[Callable[[Rows], Page]], Page]) -> Iterator[Document]:
    """Every document of a section; `read` runs a function on a connection, once for each page."""
    place: Place = None
    while True:
        documents, place = read(lambda rows, at=place: section(rows, profile, at))  # type: ignore[misc]
        yield from documents
        if place is None:
            return


def _process(row: Any) -> Document:
    kind, process_id, last_at, head, _ = row
    tracks = decode_process(bytes(head)).tracks
    return {
        "kind": kind,
        "id": process_id,
        "lastAt": to_rfc3339(last_at),
        "waits": [
            {"moment": moment, "openedAt": to_rfc3339(wait.opened[0]), "lastActivityAt": to_rfc3339(wait.last[0])}
            for moment, track in sorted(tracks.items())
            for wait in track.waits
        ],
    }


def _refused(body: bytes, sent: Any) -> Document:
    return _refused_document(decode_signal_refused(body), sent)


def _refused_document(refused: SignalRefused, sent: Any) -> Document:
    document: Document = msgspec.to_builtins(refused)
    for name in ("at", "time"):
        if document.get(name) is not None:
            document[name] = to_rfc3339(document[name])
    return document if sent is None else document | {"sent": _raw(bytes(sent))}


def _link(link: Link) -> Document:
    return {"anonymousId": link.anonymous, "from": to_rfc3339(link.time), "toldAt": to_rfc3339(link.at)}


def _whose(identity: ProfileId) -> Document:
    return {"idType": identity.id_type, "id": identity.profile}


def _next(found: list[Any], place: Callable[[Any], Place]) -> Place:
    return place(found[-1]) if len(found) == PAGE else None


def _raw(body: bytes) -> Any:
    """Kept JSON, as a value: what is no JSON is shown as text."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace")
