"""`moments send` against a small HTTP server that answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from contracts.signatures import signature_of
from contracts.times import SECOND, from_rfc3339
from services.cli.credentials import Credentials
from services.cli.failures import Failed
from services.cli.formats import Record
from services.cli.rest import Client
from services.cli.send import GivenUp, Scheduled, Sender, Totals, schedule, send
from shared.clock import ManualClock

START = 1_000 * SECOND
Answering = Callable[[list[dict[str, Any]]], tuple[int, Any]]


def accept(signals: list[dict[str, Any]]) -> tuple[int, Any]:
    """Take every signal."""
    return 200, {"results": [{"id": signal["id"], "status": 200} for signal in signals]}


class Ingestion(HTTPServer):
    """Keeps what it was sent; each request takes the next of `answers`, then all is accepted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[list[dict[str, Any]]] = []
        self.keys: set[str | None] = set()
        self.signed: list[tuple[str | None, str | None, bytes]] = []
        self.answers: list[Answering] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ids(self) -> list[str]:
        """All ids sent, repetitions too."""
        return [signal["id"] for request in self.requests for signal in request]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Ingestion)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        signals = json.loads(content)
        server.requests.append(signals)
        server.keys.add(self.headers["X-Api-Key"])
        server.signed.append((self.headers["Signal-Timestamp"], self.headers["Signal-Signature"], content))
        answer = server.answers.pop(0) if server.answers else accept
        status, document = answer(signals)
        if status == 0:
            self.close_connection = True
            return
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    with Ingestion() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def sender(ingestion: Ingestion, clock: ManualClock) -> Iterator[Sender]:
    client, credentials = Client(ingestion.url), Credentials("sk_1:secret")
    pause = lambda seconds: clock.advance(int(seconds * SECOND) + 1)  # noqa: E731
    yield Sender(client, credentials, clock, pause, 30.0, lambda _: None)
    client.close()


def records(*times: int) -> Iterator[Record]:
    """Signals at those seconds of some day."""
    for row, time in enumerate(times, start=1):
        yield Record(row, time * SECOND, {"id": f"s{row}", "time": "", "data": {}})


def due_now(count: int, size: int = 0) -> Iterator[Scheduled]:
    """Signals that are due."""
    for number in range(count):
        yield Scheduled(START, json.dumps({"id": f"s{number}", "pad": "x" * size}).encode())


def test_the_first_signal_is_now_and_gaps_are_divided_by_the_speed() -> None:
    planned = list(schedule(records(7_000, 7_060, 7_120), START, 60))

    assert [each.due for each in planned] == [START, START + SECOND, START + 2 * SECOND]
    assert [from_rfc3339(json.loads(each.body)["time"]) for each in planned] == [each.due for each in planned]


def test_a_signal_recorded_out_of_order_goes_in_its_turn_with_its_own_time() -> None:
    planned = list(schedule(records(100, 160, 130), START, 1))

    assert [each.due - START for each in planned] == [0, 60 * SECOND, 60 * SECOND]
    assert from_rfc3339(json.loads(planned[2].body)["time"]) == START + 30 * SECOND


@pytest.mark.parametrize("consent", [True, False])
def test_what_a_log_says_of_consent_can_be_overruled(consent: bool) -> None:
    silent = {"id": "1", "time": "", "data": {"email": "a"}}
    said = {"id": "2", "time": "", "consent": not consent, "data": {"consent": not consent}}
    recorded = [Record(1, 0, silent), Record(2, 0, said)]

    as_it_was = [json.loads(each.body) for each in schedule(iter(recorded), START, 1)]
    overruled = [json.loads(each.body) for each in schedule(iter(recorded), START, 1, consent=consent)]

    assert ["consent" in each for each in as_it_was] == [False, True]
    assert as_it_was[1]["data"] == {"consent": not consent}
    assert [each["consent"] for each in overruled] == [consent, consent]
    assert [each["data"] for each in overruled] == [{"email": "a"}, {"consent": consent}]


def test_each_request_is_signed_when_it_is_sent_and_the_secret_of_the_key_stays_here(
    sender: Sender, ingestion: Ingestion, clock: ManualClock
) -> None:
    sender.credentials = Credentials("sk_1:secret", "ss_1")
    ingestion.answers = [lambda _: (503, {})] * 4

    sender.run(due_now(2))

    stamps = [stamp or "" for stamp, _, _ in ingestion.signed]
    assert [signature for _, signature, _ in ingestion.signed] == [
        signature_of("ss_1", stamp, "/v1/signals", content)
        for stamp, (_, _, content) in zip(stamps, ingestion.signed, strict=True)
    ]
    assert stamps[0] == str(START // SECOND)
    assert stamps[-1] == str(clock.now() // SECOND) > stamps[0]
    assert ingestion.keys == {"sk_1"}


def test_signals_are_sent_when_due_and_not_before(sender: Sender, ingestion: Ingestion, clock: ManualClock) -> None:
    planned = list(schedule(records(0, 1, 1, 50), START, 1))

    totals = sender.run(iter(planned))

    assert ingestion.ids == ["s1", "s2", "s3", "s4"]
    assert clock.now() >= START + 50 * SECOND
    assert (totals.sent, totals.accepted) == (4, 4)
    assert ingestion.keys == {"sk_1:secret"}


def test_what_is_due_together_goes_in_requests_of_at_most_500(sender: Sender, ingestion: Ingestion) -> None:
    sender.run(due_now(1_200))

    assert [len(request) for request in ingestion.requests] == [500, 500, 200]
    assert ingestion.ids == [f"s{number}" for number in range(1_200)]


def test_large_signals_go_in_requests_below_the_limit_of_a_body(sender: Sender, ingestion: Ingestion) -> None:
    sender.run(due_now(30, size=60_000))

    assert all(len(json.dumps(request)) < 500_000 for request in ingestion.requests)
    assert len(ingestion.ids) == 30


def test_only_what_was_not_confirmed_goes_again_with_the_same_ids(sender: Sender, ingestion: Ingestion) -> None:
    def half(signals: list[dict[str, Any]]) -> tuple[int, Any]:
        marks = [200 if number % 2 else 503 for number, _ in enumerate(signals)]
        return 200, {"results": [{"status": mark} for mark in marks]}

    ingestion.answers = [half]

    totals = sender.run(due_now(4))

    assert [[signal["id"] for signal in request] for request in ingestion.requests] == [
        ["s0", "s1", "s2", "s3"],
        ["s0", "s2"],
    ]
    assert (totals.sent, totals.accepted, totals.retries) == (4, 4, 1)


@pytest.mark.parametrize("status", [429, 503, 0])
def test_a_request_that_failed_goes_again(sender: Sender, ingestion: Ingestion, status: int) -> None:
    ingestion.answers = [lambda _: (status, {"title": "later"})] * 3

    totals = sender.run(due_now(2))

    assert totals.accepted == 2
    assert set(ingestion.ids) == {"s0", "s1"}


def test_pauses_between_tries_grow(sender: Sender, ingestion: Ingestion, clock: ManualClock) -> None:
    paused: list[float] = []
    sender.pause = paused.append
    ingestion.answers = [lambda _: (503, {})] * 5

    sender.run(due_now(1))

    assert all(before < after for before, after in pairwise(paused))


def test_it_gives_up_after_the_time_allowed(sender: Sender, ingestion: Ingestion) -> None:
    ingestion.answers = [lambda _: (503, {"detail": "the broker is away"})] * 1_000

    with pytest.raises(GivenUp, match="the broker is away"):
        sender.run(due_now(1))


def test_a_key_that_was_just_made_is_waited_for(sender: Sender, ingestion: Ingestion) -> None:
    ingestion.answers = [lambda _: (401, {"detail": "the key is unknown"})] * 2

    assert sender.run(due_now(1)).accepted == 1


def test_refusals_are_counted_by_reason_and_not_sent_again(sender: Sender, ingestion: Ingestion) -> None:
    fault = {"pointer": "/data/email", "reason": "must be an e-mail address"}
    refusal = {"status": 422, "reason": "the signal is not valid", "errors": [fault]}
    ingestion.answers = [lambda signals: (200, {"results": [refusal] * len(signals)})]

    totals: Totals = sender.run(due_now(3))

    assert totals.accepted == 0
    assert totals.refused == {
        "422 the signal is not valid (/data/email: must be an e-mail address)": 3,
    }
    assert len(ingestion.requests) == 1


def call(ingestion_url: str, path: Path, *more: str) -> tuple[int, str, str]:
    """Exit code and output of the command."""
    given = [str(path), "--format", "jsonl", "--key", "sk_1:secret", "--url", ingestion_url, *more]
    ended = CliRunner().invoke(send, given, catch_exceptions=False)
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    envelope = {"id": "a", "time": "2026-11-23T10:15:30Z", "data": {"signal": "cart/add"}}
    path.write_text("".join(json.dumps({**envelope, "id": id_}) + "\n" for id_ in "abc"))
    return path


def test_the_summary_is_one_json_object(ingestion: Ingestion, log: Path) -> None:
    code, out, _ = call(ingestion.url, log, "--json", "--limit", "2")

    assert code == 0
    assert json.loads(out) == {"sent": 2, "accepted": 2, "refused": {}, "unreadable": {}, "retries": 0}


def test_refused_signals_end_with_1_and_their_reasons(ingestion: Ingestion, log: Path) -> None:
    ingestion.answers = [lambda signals: (200, {"results": [{"status": 403, "reason": "foreign site"}] * len(signals)})]

    code, out, _ = call(ingestion.url, log)

    assert code == 1
    assert "3 × 403 foreign site" in out


def test_what_to_do_about_refused_signals_is_told_once(ingestion: Ingestion, log: Path) -> None:
    refusal = {"status": 403, "code": "no_consent", "reason": "no consent"}
    ingestion.answers = [lambda signals: (200, {"results": [refusal] * len(signals)})]

    code, out, _ = call(ingestion.url, log)

    assert code == 1
    assert out.count("--consent") == 1


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("missing_signature", "--signing-secret"),
        ("wrong_signature", "moments keys signing"),
        ("wrong_secret", "sk_…:secret"),
        ("stale_signature", "clock"),
        ("disabled_key", "moments keys enable"),
    ],
)
def test_a_request_that_is_refused_as_a_whole_says_what_to_do(
    sender: Sender, ingestion: Ingestion, refusal: str, told: str
) -> None:
    ingestion.answers = [lambda _: (401, {"code": refusal, "detail": "so it is"})] * 100

    with pytest.raises(Failed, match="so it is") as failed:
        sender.run(due_now(1))

    assert told in failed.value.message


def test_nobody_at_the_url_ends_with_3(log: Path) -> None:
    code, _, err = call("http://127.0.0.1:9", log, "--give-up", "0.2")

    assert code == 3
    assert "nothing listens there" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--speed", "0"], "--speed"),
        (["--url", "ftp://x"], "--url"),
        (["--format", "xml"], "--format"),
        (["--limit", "0"], "--limit"),
        (["no-such-file"], "no-such-file"),
        (["--signing-secret", "the-secret-of-the-key"], "ss_"),
        (["--key", "pk_1", "--signing-secret", "ss_1"], "sk_"),
    ],
)
def test_wrong_arguments_end_with_2_and_name_what_is_wrong(log: Path, given: list[str], said: str) -> None:
    ended = CliRunner().invoke(send, [str(log), "--format", "jsonl", "--key", "k", *given])

    assert ended.exit_code == 2
    assert said in ended.stderr
