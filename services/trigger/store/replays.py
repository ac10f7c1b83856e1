"""Replays of refused signals: what was asked for, by whom, and what became of each.

The state of a refusal is that of its latest replay: '' none was asked for, `asked`, `underway` to ingestion,
`replayed`: it is stored now, `refused` once more; `final`: none can mend it. The rows are the outbox: whoever sends
them marks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.times import SECOND, to_rfc3339
from contracts.wire import SignalReplay, SignalReplayed, decode_signal_refused, encode
from services.trigger.store.recent import REFUSED_COLUMNS, Refused, as_refused
from services.trigger.store.rows import Rows

SETTLING = 2 * SECOND
"""From the wish to the sending: within that time a change of keys or domains made just before is in force."""
STATES = ("replayable", "waiting", "replayed", "refused", "unkept")
"""What a list can be cut down to: may be replayed now; is being replayed; is stored now; was refused once more; is
not kept, or past mending."""
_CONDITIONS = {
    "replayable": "size > 0 AND state IN ('', 'refused')",
    "waiting": "state IN ('asked', 'underway')",
    "replayed": "state = 'replayed'",
    "refused": "state = 'refused'",
    "unkept": "(size = 0 OR state = 'final') AND state <> 'replayed'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which refusals are meant; None: any. `since`, `until`: when they were received, µs. `kept`: a state."""

    configuration: str | None = None
    code: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None
    state: str | None = None
    sequences: Sequence[int] | None = None

    def condition(self) -> tuple[str, list[object]]:
        """The clause after WHERE, and its parameters."""
        compared = {
            "configuration = ?": self.configuration,
            "code = ?": self.code,
            "kind = ?": self.kind,
            "at >= ?": self.since,
            "at < ?": self.until,
        }
        given = {clause: value for clause, value in compared.items() if value is not None}
        clauses = list(given)
        if self.sequences is not None:
            clauses.append(f"sequence IN ({', '.join('?' * len(self.sequences)) or 'NULL'})")
        if self.state is not None:
            clauses.append(_CONDITIONS[self.state])
        return " AND ".join(clauses) or "1 = 1", [*given.values(), *(self.sequences or ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request for replays. `found`: refusals that it took; `waiting`: those without an answer yet. Times in µs.

    What is neither waiting nor answered was taken by a later request, or forgotten meanwhile.
    """

    id: str
    asked_at: int
    asked_by: str
    wanted: str
    found: int
    replayed: int
    refused: int
    waiting: int


def refusals_page(rows: Rows, asked: Asked, before: int | None, limit: int) -> list[Refused]:
    """The refusals that are meant, the newest first, of a place before a given one."""
    where, values = asked.condition()
    place = "" if before is None else " AND sequence < ?"
    sql = f"SELECT {REFUSED_COLUMNS} FROM refused WHERE {where}{place} ORDER BY sequence DESC LIMIT ?"  # noqa: S608
    return [as_refused(row) for row in rows.execute(sql, [*values, *([] if before is None else [before]), limit])]


def sent_of(rows: Rows, sequence: int) -> bytes | None:
    """What is kept of the content of a refusal: JSON."""
    found = rows.execute("SELECT sent FROM refused WHERE sequence = ?", (sequence,))
    return bytes(found[0][0]) if found and found[0][0] is not None else None


def count_replayable(rows: Rows, asked: Asked) -> int:
    """How many of the refusals that are meant may be replayed now."""
    where, values = asked.condition()
    sql = f"SELECT count(*) FROM refused WHERE {where} AND {_CONDITIONS['replayable']}"  # noqa: S608 - constants
    return int(rows.execute(sql, values)[0][0])


def ask_for_replay(rows: Rows, replay_id: str, asked: Asked, by: str, now: int) -> int:
    """Mark all that are meant and may be replayed; how many. One that is underway or stored is left as it is."""
    where, values = asked.condition()
    found = rows.change(
        "UPDATE refused SET state = 'asked', replay = ?, sent_at = ?, answer = NULL"  # noqa: S608 - constants
        f" WHERE {where} AND {_CONDITIONS['replayable']}",
        [replay_id, now + SETTLING, *values],
    )
    wanted = msgspec.json.encode({name: value for name, value in _named(asked).items() if value is not None}).decode()
    rows.insert(
        "replays",
        {"id": "text", "asked_at": "int8", "asked_by": "text", "wanted": "text", "found": "int4"},
        [(replay_id, now, by, wanted, found)],
    )
    return found


def find_replay(rows: Rows, replay_id: str) -> Replay | None:
    """One request."""
    found = _replays(rows, "WHERE id = ?", (replay_id,))
    return found[0] if found else None


def latest_replays(rows: Rows, limit: int) -> list[Replay]:
    """The latest requests, the newest first."""
    return _replays(rows, "ORDER BY asked_at DESC, id DESC LIMIT ?", (limit,))


def next_to_send(rows: Rows, now: int, limit: int, most: int) -> list[SignalReplay]:
    """The next of those that were asked for a while ago, as long as less than `most` are underway."""
    underway = rows.execute("SELECT count(*) FROM refused WHERE state = 'underway'")[0][0]
    sql = "SELECT replay, body, sent FROM refused WHERE state = 'asked' AND sent_at <= ? ORDER BY sequence LIMIT ?"
    found = rows.execute(
        sql,
        (
            now,
            max(0, min(limit, most - underway)),
        ),
    )
    return [_message(replay, bytes(body), bytes(sent or b"")) for replay, body, sent in found]


def note_sent(rows: Rows, sent: Sequence[SignalReplay], now: int) -> None:
    """They are underway. One that was answered already, by another's sending, stays as it is."""
    rows.execute_many(
        "UPDATE refused SET state = 'underway', sent_at = ? WHERE id = ? AND replay = ? AND state = 'asked'",
        [(now, each.refusal, each.replay) for each in sent],
    )


def ask_again(rows: Rows, before: int) -> int:
    """What was sent before an instant and never answered is to be sent once more; how many."""
    return rows.change("UPDATE refused SET state = 'asked' WHERE state = 'underway' AND sent_at < ?", (before,))


def note_answers(rows: Rows, answers: Sequence[SignalReplayed]) -> int:
    """Take what became of replays, each once; how many were news."""
    return sum(_note_answer(rows, answer) for answer in answers)


def forget_replays(rows: Rows, before: int) -> int:
    """Delete the requests of before an instant (µs); how many."""
    return rows.change("DELETE FROM replays WHERE asked_at < ?", (before,))


def _note_answer(rows: Rows, answer: SignalReplayed) -> bool:
    outcome = "replayed" if answer.status == 200 else "refused"
    news = rows.change(
        "UPDATE refused SET state = ?, answer = ? WHERE id = ? AND replay = ? AND state IN ('asked', 'underway')",
        (outcome, encode(answer), answer.refusal, answer.replay),
    )
    if news:
        rows.change(f"UPDATE replays SET {outcome} = {outcome} + 1 WHERE id = ?", (answer.replay,))  # noqa: S608
    return bool(news)


def _replays(rows: Rows, tail: str, values: Sequence[object]) -> list[Replay]:
    found = rows.execute(
        "SELECT id, asked_at, asked_by, wanted, found, replayed, refused, (SELECT count(*) FROM refused"  # noqa: S608
        f" WHERE replay = replays.id AND state IN ('asked', 'underway')) FROM replays {tail}",
        values,
    )
    names = ("id", "asked_at", "asked_by", "wanted", "found", "replayed", "refused", "waiting")
    return [Replay(**dict(zip(names, row, strict=True))) for row in found]


def _named(asked: Asked) -> dict[str, object]:
    return {
        "configurationId": asked.configuration,
        "code": asked.code,
        "kind": asked.kind,
        "since": None if asked.since is None else to_rfc3339(asked.since),
        "until": None if asked.until is None else to_rfc3339(asked.until),
        "ids": None if asked.sequences is None else len(asked.sequences),
    }


def _message(replay: str, body: bytes, sent: bytes) -> SignalReplay:
    refused = decode_signal_refused(body)
    return SignalReplay(
        replay=replay,
        refusal=refused.id,
        at=refused.at,
        configuration=refused.configuration,
        key=refused.key,
        sent=sent.decode(),
        kind=refused.kind,
        origin=refused.origin,
    )
