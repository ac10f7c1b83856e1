"""The frame of every service's HTTP side: problems, authentication, limits, documents, health, one log line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marshmallow as ma
import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidChunkSize

from shared.broker import BrokerUnavailable
from shared.http import Blueprint, Conflict, NotReady, create_service
from shared.logs import pseudonym, set_up_logs
from shared.problems import Fault, ServiceError
from shared.settings import Settings
from shared.store import STORE_FAULTS

TOKEN = "a-token-for-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class TeaSchema(ma.Schema):
    """A cup."""

    name = ma.fields.String(required=True)
    sugars = ma.fields.List(ma.fields.Integer(strict=True))


class TeaQuery(ma.Schema):
    """Which cups."""

    page = ma.fields.Integer(load_default=1)


class Teapot(ServiceError):
    """It is a teapot."""


def raising(error: Exception) -> Any:
    """A body that raises."""
    raise error


ERRORS: dict[str, Exception] = {
    "conflict": Conflict("It is in use.", faults=[Fault("/name", "taken")]),
    "teapot": Teapot("Short and stout."),
    "broker": BrokerUnavailable("nobody there"),
    "store": STORE_FAULTS[0]("database is locked"),
    "boom": ZeroDivisionError("ada@example.com"),
}


def tea_blueprint() -> Blueprint:
    """A resource to try things on."""
    tea = Blueprint("tea", __name__, url_prefix="/tea", description="Tea.")

    @tea.route("", methods=["POST"])
    @tea.arguments(TeaSchema)
    @tea.response(201, TeaSchema)
    @tea.refuses(Conflict)
    def make(cup: dict[str, Any]) -> Any:
        """Make tea."""
        return raising(ERRORS[cup["name"]]) if cup["name"] in ERRORS else cup

    @tea.route("")
    @tea.arguments(TeaQuery, location="query")
    @tea.response(200, TeaSchema(many=True))
    def cups(query: dict[str, Any]) -> Any:
        """List cups."""
        return [{"name": str(query["page"])}], {"ETag": '"1"'}

    @tea.route("/open/<name>")
    @tea.response(200, TeaSchema)
    def taste(name: str) -> Any:
        """Taste without a token."""
        return {"name": name}

    return tea


def service(folder: Path, **options: Any) -> Flask:
    """A service with the tea resource."""
    settings = Settings.from_environment({"MOMENTS_DATA": str(folder), "MOMENTS_ADMIN_TOKEN": TOKEN})
    return create_service(
        "tea",
        settings,
        title="Tea",
        description="Tea & <biscuits>.",
        blueprints=[tea_blueprint()],
        statuses={Teapot: 418},
        public={"/tea/open/<name>": "a taste is free"},
        max_body=1_000,
        **options,
    )


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    """Calls the service."""
    return service(tmp_path).test_client()


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, checked."""
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    document: dict[str, Any] = answer.get_json(force=True)
    assert document["status"] == status
    assert document["title"]
    assert document["type"]
    return document


def test_a_request_without_the_token_is_refused(client: FlaskClient) -> None:
    for authorization in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"):
        answer = client.get("/tea", headers={"Authorization": authorization})

        is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="moments"'
    assert client.get("/tea", headers=BEARER).status_code == 200
    assert client.get("/tea", headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200


def test_only_the_listed_routes_are_public(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/tea/open/x"):
        assert client.get(path).status_code == 200
    assert client.options("/tea").status_code == 401


def test_the_body_is_never_read_before_the_token(client: FlaskClient) -> None:
    is_problem(client.post("/tea", data="{", content_type="application/json"), 401)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"NaN", b'{"name": NaN}', b'"\\ud800"', b"\xff", b"[" * 900, b"{} {}", b"\xef\xbb\xbf{}"]
)
def test_a_body_that_is_no_json_is_400(client: FlaskClient, body: bytes) -> None:
    is_problem(client.post("/tea", data=body, headers={**BEARER, "Content-Type": "application/json"}), 400)


def test_deep_nesting_is_no_error_of_the_service(tmp_path: Path) -> None:
    app = service(tmp_path)
    app.config["MAX_CONTENT_LENGTH"] = 10_000_000

    answer = app.test_client().post("/tea", data=b"[" * 500_000, headers={**BEARER, "Content-Type": "application/json"})

    is_problem(answer, 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_415(client: FlaskClient, kind: str) -> None:
    is_problem(client.post("/tea", data="{}", headers={**BEARER, "Content-Type": kind}), 415)


def test_a_missing_body_is_an_empty_one(client: FlaskClient) -> None:
    document = is_problem(client.post("/tea", headers=BEARER), 422)

    assert [fault["pointer"] for fault in document["errors"]] == ["/name"]


def test_a_body_over_the_limit_is_413(client: FlaskClient) -> None:
    is_problem(client.post("/tea", json={"name": "x" * 1_000}, headers=BEARER), 413)


@pytest.mark.parametrize(("size", "expected"), [(999, 201), (1_001, 413), (5_000, 413)])
def test_a_chunked_body_over_the_limit_is_never_cut_in_silence(client: FlaskClient, size: int, expected: int) -> None:
    answer = client.post(
        "/tea",
        input_stream=io.BytesIO(b'{"name": "mint"}'.ljust(size)),
        environ_overrides={"wsgi.input_terminated": True},
        headers={**BEARER, "Content-Type": "application/json"},
    )

    assert answer.status_code == expected


class MalformedChunks(io.BytesIO):
    """A body as gunicorn reads it when the sizes of its chunks are no numbers."""

    def read(self, *_: Any) -> bytes:
        """Fails."""
        raise InvalidChunkSize(b"ZZ")

    readinto = read  # type: ignore[assignment]


def test_a_body_in_malformed_chunks_is_400(client: FlaskClient) -> None:
    answer = client.post(
        "/tea",
        input_stream=MalformedChunks(),
        environ_overrides={"wsgi.input_terminated": True},
        headers={**BEARER, "Content-Type": "application/json"},
    )

    is_problem(answer, 400)


def test_every_fault_has_a_pointer_of_its_own(client: FlaskClient) -> None:
    wrong = {"sugars": [1, "2", None], "a/b~c": 1}

    document = is_problem(client.post("/tea", json=wrong, headers=BEARER), 422)

    assert sorted(fault["pointer"] for fault in document["errors"]) == ["/a~1b~0c", "/name", "/sugars/1", "/sugars/2"]
    assert all(fault["reason"] for fault in document["errors"])


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_a_body_that_is_no_object_is_a_fault_of_the_whole(client: FlaskClient, body: Any) -> None:
    answer = client.post("/tea", data=json.dumps(body), headers={**BEARER, "Content-Type": "application/json"})

    assert [fault["pointer"] for fault in is_problem(answer, 422)["errors"]] == [""]


def test_a_wrong_parameter_is_named(client: FlaskClient) -> None:
    document = is_problem(client.get("/tea?page=x&who=me", headers=BEARER), 422)

    assert sorted(fault["parameter"] for fault in document["errors"]) == ["page", "who"]


def test_an_unknown_path_is_404_and_a_wrong_method_names_the_allowed_ones(client: FlaskClient) -> None:
    is_problem(client.get("/coffee", headers=BEARER), 404)
    answer = client.delete("/tea", headers=BEARER)

    is_problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_errors_become_problems_by_one_table(client: FlaskClient) -> None:
    def problem(name: str, status: int) -> dict[str, Any]:
        return is_problem(client.post("/tea", json={"name": name}, headers=BEARER), status)

    conflict = problem("conflict", 409)
    assert conflict == {
        "type": "urn:moments:problem:conflict",
        "title": "The present state does not allow this",
        "status": 409,
        "detail": "It is in use.",
        "errors": [{"pointer": "/name", "reason": "taken"}],
    }
    assert problem("teapot", 418)["type"] == "urn:moments:problem:teapot"


@pytest.mark.parametrize("name", ["broker", "store"])
def test_a_broker_or_database_that_is_away_is_503_with_a_time_to_retry(client: FlaskClient, name: str) -> None:
    answer = client.post("/tea", json={"name": name}, headers=BEARER)

    is_problem(answer, 503)
    assert answer.headers["Retry-After"] == "1"
    assert b"locked" not in answer.data


def test_an_error_nobody_expected_says_nothing_of_its_inside(client: FlaskClient) -> None:
    answer = client.post("/tea", json={"name": "boom"}, headers=BEARER)

    is_problem(answer, 500)
    assert b"ada@example.com" not in answer.data


def test_every_answer_has_the_safe_headers_and_a_request_id(client: FlaskClient) -> None:
    for path in ("/healthz", "/nowhere", "/tea"):
        answer = client.get(path)

        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers["X-Request-Id"]) == 32
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-Id": "<b>"}).headers["X-Request-Id"] != "<b>"


def test_an_unchanged_resource_is_304(client: FlaskClient) -> None:
    answer = client.get("/tea", headers={**BEARER, "If-None-Match": '"1"'})

    assert (answer.status_code, answer.data) == (304, b"")


def test_readiness_names_what_is_missing(tmp_path: Path) -> None:
    def broker() -> None:
        raise NotReady("no broker")

    def database() -> None:
        raise ZeroDivisionError("host=secret.example.com")

    answer = (
        service(tmp_path, checks={"broker": broker, "database": database, "disk": lambda: None})
        .test_client()
        .get("/readyz")
    )

    document = is_problem(answer, 503)
    assert document["errors"] == [
        {"pointer": "/broker", "reason": "no broker"},
        {"pointer": "/database", "reason": "ZeroDivisionError"},
    ]
    assert answer.headers["Retry-After"] == "1"


def test_metrics_count_requests_by_route_and_not_by_path(client: FlaskClient) -> None:
    client.get("/tea/open/ada@example.com")

    page = client.get("/metrics").get_data(as_text=True)

    assert 'moments_http_requests_total{method="GET",route="/tea/open/<name>",service="tea",status="200"}' in page
    assert "ada@example.com" not in page


def test_whoever_invents_methods_makes_no_series_of_metrics(client: FlaskClient) -> None:
    for number in range(20):
        client.open("/tea", method=f"BREW{number}", headers=BEARER)

    page = client.get("/metrics").get_data(as_text=True)
    assert "BREW" not in page
    assert 'method="other"' in page


def test_the_page_of_the_documents_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    answer = client.get("/docs")
    page = answer.get_data(as_text=True)

    assert "Make tea." in page
    assert "Tea &amp; &lt;biscuits&gt;." in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_document_names_the_problems_and_who_needs_a_token(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    post = document["paths"]["/tea"]["post"]
    assert document["openapi"] == "3.1.0"
    assert post["summary"] == "Make tea."
    assert set(post["responses"]) == {"201", "409", "422", "default"}
    assert list(post["responses"]["409"]["content"]) == ["application/problem+json"]
    assert document["security"] == [{"adminToken": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_the_ids_in_a_path_are_described(tmp_path: Path) -> None:
    shelf = Blueprint("shelf", __name__, url_prefix="/shelf")
    pot = {"in": "path", "name": "pot", "description": "Which pot."}

    @shelf.route("/<uuid:cup_id>/<pot>", parameters=[pot])
    @shelf.response(204)
    def _take(cup_id: object, pot: str) -> None:
        """Take a cup."""

    settings = Settings.from_environment({"MOMENTS_DATA": str(tmp_path), "MOMENTS_ADMIN_TOKEN": TOKEN})
    app = create_service("shelf", settings, title="Shelf", description="Cups.", blueprints=[shelf])
    document = app.test_client().get("/openapi.json").get_json()

    described = {each["name"]: each["description"] for each in document["paths"]["/shelf/{cup_id}/{pot}"]["parameters"]}
    assert described == {"cup_id": "Id of the cup.", "pot": "Which pot."}


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a program would log, as JSON lines."""
    monkeypatch.setattr("shared.http._log", structlog.get_logger("http"))  # a logger stays with its first stream
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("tea", "info", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_each_request_leaves_one_line_without_personal_data(tmp_path: Path, log_lines: io.StringIO) -> None:
    client = service(tmp_path).test_client()

    client.get("/tea/open/ada@example.com?email=ada@example.com", headers={"X-Request-Id": "r-1"})

    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["http.request"]
    assert {"service": "tea", "route": "/tea/open/<name>", "status": 200, "request_id": "r-1"}.items() <= lines[
        0
    ].items()
    assert "ada" not in log_lines.getvalue()


def test_an_error_nobody_expected_leaves_its_traceback_in_the_log(tmp_path: Path, log_lines: io.StringIO) -> None:
    service(tmp_path).test_client().post("/tea", json={"name": "boom"}, headers=BEARER)

    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["http.failed", "http.request"]
    assert "ZeroDivisionError" in lines[0]["exception"]


def test_what_no_encoder_likes_still_makes_a_line(log_lines: io.StringIO) -> None:
    log = structlog.get_logger("odd")

    log.info("odd", text="\ud800 ü", number=2**70, thing=object, share=0.5)
    log.debug("too.quiet")

    (line,) = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert {"event": "odd", "level": "info", "logger": "odd", "service": "tea", "share": 0.5}.items() <= line.items()
    assert (line["text"], line["number"], line["thing"]) == ("\ud800 ü", 2**70, "<class 'object'>")
    assert log_lines.getvalue().isascii()


def test_a_line_of_a_library_looks_like_our_own(log_lines: io.StringIO) -> None:
    logging.getLogger("library").warning("careful with %s", "ü")

    (line,) = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert {
        "event": "careful with ü",
        "level": "warning",
        "logger": "library",
        "service": "tea",
    }.items() <= line.items()


def test_a_profile_stands_in_a_log_as_a_keyed_hash() -> None:
    assert pseudonym(b"a", "email", "ada@example.com") == pseudonym(b"a", "email", "ada@example.com")
    assert pseudonym(b"a", "email", "ada@example.com") != pseudonym(b"b", "email", "ada@example.com")
    assert pseudonym(b"a", "em", "ailada") != pseudonym(b"a", "email", "ada")
