"""Segment's HTTP API: `/v1/batch`, `/v1/track` … and the short paths of browsers, by host and key alone."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import marshmallow as ma
import msgspec
from flask import Response, g, request

from contracts.configurations import IDENTIFY
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import Identified
from services.ingestion import meters
from services.ingestion.admission import Listener, admit_telling, listener_of
from services.ingestion.bodies import Body
from services.ingestion.intake import MOST_REPORTED, Result
from services.ingestion.reading import Reception
from services.ingestion.refusal_reports import Sender
from services.ingestion.refusals import AGAIN, Refusal, encodable, retry_headers
from services.ingestion.requests import (
    Gate,
    Refused,
    admit,
    body_of,
    check_rate,
    largest_batch,
    read_request,
    report,
    sender_of,
)
from services.ingestion.segment.mapping import CALLS, clock_of, consent_of, to_signal
from services.ingestion.segment.people import IDENTIFYING, Known, anonymous_profile, people_told
from shared.http import Blueprint

_SHORT = {"t": "track", "p": "page", "s": "screen", "i": "identify", "g": "group", "a": "alias", "b": "batch"}
_PATHS: Mapping[str, str] = {
    **{f"/v1/{call}": call for call in (*CALLS, "batch")},
    **{f"/v1/{short}": call for short, call in _SHORT.items()},
}
_CALL: Mapping[str, Any] = {"type": "object"}
_BATCH: Mapping[str, Any] = {**_CALL, "required": ["batch"], "properties": {"batch": {"type": "array"}}}
_KEYED = "authenticated by the keys of an audience configuration, as Segment's clients send them"
PUBLIC: Mapping[str, str] = {
    **dict.fromkeys(_PATHS, _KEYED),
    "/v1/projects/<key>/settings": "asked by Segment's web client before it sends; holds what it was asked with",
}


class SegmentAnswerSchema(ma.Schema):
    """What became of a request, as Segment's clients read it; `accepted`, `ignored` and `refused` are ours."""

    success = ma.fields.Boolean(required=True)
    code = ma.fields.String(metadata={"description": "Why, for machines."})
    message = ma.fields.String(metadata={"description": "Why, in words."})
    accepted = ma.fields.Integer(metadata={"description": "Calls that became signals and are stored."})
    identified = ma.fields.Integer(
        metadata={"description": "Anonymous ids of which it was told whose they are, and that is stored."}
    )
    ignored = ma.fields.Dict(
        keys=ma.fields.String(), values=ma.fields.Integer(), metadata={"description": "Reason → calls that are none."}
    )
    refused = ma.fields.List(
        ma.fields.Dict(), metadata={"description": "Calls that would be signals, and what is wrong with each."}
    )


def segment_views(gate: Gate) -> Blueprint:
    """The routes of Segment's API."""
    blueprint = Blueprint("segment", __name__, description="Calls of Segment's and RudderStack's clients.")
    known = Known()
    for path, call in _PATHS.items():
        _route(blueprint, path, call)(_call_view(gate, call, path, known))
    _settings_route(blueprint)
    return blueprint


def _route(blueprint: Blueprint, path: str, call: str) -> Callable[[Any], Any]:
    def decorate(view: Any) -> Any:
        for status, text in ((400, "The body is no JSON"), (401, "The key"), (403, "The key"), (503, "Send it again")):
            view = blueprint.alt_response(status, schema=SegmentAnswerSchema, description=text)(view)
        view = blueprint.answer(200, SegmentAnswerSchema, description="Taken")(view)
        described = {
            "required": True,
            "content": {"application/json": {"schema": _BATCH if call == "batch" else _CALL}},
        }
        view = blueprint.doc(security=[{"signalKey": []}], requestBody=described)(view)
        return blueprint.route(path, methods=["POST"])(view)

    return decorate


def _call_view(gate: Gate, call: str, path: str, known: Known) -> Callable[[], Response]:
    def view() -> Response:
        try:
            return _taken(gate, call, known)
        except Refused as refused:
            gate.intake.refuse(refused.refusal, g.get("signal_key"), "")
            return _refusal(refused.refusal)

    view.__name__ = f"segment_{path.rpartition('/')[2]}"
    view.__doc__ = f"Take {'calls' if call == 'batch' else f'one call `{call}`'} of a Segment client."
    return view


def _taken(gate: Gate, call: str, known: Known) -> Response:
    g.signal_key = key = _basic_key() or request.headers.get("X-Api-Key")
    largest = largest_batch(gate, request, key)
    data = read_request(request, largest)
    body = body_of(request, data, plain=True, largest=largest)
    document = body.value
    if type(document) is not dict:
        raise Refused(Refusal(400, "malformed", "the body is no JSON object"))
    g.signal_key = key = key or _text(document.get("writeKey"))
    now = gate.clock.now()
    admitted = admit(gate, request, data, key, now)
    messages = document.get("batch") if call == "batch" else [{**document, "type": call}]
    if isinstance(admitted, Refusal):
        _report(gate, admitted, key, messages, document, len(data))
        raise Refused(admitted)
    if type(messages) is not list:
        raise Refused(Refusal(400, "malformed", "batch must be a list of calls"))
    check_rate(gate, request, admitted, len(messages))
    barred = admit_telling(admitted)
    read = _read(messages, admitted.listener, document, now, known, tells=barred is None)
    for reason, count in read.ignored.items():
        meters.IGNORED.labels(reason).inc(count)
    results: list[Result] = []
    sender = partial(sender_of, gate, request, key)
    if read.signals or read.told:
        reception = Reception(admitted, now, anonymous=True)
        results = gate.intake.take(Body(read.signals, clean=body.clean), None, reception, sender, read.told)
    if all(result.status not in AGAIN for result in results):
        known.note(person for people in read.told.values() for person in people)
    if barred is not None and read.barred:
        results += _refused_people(gate, barred, read.barred, key, sender(), now)
    return _answer(results, read)


def _refused_people(
    gate: Gate, barred: Refusal, people: list[dict[str, Any]], key: str | None, sender: Sender, now: int
) -> list[Result]:
    """Calls that say who somebody is, of a key that may not: counted and told of like signals, never to be replayed."""
    for person in people:
        gate.intake.refuse(barred, key, IDENTIFY)
        gate.reports.add(barred, sender, person, IDENTIFY, now, final=True)
    return [Result(person["id"], barred) for person in people]


def _report(
    gate: Gate, refusal: Refusal, key: str | None, messages: Any, document: Mapping[str, Any], size: int
) -> None:
    """Tell of the signals among the calls of a refused request, as they would have become."""
    listener = listener_of(gate.keys.directory, key)
    if listener is None or type(messages) is not list:
        return
    read = _read(messages[:MOST_REPORTED], listener, document, gate.clock.now(), Known())
    report(gate, refusal, sender_of(gate, request, key), Body(read.signals, clean=False), "", size, anonymous=True)


@dataclass(slots=True)
class _Read:
    """The calls of a request. `told`: before which signal who is told to be whom; `ignored`: reason → calls.

    `barred`: calls that say who somebody is, and may not, as far as they are told of.
    """

    signals: list[dict[str, Any]] = field(default_factory=list)
    told: dict[int, list[Identified]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    barred: list[dict[str, Any]] = field(default_factory=list)


def _read(
    messages: list[Any],
    listener: Listener,
    document: Mapping[str, Any],
    received_at: int,
    known: Known,
    *,
    tells: bool = True,
) -> _Read:
    """The calls as signals, and who they say somebody is. Without `tells` that is barred."""
    read, sent_at = _Read(), document.get("sentAt")
    shared = {name: document[name] for name in ("context", "integrations") if name in document}
    for message in messages:
        if type(message) is not dict:
            read.ignored["no_call"] += 1
            continue
        whole = {**shared, **message}
        call = str(whole.get("type", ""))
        people = list(people_told(whole, call, sent_at, listener, received_at))
        told = [each for each in people if tells and (call in IDENTIFYING or not known.is_known(each))]
        if told:
            read.told.setdefault(len(read.signals), []).extend(told)
        found = to_signal(whole, call, listener.id_types, sent_at, listener.table, anonymous_profile(whole))
        if not isinstance(found, str):
            read.signals.append(found)
        elif people and not tells and call in IDENTIFYING:
            read.barred.append(_barred(whole, sent_at, people[0]))
        elif not (call in IDENTIFYING and told):
            read.ignored[found] += 1
    return read


def _barred(message: Mapping[str, Any], sent_at: Any, person: Identified) -> dict[str, Any]:
    """What is told of a call that may not say who somebody is: its id and time, and whom it named."""
    name = _text(message.get("messageId"))
    whom = {"idType": person.id_type, PROFILE_FIELDS[person.id_type]: person.profile}
    return clock_of(message, sent_at) | consent_of(message) | {"id": name and encodable(name[:255]), "data": whom}


def _answer(results: list[Result], read: _Read) -> Response:
    """200, also where single calls are refused: their clients would send all again. 503 where it helps to."""
    later = [result.refusal for result in results if result.refusal is not None and result.status in AGAIN]
    if later:
        return _refusal(max(later, key=lambda refusal: refusal.retry_after))
    document: dict[str, Any] = {"success": True, "accepted": sum(result.status == 200 for result in results)}
    told = sum(map(len, read.told.values()))
    if told:
        document["identified"] = told
    if read.ignored:
        document["ignored"] = dict(read.ignored)
    refused = [result.as_document() for result in results if result.refusal is not None]
    if refused:
        document["refused"] = refused
    return Response(msgspec.json.encode(document), 200, content_type="application/json")


def _refusal(refusal: Refusal) -> Response:
    document = {"success": False, "code": refusal.code, "message": refusal.reason}
    body, headers = msgspec.json.encode(document), retry_headers(refusal)
    return Response(body, refusal.status, headers=headers, content_type="application/json")


def _basic_key() -> str | None:
    """The write key of `Authorization: Basic`, which is its user name; a server key brings its secret along."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text.removesuffix(":") or None


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _settings_route(blueprint: Blueprint) -> None:
    asked = {"in": "path", "name": "key", "description": "The web key that the client was given."}

    @blueprint.route("/v1/projects/<key>/settings")
    @blueprint.doc(security=[], parameters=[{**asked, "schema": {"type": "string"}}])
    @blueprint.response(200, {"type": "object"})
    def settings(key: str) -> Response:
        """What Segment's web client asks before it sends: where to, and with which key."""
        host = request.host_url.partition("://")[2].rstrip("/")
        segment = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": request.scheme, "unbundledIntegrations": []}
        document = {
            "integrations": {"Segment.io": segment},
            "plan": {"track": {}, "identify": {}, "group": {}},
            "metrics": {"sampleRate": 0},  # else every page would report to Segment's own servers
        }
        answer = Response(msgspec.json.encode(document), content_type="application/json")
        answer.headers["Access-Control-Allow-Origin"] = "*"
        answer.headers["Cache-Control"] = "public, max-age=300"
        return answer
