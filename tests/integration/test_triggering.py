"""Config asks trigger: what it is given, what it makes of refusals and of silence, and how it listens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, request

from services.config import triggering
from services.config.triggering import TriggerAway, TriggerClient, TriggerConflict, TriggerRefused
from shared.clock import stopwatch
from shared.http import NotFound
from shared.problems import Fault, problem
from tests.support.processes import free_ports, wait_until
from tests.support.serving import served

TOKEN = "a-token-for-the-tests"


def client_at(port: int, **options: Any) -> TriggerClient:
    return TriggerClient(f"http://127.0.0.1:{port}/", TOKEN, **options)


@pytest.fixture
def trigger() -> Iterator[TriggerClient]:
    """A service that shows what it was asked, refuses, and streams."""
    app = Flask("trigger")
    app.add_url_rule("/asked/<path:name>", "asked", _asked, methods=["GET", "POST", "PATCH", "DELETE"])
    app.add_url_rule("/empty", "empty", lambda: ("", 204), methods=["POST"])
    app.add_url_rule("/refused/<int:status>", "refused", _refused)
    app.add_url_rule("/list", "list", lambda: [])
    app.add_url_rule("/stream", "stream", _stream)
    over = threading.Event()
    app.add_url_rule("/silent", "silent", lambda: Response(_silence(over), content_type="text/event-stream"))
    with served(app) as port:
        yield client_at(port)
        over.set()


def _asked(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "query": request.args,
        "token": request.headers["Authorization"],
        "document": request.get_json(silent=True),
        "method": request.method,
        "version": request.headers.get("If-Match"),
    }


def _refused(status: int) -> Response:
    return problem(status, "Not so.", faults=[Fault("/duration", "too long"), Fault("", "unknown", parameter="page")])


def _stream() -> Response:
    def events() -> Iterator[bytes]:
        yield b"retry: 1000\n\n"
        yield b"event: analytics\ndata: {}\n\n" + b"x" * 100_000
        threading.Event().wait(1.2)
        yield b"event: outcome\ndata: {}\n\n"

    return Response(events(), content_type="text/event-stream", headers={"Asked": request.headers["Authorization"]})


def _silence(over: threading.Event) -> Iterator[bytes]:
    yield b"retry: 1000\n\n"
    over.wait(120)


def test_it_asks_with_the_token_of_the_installation_and_quotes_what_it_is_given(trigger: TriggerClient) -> None:
    got = trigger.get("/asked/a b?c#d", {"limit": 5, "cursor": None, "q": "ä&b=c"})

    assert got == {
        "name": "a b?c#d",
        "query": {"limit": "5", "q": "ä&b=c"},
        "token": f"Bearer {TOKEN}",
        "document": None,
        "method": "GET",
        "version": None,
    }
    assert trigger.post("/asked/x", {"a": [1]})["document"] == {"a": [1]}
    assert trigger.post("/empty", {}) == {}


def test_it_changes_the_version_that_was_seen_and_no_other(trigger: TriggerClient) -> None:
    changed = trigger.patch("/asked/x", {"a": 1}, 7)
    posted = trigger.post("/asked/x", {}, version=8)

    assert (changed["method"], changed["version"], changed["document"]) == ("PATCH", '"7"', {"a": 1})
    assert posted["version"] == '"8"'
    trigger.delete("/asked/x", 9)
    for status in (409, 412):
        with pytest.raises(TriggerConflict):
            trigger.get(f"/refused/{status}")


def test_what_trigger_does_not_know_and_what_it_refuses_keep_its_words(trigger: TriggerClient) -> None:
    with pytest.raises(NotFound, match="Not so"):
        trigger.get("/refused/404")
    for status in (400, 409, 412, 422):
        with pytest.raises(TriggerRefused, match="Not so") as refused:
            trigger.get(f"/refused/{status}")
        assert refused.value.faults == (Fault("/duration", "too long"), Fault("", "unknown", parameter="page"))
    for status in (401, 500, 503):
        with pytest.raises(TriggerAway, match=rf"It answered {status}\. Not so"):
            trigger.get(f"/refused/{status}")

    assert trigger.get("/asked/x")["name"] == "x"  # an answer of any kind is no absence to remember


def test_an_answer_that_is_no_document_counts_as_away(trigger: TriggerClient) -> None:
    with pytest.raises(TriggerAway, match="cannot be reached"):
        trigger.get("/list")


def test_after_silence_it_counts_as_away_for_a_while_and_is_not_waited_for_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_at(silent.getsockname()[1], patience=0.3)
        began = stopwatch()
        for _ in range(5):
            with pytest.raises(TriggerAway, match="cannot be reached"):
                client.get("/asked/x")
            with pytest.raises(TriggerAway, match="cannot be reached"):
                client.stream("/stream")
            with pytest.raises(TriggerAway, match="cannot be reached"):
                client.post("/asked/x", {})

    assert 0.3 <= stopwatch() - began < 3 < 15 * 0.3


def test_it_is_found_again_when_it_is_back() -> None:
    app = Flask("trigger")
    app.add_url_rule("/asked/<name>", "asked", _asked)
    (port,) = free_ports(1)
    client = client_at(port)
    with pytest.raises(TriggerAway):
        client.get("/asked/x")

    with served(app, port):
        wait_until(lambda: is_there(client), "it to be asked again, which it is after two seconds", 5)


def is_there(client: TriggerClient) -> bool:
    try:
        return bool(client.get("/asked/x"))
    except TriggerAway:
        return False


def test_it_listens_as_events_come_and_looks_up_in_silence(trigger: TriggerClient) -> None:
    seen = list(trigger.stream("/stream"))

    told = b"".join(seen)
    assert told.startswith(b"retry: 1000\n\nevent: analytics\n")
    assert told.endswith(b"event: outcome\ndata: {}\n\n")
    assert len(told) > 100_000
    assert seen.count(b"") >= 2  # half a second each
    assert len(b"".join(seen[: seen.index(b"")])) > 100_000  # before the silence, not with what ended it


def test_a_stream_is_ended_from_another_thread(trigger: TriggerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggering, "_LOOK_UP_EVERY", 60.0)
    monkeypatch.setattr(triggering, "_SILENT_FOR", 60.0)
    stream = trigger.stream("/silent")
    threading.Timer(0.2, stream.end).start()
    began = stopwatch()

    list(stream)

    assert stopwatch() - began < 30


def test_a_refused_stream_says_why(trigger: TriggerClient) -> None:
    with pytest.raises(NotFound):
        trigger.stream("/refused/404")
    with pytest.raises(TriggerAway, match=r"It answered 503\. Not so"):
        trigger.stream("/refused/503")
