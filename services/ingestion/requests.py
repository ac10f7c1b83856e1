"""Reading a request, whatever API it is of: its bytes within a bound, its JSON, or why it is refused as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from contracts.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.ingestion.admission import Admitted, admit_key, listener_of
from services.ingestion.bodies import LARGEST_BATCH, LARGEST_BODY, Body, gunzip, parse
from services.ingestion.intake import MOST_ITEMS, Intake
from services.ingestion.key_uses import KeyUses
from services.ingestion.keys import Keys
from services.ingestion.limits import Limits
from services.ingestion.refusal_reports import RefusalReports, Sender
from services.ingestion.refusals import Refusal
from services.ingestion.signing import Signature
from shared.clock import Clock

LARGEST_REPORTED = 262_144
"""Bytes of a refused body that is read so that its signals can be told of."""


class Refused(Exception):
    """The whole request is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Gate:
    """What the views work with."""

    keys: Keys
    intake: Intake
    reports: RefusalReports
    uses: KeyUses
    clock: Clock
    limits: Limits


def read_request(request: Request, largest: int = LARGEST_BODY) -> bytes:
    """The body as it came. It is read also when it will be refused, else the sender sees a reset for an answer."""
    request.max_content_length = largest + 1  # werkzeug cuts a chunked body there, in silence
    try:
        data = request.get_data(cache=False)
    except RequestEntityTooLarge:
        data = None
    if data is None or len(data) > largest:
        raise Refused(Refusal(413, "too_large", f"a body may have at most {largest} bytes"))
    return data


def largest_batch(gate: Gate, request: Request, key: str | None) -> int:
    """How many bytes a batch may have: more of a server that shows its key before its body is read."""
    admitted = admit_key(gate.keys.directory, key, request.headers.get("Origin"), gate.clock.now())
    return LARGEST_BATCH if isinstance(admitted, Admitted) and admitted.touchpoint == "server" else LARGEST_BODY


def body_of(request: Request, data: bytes, *, plain: bool = False, largest: int = LARGEST_BODY) -> Body:
    """The parsed body. `plain`: what it is declared as does not matter; browsers send JSON as plain text."""
    if not plain and not request.is_json:
        raise Refused(Refusal(415, "not_json", "send JSON, with the header Content-Type: application/json"))
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise Refused(Refusal(415, "not_json", "the only content encoding is gzip"))
    whole = gunzip(data, largest) if encoding in ("gzip", "x-gzip") else data
    body = whole if isinstance(whole, Refusal) else parse(whole)
    if isinstance(body, Refusal):
        raise Refused(body)
    return body


def admit(gate: Gate, request: Request, data: bytes, key: str | None, now: int) -> Admitted | Refusal:
    """Whether the key is let in; one that is not counts for its address, so that guessing has an end.

    `data`: the body as it came, which a signature is of.
    """
    headers = request.headers
    signature = Signature(headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, ""), request.path, data)
    admitted = admit_key(gate.keys.directory, key, headers.get("Origin"), now, signature)
    if isinstance(admitted, Refusal):
        return gate.limits.stranger(request.remote_addr or "") or admitted
    gate.uses.note(admitted.key_id, now)
    return admitted


def sender_of(gate: Gate, request: Request, key: str | None) -> Sender:
    """Whose signals the request brings, whether or not they are let in."""
    listener = listener_of(gate.keys.directory, key)
    return Sender.of(None if listener is None else listener.id, key, request.headers.get("Origin"))


def report(
    gate: Gate, refusal: Refusal, sender: Sender, body: Body, kind: str, size: int, *, anonymous: bool = False
) -> None:
    """Tell of the signals of a refused request, whose body had `size` bytes, when telling is allowed.

    `anonymous`: as in a Reception.
    """
    if may_report(gate, sender, size):
        gate.intake.report(refusal, sender, body, kind, gate.clock.now(), anonymous=anonymous)


def may_report(gate: Gate, sender: Sender, size: int) -> bool:
    """Whether a refused body of so many bytes may be read, which nobody will read else; counts it."""
    return size <= LARGEST_REPORTED and gate.reports.allows(sender.configuration)


def check_rate(gate: Gate, request: Request, admitted: Admitted, signals: int) -> None:
    """Raises Refused when there are too many signals, in this request or lately."""
    if signals > MOST_ITEMS:
        raise Refused(Refusal(413, "too_large", f"a request may have at most {MOST_ITEMS} signals"))
    refusal = gate.limits.request(admitted, request.remote_addr or "", signals)
    if refusal is not None:
        raise Refused(refusal)
