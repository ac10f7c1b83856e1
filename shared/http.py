"""What every service's HTTP side has: documents, health, metrics, problems, authentication, limits, one log line."""

from __future__ import annotations

import hmac
import random
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import flask_smorest
import marshmallow as ma
import msgspec
import structlog
from flask import Flask, Request, Response, current_app, g, request
from flask_smorest.utils import prepare_response
from gunicorn.http.errors import ParseException
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from shared import metrics
from shared.broker import BrokerError
from shared.clock import stopwatch
from shared.conditions import VersionConflict, VersionRequired
from shared.documentation import documentation_page
from shared.pages import EXTENSION, Pages, shown
from shared.problems import (
    CONTENT_TYPE,
    Fault,
    ProblemSchema,
    ServiceError,
    faults_of,
    problem,
    problem_of,
    title_of,
)
from shared.settings import Settings
from shared.store import STORE_FAULTS, UNKEEPABLE

Check = Callable[[], str | None]
"""A condition of readiness: returns when it holds, and what is to be known of it, if anything; raises when not
(`NotReady` with the reason)."""

Authenticate = Callable[[], AnyResponse | None]
"""Lets the present request pass (None), answers it itself, or raises NotAuthenticated or NotAllowed."""

PUBLIC: Mapping[str, str] = {
    "/healthz": "asked by supervisors; says nothing but that the process answers",
    "/readyz": "asked by supervisors; names the checks, no data",
    "/metrics": "scraped by Prometheus; counts only",
    "/openapi.json": "the description of the API",
    "/docs": "the description of the API",
}
"""Routes without a bearer token → why."""

View = TypeVar("View", bound=Callable[..., Any])

_PATH_IDS = re.compile(r"<(?:\w+:)?(\w+)_id>")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SAFE_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_log = structlog.get_logger("http")


class NotReady(Exception):
    """A condition of readiness does not hold."""


class NotAuthenticated(ServiceError):
    """A valid bearer token is needed."""


class NotAllowed(ServiceError):
    """This is not allowed to whoever asks."""


class NotFound(ServiceError):
    """There is nothing of this id."""


class Conflict(ServiceError):
    """The present state does not allow this."""


class Unprocessable(ServiceError):
    """Something in the request is not right."""


class TooOften(ServiceError):
    """This was tried too often."""


class Unavailable(ServiceError):
    """This cannot be done at the moment; try again."""


STATUSES: Mapping[type[Exception], int] = {
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    VersionConflict: 412,
    Unprocessable: 422,
    VersionRequired: 428,
    TooOften: 429,
    Unavailable: 503,
}
"""Error → HTTP status, for what services have in common."""


class BodyParser(FlaskParser):
    """Reads JSON strictly: another content type is 415, what is no JSON is 400; unknown parameters are faults."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 - as webargs declares it
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def load_json(self, req: Request, schema: ma.Schema) -> Any:  # noqa: ARG002 - webargs gives it
        """The decoded body; an absent one is an empty object."""
        if not req.is_json:
            if req.content_length or req.content_type:
                flask_smorest.abort(415, message="Send JSON, with the header Content-Type: application/json.")
            return {}
        body = req.get_data()
        if not body:
            flask_smorest.abort(400, message="The body is empty. Send a JSON object, {} at least.")
        if req.content_length is None and len(body) >= (req.max_content_length or len(body) + 1):
            flask_smorest.abort(413)  # werkzeug cuts a chunked body there, in silence
        return decode_json(body)


def decode_json(body: bytes) -> Any:
    """The JSON value; aborts with 400 when it is none (NaN, lone surrogates and extreme nesting are none)."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.MsgspecError) else "it is nested too deeply"
        flask_smorest.abort(400, message=f"The body is no JSON: {reason}.")


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose bodies are read strictly and whose errors are documented beside the view."""

    ARGUMENTS_PARSER = BodyParser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view under a route; the ids in its path are described."""
        ids = [
            {"in": "path", "name": f"{what}_id", "description": f"Id of the {what}."}
            for what in _PATH_IDS.findall(rule)
        ]
        parameters = [*options.pop("parameters", ()), *ids]
        decorate: Callable[[View], View] = super().route(rule, parameters=parameters, **options)
        return decorate

    def alt_response(self, status_code: int, **options: Any) -> Callable[[View], View]:
        """Describe another answer."""
        return _describing(super().alt_response(status_code, **options))

    def answer(self, status_code: int, schema: Any = None, **options: Any) -> Callable[[View], View]:
        """Describe the answer of a view that writes it itself."""
        return _describing(super().response(status_code, schema, **options))

    @staticmethod
    def doc(**members: Any) -> Callable[[View], View]:
        """Add to the description of the operation."""
        return _describing(flask_smorest.Blueprint.doc(**members))

    if TYPE_CHECKING:  # flask-smorest is not typed

        def arguments(self, schema: Any, *, location: str = "json", **options: Any) -> Callable[[View], View]:
            """Read the body or the query by a schema."""
            ...

        def response(self, status_code: int, schema: Any = None, **options: Any) -> Callable[[View], View]:
            """Write the answer by a schema."""
            ...

    def conditional(self, *, required: bool = False) -> Callable[[View], View]:
        """Decorator: describes the header If-Match, which the view reads by `expected_version`."""
        about = "The ETag of the version that was read" + ("." if required else "; without it any version is meant.")
        header = {"name": "If-Match", "in": "header", "required": required, "description": about}
        return self.doc(parameters=[{**header, "schema": {"type": "string"}}])

    def refuses(
        self, *errors: type[ServiceError], statuses: Mapping[type[Exception], int] = STATUSES
    ) -> Callable[[View], View]:
        """Decorator: the view may raise these errors; their documents are described in OpenAPI."""

        def decorate(view: View) -> View:
            for error in errors:
                view = self.alt_response(
                    status_of(error, statuses),
                    schema=ProblemSchema,
                    content_type=CONTENT_TYPE,
                    description=title_of(error),
                )(view)
            return view

        return decorate


def _describing(decorate: Callable[[Any], Any]) -> Callable[[View], View]:
    """The same description, on the view itself: flask-smorest puts a function around it, which every call pays for."""

    def describe(view: View) -> View:
        view._apidoc = decorate(view)._apidoc  # type: ignore[attr-defined]  # where flask-smorest keeps it
        return view

    return describe


def status_of(error: type[Exception], statuses: Mapping[type[Exception], int] = STATUSES) -> int:
    """The HTTP status of an error, by the nearest class in the table; 500 when there is none."""
    return next((statuses[kind] for kind in error.__mro__ if kind in statuses), 500)


def create_service(  # noqa: PLR0913 - all but two by keyword
    name: str,
    settings: Settings,
    *,
    title: str,
    description: str,
    blueprints: Sequence[flask_smorest.Blueprint],
    checks: Mapping[str, Check] | None = None,
    statuses: Mapping[type[Exception], int] | None = None,
    public: Mapping[str, str] | None = None,
    authenticate: Authenticate | None = None,
    pages: Pages | None = None,
    max_body: int = 1_000_000,
) -> Flask:
    """The Flask application of a service.

    `checks`: what /readyz asks, by name. `statuses`: the service's own errors → HTTP status. `public`: route
    patterns that anybody may ask → why. `authenticate`: who may ask the others; the admin token when not given.
    `pages`: what people look at; not in the API's description. `max_body`: bytes, more is 413.
    """
    app = _Service(name)
    app.config.update(
        API_TITLE=title,
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS=_spec_options(description),
        MAX_CONTENT_LENGTH=max_body,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["moments-checks"] = dict(checks or {})
    app.extensions["moments-public"] = {**PUBLIC, **(public or {})}
    app.extensions[EXTENSION] = pages
    app.before_request(_begin)
    app.before_request(_guard(authenticate or _admin_only(settings.admin_token), app.extensions["moments-public"]))
    app.after_request(_finish(name))
    _handle_errors(app, {**STATUSES, **(statuses or {})})
    api = _Api(app)
    for blueprint in (*blueprints, _operations()):
        api.register_blueprint(blueprint)
    app.add_url_rule("/docs", "docs", _docs_view(api))
    for page in pages.blueprints if pages is not None else ():
        app.register_blueprint(page)
    return app


class _Service(Flask):
    def ensure_sync(self, func: View) -> View:
        """The same: no view is a coroutine, and Flask would look at each function of each request again."""
        return func

    def log_exception(self, exc_info: Any) -> None:
        """One line with the traceback; the route in place of the path, which may hold an id of a person."""
        _log.error("http.failed", method=request.method, route=_route(request), exc_info=exc_info)


class _Api(flask_smorest.Api):  # type: ignore[misc]
    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = "DEFAULT_ERROR"

    def _register_responses(self) -> None:
        """The same components as flask-smorest's, with the content type of problem documents."""
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response["schema"] = self.ERROR_SCHEMA
            prepare_response(response, self.spec, CONTENT_TYPE)
            self.spec.components.response(status.name, response, lazy=True)
        response = {"description": "Any other error", "schema": self.ERROR_SCHEMA}
        prepare_response(response, self.spec, CONTENT_TYPE)
        self.spec.components.response("DEFAULT_ERROR", response, lazy=True)

    def _register_pagination_header(self) -> None:
        """No header: lists carry their page in the body."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        """An HTTP error as a problem document, with its own headers (405 names the allowed methods), or as a page."""
        return _http_problem(error)


def _http_problem(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(status=status)
    data: dict[str, Any] = getattr(error, "data", None) or {}
    faults = faults_of(data["messages"]) if "messages" in data else []
    detail = data.get("message") or ("" if isinstance(error, InternalServerError) else error.description) or ""
    if faults:
        detail = f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the request."
    headers = {name: value for name, value in error.get_headers() if name.lower() not in ("content-type",)}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return shown(problem(status, detail, faults=faults, headers=headers))


def _handle_errors(app: Flask, statuses: Mapping[type[Exception], int]) -> None:
    def service_error(error: ServiceError) -> Response:
        answer = problem_of(error, status_of(type(error), statuses))
        if answer.status_code == 401:
            answer.headers["WWW-Authenticate"] = 'Bearer realm="moments"'
        return shown(answer)

    def passing_fault(error: Exception) -> Response:
        _log.error("http.dependency_failed", method=request.method, route=_route(request), exc_info=error)
        return shown(problem_of(Unavailable("A database or the broker does not answer.", retry_after=1), 503))

    def unkeepable(error: Exception) -> Response:
        _log.warning("http.unkeepable", method=request.method, route=_route(request), error=type(error).__name__)
        return shown(problem_of(Unprocessable("A text holds a character that cannot be kept."), 422))

    def broken_transfer(_: ParseException) -> Response:
        return shown(problem(400, "The chunks of the body are malformed."))

    app.register_error_handler(ServiceError, service_error)
    for kind in (*STORE_FAULTS, BrokerError):
        app.register_error_handler(kind, passing_fault)
    for kind in UNKEEPABLE:
        app.register_error_handler(kind, unkeepable)
    app.register_error_handler(ParseException, broken_transfer)


def _begin() -> None:
    given = request.headers.get("X-Request-Id")
    context = g._get_current_object()
    context.request_id = (
        given if given is not None and _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
    )
    context.began = stopwatch()
    structlog.contextvars.bind_contextvars(request_id=context.request_id)


def _guard(authenticate: Authenticate, public: Mapping[str, str]) -> Authenticate:
    def guard() -> AnyResponse | None:
        rule = request.url_rule
        return None if rule is None or rule.rule in public else authenticate()

    return guard


def _admin_only(token: str) -> Authenticate:
    def authenticate() -> None:
        if not is_token(bearer_token(), token):
            raise NotAuthenticated("Send the admin token in the header Authorization: Bearer <token>.")

    return authenticate


def bearer_token() -> str:
    """The token in the header Authorization, empty where there is none."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def is_token(given: str, expected: str) -> bool:
    """Whether a token is the expected one; takes the same time for every wrong one."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _finish(service: str) -> Callable[[Response], Response]:
    def finish(response: Response) -> Response:
        asked, context = current_request(), g._get_current_object()
        present = {name.lower() for name, _ in response.headers}
        for name, value in _SAFE_HEADERS:
            if name.lower() not in present:
                response.headers.add(name, value)
        response.headers["X-Request-Id"] = context.request_id
        if asked.method in ("GET", "HEAD") and response.status_code == 200 and "etag" in present:
            response.make_conditional(asked)
        seconds = stopwatch() - context.began
        method, route, status = asked.method, _route(asked), response.status_code
        metrics.observe_request(service, method, route, status, seconds)
        milliseconds = round(seconds * 1000, 1)
        _log.info("http.request", method=method, route=route, status=status, milliseconds=milliseconds)
        structlog.contextvars.unbind_contextvars("request_id")
        return response

    return finish


def current_request() -> Request:
    """The request itself, where it is looked at often: each look through Flask's stand-in asks for it anew."""
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    return asked


def _route(asked: Request) -> str:
    return asked.url_rule.rule if asked.url_rule is not None else "(none)"


def _spec_options(description: str) -> dict[str, Any]:
    return {
        "info": {"description": description},
        "components": {"securitySchemes": {"adminToken": {"type": "http", "scheme": "bearer"}}},
        "security": [{"adminToken": []}],
    }


def _docs_view(api: flask_smorest.Api) -> Callable[[], Response]:
    def docs() -> Response:
        """The description of the API as a page."""
        page = Response(documentation_page(api.spec.to_dict()), content_type="text/html; charset=utf-8")
        page.headers["Content-Security-Policy"] = _PAGE_POLICY
        return page

    return docs


class HealthSchema(ma.Schema):
    """That a process answers, or that its conditions hold."""

    status = ma.fields.String(required=True, metadata={"examples": ["ready"]})
    checks = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.String(),
        metadata={"description": "Condition → `ok`, or what is to be known of it."},
    )


def _operations() -> Blueprint:
    operations = Blueprint("operations", __name__, description="Health and metrics of this service.")

    @operations.route("/healthz")
    @operations.doc(security=[])
    @operations.response(200, HealthSchema)
    def healthz() -> Any:
        """The process answers."""
        return {"status": "healthy"}

    @operations.route("/readyz")
    @operations.doc(security=[])
    @operations.alt_response(
        503, schema=ProblemSchema, content_type=CONTENT_TYPE, description="A condition does not hold; named in errors"
    )
    @operations.response(200, HealthSchema)
    def readyz() -> Any:
        """The service can do its work; 503 names what is missing."""
        checks: Mapping[str, Check] = current_app.extensions["moments-checks"]
        found = {name: _outcome(name, check) for name, check in checks.items()}
        faults = [outcome for outcome in found.values() if isinstance(outcome, Fault)]
        if faults:
            return problem(
                503, "; ".join(f"{fault.pointer[1:]}: {fault.reason}" for fault in faults), title="Not ready",
                faults=faults, headers={"Retry-After": "1"},
            )  # fmt: skip
        return {"status": "ready", "checks": found}

    @operations.route("/metrics")
    @operations.doc(security=[])
    @operations.response(200, {"type": "string"}, content_type=metrics.CONTENT_TYPE)
    def metrics_view() -> Any:
        """Metrics in the text format of Prometheus."""
        return Response(metrics.metrics_page(), content_type=metrics.CONTENT_TYPE)

    return operations


def _outcome(name: str, check: Check) -> str | Fault:
    try:
        return check() or "ok"
    except Exception as error:
        reason = str(error) if isinstance(error, NotReady | BrokerError) else type(error).__name__
        _log.warning("readiness.failed", check=name, error=type(error).__name__)
        return Fault(f"/{name}", reason)
