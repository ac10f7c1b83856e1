"""The HTTP side of ingestion: `POST /v1/signals/<class>/<verb>` and `POST /v1/signals`, with CORS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import marshmallow as ma
import msgspec
from flask import Flask, Request, Response, g, request

from contracts.signals import KINDS, SignalKind
from services.ingestion.admission import origin_allowed
from services.ingestion.bodies import Body
from services.ingestion.cloudevents import BATCHED, STRUCTURED, asked_headers, is_json, mode_of, read_events
from services.ingestion.intake import Result
from services.ingestion.keys import Keys
from services.ingestion.parcels import read_parcel
from services.ingestion.reading import Reception, valid_traceparent
from services.ingestion.refusal_reports import Sender
from services.ingestion.refusals import AGAIN, Refusal, retry_headers
from services.ingestion.requests import (
    Gate,
    Refused,
    admit,
    body_of,
    check_rate,
    may_report,
    read_request,
    report,
    sender_of,
)
from services.ingestion.shapes import SHAPES, AnySignal
from shared.http import Blueprint, current_request
from shared.problems import CONTENT_TYPE, FaultSchema, ProblemSchema, problem

PUBLIC: Mapping[str, str] = {
    "/v1/signals": "authenticated by the keys of an audience configuration",
    "/v1/signals/<path:kind>": "says only that a kind of signal is unknown",
    **{f"/v1/signals/{kind.name}": "authenticated by the keys of an audience configuration" for kind in KINDS},
}
_PROBLEM_TYPE = "urn:moments:problem:"
_ALLOWED_HEADERS = (
    "Content-Type, X-Api-Key, Content-Encoding, Traceparent, Authorization, X-Retry-Count, "
    "Ce-Specversion, Ce-Id, Ce-Source, Ce-Type, Ce-Time, Ce-Subject, Ce-Dataschema"
)
"""X-Retry-Count is what Segment's web client adds when it sends again."""
_PREFLIGHT_SECONDS = "7200"
_UNSIGNED_ATTRIBUTES = Refusal(
    401, "wrong_signature", "the attributes of a binary event are headers, which a signature does not cover"
)


class ResultSchema(ma.Schema):
    """What became of one signal of a request."""

    id = ma.fields.String(allow_none=True, metadata={"description": "The signal's id, where one could be read."})
    status = ma.fields.Integer(
        required=True, metadata={"description": "200: it is stored. 503: send it again. Others: it is refused."}
    )
    code = ma.fields.String(metadata={"description": "Why, for machines."})
    reason = ma.fields.String(metadata={"description": "Why, in words."})
    errors = ma.fields.List(
        ma.fields.Nested(FaultSchema), metadata={"description": "Every fault, with pointers into the signal."}
    )


class ResultsSchema(ma.Schema):
    """The results in the order of the signals sent."""

    results = ma.fields.List(ma.fields.Nested(ResultSchema), required=True)


class SignalProblemSchema(ProblemSchema):
    """A problem document (RFC 9457) of the signal endpoints."""

    code = ma.fields.String(metadata={"description": "Why, for machines.", "examples": ["unknown_key"]})
    results = ma.fields.List(
        ma.fields.Nested(ResultSchema), metadata={"description": "On 503 to a batch: the result of every signal."}
    )


def signal_views(gate: Gate) -> Blueprint:
    """The routes: one for each kind of the catalogue, one for batches, one that says what is unknown."""
    blueprint = Blueprint("signals", __name__, description="Signals of known customers, sent in real time.")
    for kind in KINDS:
        _describe(blueprint, kind)(_kind_view(gate, kind))
    _describe_batch(blueprint)(_batch_view(gate))
    _describe_unknown(blueprint)(_unknown_view(gate))
    return blueprint


def _kind_view(gate: Gate, kind: SignalKind) -> Callable[[], Response]:
    def view() -> Response:
        try:
            results = _take(gate, kind)
        except Refused as refused:
            return _refuse(gate, refused.refusal, kind.name)
        refusal = results[0].refusal if len(results) == 1 else None
        return _answer(results) if refusal is None or request.mimetype == BATCHED else _problem(refusal)

    view.__name__ = kind.name.replace("/", "_")
    view.__doc__ = f"{kind.title}.\n\n{kind.summary}"
    return view


def _batch_view(gate: Gate) -> Callable[[], Response]:
    def send_signals() -> Response:
        """Send one signal or many.

        The kind of each stands in `data.signal`. The answer tells for every signal whether it is stored; a signal
        with the result 503 is to be sent again, the others are not. As `text/plain` the body is an object with
        `key`, `sentAt` and `signals`: what a browser sends without a preflight, also from a page that closes.

        CloudEvents 1.0 are taken structured, batched and binary (`ce-id`, `ce-source`, `ce-type`, `ce-time` … as
        headers and the JSON body as data); a type like `signal.cart.add` names the kind where `data.signal` does not.
        """
        try:
            results = _take(gate, None)
        except Refused as refused:
            return _refuse(gate, refused.refusal, "")
        return _answer(results)

    return send_signals


def _unknown_view(gate: Gate) -> Callable[[str], Response]:
    def unknown_kind(kind: str) -> Response:
        """A kind of signal that the catalogue does not have."""
        refusal = Refusal(404, "unknown_kind", "the catalogue has no such kind of signal")
        try:
            _report_unknown(gate, refusal, read_request(request), kind)
        except Refused as refused:
            return _refuse(gate, refused.refusal, "")
        return _refuse(gate, refusal, "")

    return unknown_kind


def _take(gate: Gate, kind: SignalKind | None) -> list[Result]:
    asked = current_request()
    data = read_request(asked)
    if kind is None and asked.mimetype == "text/plain":
        return _take_parcel(gate, data)
    now = gate.clock.now()
    key_header = asked.headers.get("X-Api-Key")
    admitted = admit(gate, asked, data, key_header, now)
    if isinstance(admitted, Refusal):
        _report(gate, admitted, sender_of(gate, request, key_header), data, kind)
        raise Refused(admitted)
    if admitted.signed and mode_of(asked.mimetype, asked.headers.get) == "binary":
        raise Refused(_UNSIGNED_ATTRIBUTES)
    body, kind = _read(asked, data, kind)
    several = kind is None and type(body.value) is list
    check_rate(gate, asked, admitted, len(body.value) if several else 1)
    trace = valid_traceparent(asked.headers.get("traceparent"))
    sender = partial(sender_of, gate, asked, key_header)
    return gate.intake.take(body, kind, Reception(admitted, now, trace), sender)


def _read(asked: Request, data: bytes, kind: SignalKind | None) -> tuple[Body, SignalKind | None]:
    """The signals of the request, and the kind of the path where it is that of a single one."""
    mode = mode_of(asked.mimetype, asked.headers.get)
    if mode is None:
        return body_of(asked, data), kind
    body = body_of(asked, data, plain=mode == "binary" and is_json(asked.mimetype or "application/json"))
    events = read_events(body, mode, asked.headers.get, kind)
    if isinstance(events, Refusal):
        raise Refused(events)
    return events, None if mode == "batched" else kind


def _take_parcel(gate: Gate, data: bytes) -> list[Result]:
    """Signals with their key in the body: what a browser sends without asking first, also from a page that closes."""
    body = body_of(request, data, plain=True)
    parcel = read_parcel(body)
    if isinstance(parcel, Refusal):
        raise Refused(parcel)
    g.signal_key = parcel.key
    now = gate.clock.now()
    admitted = admit(gate, request, data, parcel.key, now)
    if isinstance(admitted, Refusal):
        report(gate, admitted, sender_of(gate, request, parcel.key), parcel.body, "", len(data))
        raise Refused(admitted)
    check_rate(gate, request, admitted, len(parcel.body.value))
    sender = partial(sender_of, gate, request, parcel.key)
    return gate.intake.take(parcel.body, None, Reception(admitted, now), sender)


def _report(gate: Gate, refusal: Refusal, sender: Sender, data: bytes, kind: SignalKind | None) -> None:
    """Tell of the signals in a body that nobody will read else, when it is small and telling is allowed."""
    if not may_report(gate, sender, len(data)):
        return
    try:
        body, kind = _read(current_request(), data, kind)
    except Refused:
        return
    gate.intake.report(refusal, sender, body, kind.name if kind is not None else "", gate.clock.now())


def _report_unknown(gate: Gate, refusal: Refusal, data: bytes, kind: str) -> None:
    """Tell of a signal of a kind that there is not (yet), when its sender would be let in."""
    key = request.headers.get("X-Api-Key")
    if not key or isinstance(admit(gate, request, data, key, gate.clock.now()), Refusal):
        return
    sender = sender_of(gate, request, key)
    if may_report(gate, sender, len(data)):
        with suppress(Refused):
            gate.intake.report(refusal, sender, body_of(request, data), kind, gate.clock.now())


def _refuse(gate: Gate, refusal: Refusal, kind: str) -> Response:
    gate.intake.refuse(refusal, _given_key(), kind)
    return _problem(refusal)


def _given_key() -> str | None:
    """The key of the request: of its header, or of a body that brings its own."""
    key: str | None = g.get("signal_key") or request.headers.get("X-Api-Key")
    return key


def _problem(refusal: Refusal) -> Response:
    headers = retry_headers(refusal)
    kind = _PROBLEM_TYPE + refusal.code.replace("_", "-")
    return problem(refusal.status, refusal.reason, type=kind, faults=refusal.faults, headers=headers, code=refusal.code)


def _answer(results: Sequence[Result]) -> Response:
    """200 with the results; 503 or 429 when every one is to be sent again."""
    documents = [result.as_document() for result in results]
    later = [result.refusal for result in results if result.refusal is not None and result.status in AGAIN]
    longest = max(later, key=lambda refusal: refusal.retry_after, default=None)
    headers = {} if longest is None else retry_headers(longest)
    if longest is not None and len(later) == len(results):
        if longest.status == 429:
            kind = f"{_PROBLEM_TYPE}rate-limited"
            return problem(429, longest.reason, type=kind, headers=headers, code="rate_limited", results=documents)
        detail = "no signal could be stored now; send them again"
        kind = f"{_PROBLEM_TYPE}unavailable"
        return problem(503, detail, type=kind, headers=headers, code="unavailable", results=documents)
    return Response(msgspec.json.encode({"results": documents}), 200, headers=headers, content_type="application/json")


def set_up_cors(app: Flask, keys: Keys) -> None:
    """Preflights carry no key: they allow what any configuration allows. Answers echo only for the key's own.

    Where the key is unknown, or lies in a body that cannot be read, an answer tells what a preflight would: a page
    that cannot read why it was refused would send the same again.
    """

    def preflight() -> Response | None:
        if request.method != "OPTIONS":
            return None
        response = Response(status=204)
        if request.url_rule is not None:
            response.headers["Allow"] = ", ".join(sorted(request.url_rule.methods or ()))
        origin = request.headers.get("Origin")
        if origin is not None and origin_allowed(keys.directory.domains, origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Methods"] = "POST"
            asked = asked_headers(request.headers.get("Access-Control-Request-Headers", ""))
            response.headers["Access-Control-Allow-Headers"] = ", ".join((_ALLOWED_HEADERS, *asked))
            response.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        g.preflight = True
        return response

    def echo(response: Response) -> Response:
        response.headers.add("Vary", "Origin")
        origin = current_request().headers.get("Origin")
        if origin is None or g.get("preflight"):
            return response
        key_id = (_given_key() or "").strip().partition(":")[0]
        directory = keys.directory
        known = directory.keys.get(key_id, ())
        own = [listener.domains for listener, _ in known] or [directory.domains]
        if any(origin_allowed(domains, origin) for domains in own):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
        return response

    app.before_request(preflight)
    app.after_request(echo)


_REFUSALS: Mapping[int, str] = {
    400: "The body is no JSON",
    401: "The key is missing or unknown, or its secret is wrong",
    403: "The key is disabled, or the origin, the site or the kind is not allowed",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    429: "More is sent than this key, address or profile may; send it again after Retry-After seconds",
    503: "The broker is away; send it again after Retry-After seconds",
}


_EVENT: Mapping[str, Any] = {
    "type": "object",
    "required": ["specversion", "type"],
    "properties": {"specversion": {"const": "1.0"}, "type": {"type": "string", "minLength": 1}},
}


def _describe(blueprint: Blueprint, kind: SignalKind) -> Callable[[Any], Any]:
    def decorate(view: Any) -> Any:
        view = _answers(blueprint, {**_REFUSALS, 422: "The signal is not valid; errors names every fault"})(view)
        view = _request_body(blueprint, SHAPES[kind.name].schema)(view)
        return blueprint.route(f"/v1/signals/{kind.name}", methods=["POST"])(view)

    return decorate


def _describe_batch(blueprint: Blueprint) -> Callable[[Any], Any]:
    def decorate(view: Any) -> Any:
        view = _answers(blueprint, _REFUSALS)(view)
        one_or_many = {"oneOf": [AnySignal, {"type": "array", "items": AnySignal}]}
        view = _request_body(blueprint, AnySignal, one_or_many)(view)
        return blueprint.route("/v1/signals", methods=["POST"])(view)

    return decorate


def _describe_unknown(blueprint: Blueprint) -> Callable[[Any], Any]:
    def decorate(view: Any) -> Any:
        text = "The catalogue has no such kind of signal"
        view = blueprint.doc(security=[])(view)
        view = blueprint.alt_response(404, schema=SignalProblemSchema, content_type=CONTENT_TYPE, description=text)(
            view
        )
        named = {"in": "path", "name": "kind", "description": "Any other kind of signal."}
        return blueprint.route("/v1/signals/<path:kind>", methods=["POST"], parameters=[named])(view)

    return decorate


def _answers(blueprint: Blueprint, refusals: Mapping[int, str]) -> Callable[[Any], Any]:
    def decorate(view: Any) -> Any:
        for status, text in refusals.items():
            view = blueprint.alt_response(
                status, schema=SignalProblemSchema, content_type=CONTENT_TYPE, description=text
            )(view)
        return blueprint.answer(200, ResultsSchema, description="Stored, or a result for every signal")(view)

    return decorate


def _request_body(blueprint: Blueprint, signal: Any, as_json: Any = None) -> Callable[[Any], Any]:
    event = {"allOf": [signal, _EVENT]}
    content = {
        "application/json": {"schema": signal if as_json is None else as_json},
        STRUCTURED: {"schema": event},
        BATCHED: {"schema": {"type": "array", "items": event}},
    }
    return blueprint.doc(security=[{"signalKey": []}], requestBody={"required": True, "content": content})
