"""`moments why` as it is called: over a recorded log, and of trigger's REST."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from services.cli.why import why
from tests.support.explanations import derive_from

LOG = """event_time,event_type,product_id,price,user_id,user_session
2022-10-01 00:00:00 UTC,cart,1,2.50,7,s
2022-10-01 00:01:00 UTC,cart,2,4.00,8,t
2022-10-01 00:02:00 UTC,purchase,2,4.00,8,t
2022-10-01 00:03:00 UTC,view,2,4.00,9,u
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(why, arguments, catch_exceptions=False)


@pytest.fixture
def over(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return ("--file", str(path), "--format", "rees46", "--template", "cart_abandon", "--set", "duration=PT10M")


def test_a_raise_over_a_log_is_told_in_words(over: tuple[str, ...]) -> None:
    done = call(*over, "7")

    assert done.exit_code == 0
    assert done.output.startswith("Cart Abandon (cart_abandon, running) and external 7\nThe moment was raised.")
    assert "10 min after the last activity" in done.output
    assert "waits: 1 opened, 1 raised, 0 pending" in done.output


@pytest.mark.parametrize(("profile", "code"), [("8", "ended"), ("9", "no_such_signals"), ("10", "unknown_profile")])
def test_why_nothing_was_raised_is_told_too(over: tuple[str, ...], profile: str, code: str) -> None:
    document = json.loads(call(*over, "--json", profile).stdout)

    assert document["answer"]["code"] == code
    assert derive_from(document).raised == []


def test_only_the_process_that_is_asked_for_is_told(over: tuple[str, ...]) -> None:
    whole, part = (json.loads(call(*over, "--json", *more, "7").stdout) for more in ((), ("--process", "other")))

    assert whole["counts"]["raised"] == 1
    assert (part["counts"]["opened"], part["waits"]) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("m1",), "MOMENT and PROFILE"),
        (("m1", "ada@example.com", "x"), "MOMENT and PROFILE"),
        (("--file", __file__, "m1", "ada@example.com"), "PROFILE alone"),
        (("--file", __file__, "7"), "--format and --template"),
        (("--file", __file__, "--format", "rees46", "--template", "x", "7"), "cart_abandon"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: tuple[str, ...], said: str) -> None:
    done = call(*arguments)

    assert done.exit_code == 2
    assert said in done.output


def test_a_profile_that_is_none_ends_with_2(over: tuple[str, ...]) -> None:
    done = call(*over, "--id-type", "email", "nobody")

    assert done.exit_code == 2
    assert "e-mail address" in done.output


class Answers(BaseHTTPRequestHandler):
    """Trigger's explanations, page by page, as trigger answers."""

    document: dict[str, Any]

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if query["moment"] != "m1":
            self._answer(404, {"title": "Not found", "detail": "Trigger knows no moment of this id."})
            return
        assert (query["profile"], query["idType"]) == ("ada@example.com", "email")
        last = int(query.get("before", len(self.document["entries"])))
        shown = self.document["entries"][max(0, last - 2) : last]
        self._answer(200, {**self.document, "entries": shown, "earlier": shown[0]["place"] or None})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def service(over: tuple[str, ...]) -> Iterator[str]:
    Answers.document = json.loads(call(*over, "--json", "8").stdout)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_all_pages_of_the_service_are_put_together(service: str) -> None:
    done = call("--url", service, "--token", "a-token-for-the-tests", "--json", "m1", "ada@example.com")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["entries"] == Answers.document["entries"]
    assert len(Answers.document["entries"]) > 2


def test_an_unknown_moment_ends_with_1(service: str) -> None:
    done = call("--url", service, "--token", "a-token-for-the-tests", "m2", "ada@example.com")

    assert done.exit_code == 1
    assert "knows no moment" in done.output
