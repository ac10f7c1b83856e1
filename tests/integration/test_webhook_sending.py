"""One request to a real server: what is sent, what is not followed, how long it may take."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.trigger.webhooks.sending import LARGEST_ANSWER, Sender
from services.trigger.webhooks.targets import Guard
from shared.clock import stopwatch
from tests.support.endpoint import Reply, endpoint
from tests.support.processes import stretched

LOOPBACK = "127.0.0.0/8"
BODY = '{"id":"1","text":"é"}'.encode()


def sender(timeout: float = 5.0, address: str = "127.0.0.1") -> Sender:
    """A sender that may reach this machine, where every name leads to one address."""
    return Sender(Guard((LOOPBACK,), plain_http=True, resolve=lambda *_: [address]), timeout)


def test_the_bytes_arrive_as_they_are_with_the_host_that_was_meant() -> None:
    with endpoint() as server:
        answer = sender().send(server.url.replace("127.0.0.1", "hook.example"), {"webhook-id": "1"}, BODY)

    assert (answer.status, answer.error, answer.body) == (200, "", b"thanks")
    (received,) = server.received
    assert received.body == BODY
    assert received.path == "/hook?x=1"
    assert received.headers["host"].partition(":")[0] == "hook.example"
    assert received.headers["content-type"] == "application/cloudevents+json"
    assert received.headers["webhook-id"] == "1"
    assert received.headers["user-agent"].startswith("Moments-Webhooks/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with endpoint() as elsewhere, endpoint() as server:
        server.answer = lambda _: Reply(status, {"Location": elsewhere.url})
        answer = sender().send(server.url, {}, BODY)

    assert answer.status == status
    assert "redirects are not followed" in answer.error
    assert elsewhere.received == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as proxy, endpoint() as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        answer = sender().send(server.url, {}, BODY)

    assert answer.delivered
    assert (len(server.received), len(proxy.received)) == (1, 0)


def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    with endpoint() as server:
        guard = Guard((), plain_http=True, resolve=lambda *_: ["127.0.0.1"])
        answer = Sender(guard, 5.0).send(server.url.replace("127.0.0.1", "hook.example"), {}, BODY)

    assert answer.status is None
    assert "loopback" in answer.error
    assert server.received == []


def test_a_name_that_changes_its_mind_is_connected_to_at_the_address_that_was_checked() -> None:
    """DNS rebinding: the second answer would be a forbidden address, and nobody asks for it."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    guard = Guard((LOOPBACK,), plain_http=True, resolve=lambda *_: next(answers))
    with endpoint() as server:
        url = server.url.replace("127.0.0.1", "hook.example")
        first = Sender(guard, 5.0).send(url, {}, BODY)
        second = Sender(guard, 5.0).send(url, {}, BODY)

    assert first.delivered
    assert "169.254.169.254 is link-local" in second.error
    assert len(server.received) == 1


def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    with endpoint() as server:
        guard = Guard((LOOPBACK,), plain_http=True, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
        with socket.socket() as closed:
            closed.bind(("127.0.0.2", 0))
            answer = Sender(guard, 5.0).send(server.url.replace("127.0.0.1", "hook.example"), {}, BODY)

    assert answer.delivered


def test_a_silent_endpoint_is_left_after_the_time_out() -> None:
    held = threading.Event()
    with endpoint(lambda _: Reply(hold=held)) as server:
        began = stopwatch()
        answer = sender(0.3).send(server.url, {}, BODY)
        held.set()

    assert answer.error == "timed out"
    assert stopwatch() - began < stretched(2)


@contextmanager
def raw_server(parts: list[bytes], pause: float) -> Iterator[str]:
    """A server that says parts, one after each pause, and then nothing more."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            for part in parts:
                if ended.wait(pause):
                    return
                try:
                    connection.sendall(part)
                except OSError:
                    return
            ended.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    ended.set()
    thread.join()
    listener.close()


def test_an_endpoint_that_drips_its_headers_is_left_after_the_time_out_too() -> None:
    text = b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 1_000
    with raw_server([bytes([each]) for each in text], 0.05) as url:
        began = stopwatch()
        answer = sender(0.4).send(url, {}, BODY)
        took = stopwatch() - began

    assert answer.error == "timed out"
    assert took < stretched(1.5)


def test_a_2xx_whose_body_never_ends_is_a_success() -> None:
    with raw_server([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"a", b"b"], 0.01) as url:
        answer = sender(0.4).send(url, {}, BODY)

    assert answer.delivered


def test_no_more_of_an_answer_is_read_than_the_limit() -> None:
    with endpoint(lambda _: Reply(body=b"x" * 5_000_000)) as server:
        answer = sender().send(server.url, {}, BODY)

    assert answer.delivered
    assert len(answer.body) <= LARGEST_ANSWER


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\x00\xff" * 40_000])
def test_what_is_no_http_is_an_error_in_words(text: bytes) -> None:
    with raw_server([text], 0.0) as url:
        answer = sender(0.5).send(url, {}, BODY)

    assert not answer.delivered
    assert answer.error
    assert answer.error.isprintable()
    assert len(answer.error) <= 200


def test_an_endpoint_that_is_not_there_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert sender().send(f"http://127.0.0.1:{port}/", {}, BODY).error == "the connection was refused"
    assert sender().send("http://127.0.0.1:22/", {}, BODY).error.startswith("refused: Use port")

    def unknown(*_: object) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    lost = Sender(Guard((), plain_http=True, resolve=unknown), 1.0)
    assert lost.send("http://nowhere.example/", {}, BODY).error == "the host name was not found"


def test_the_time_for_resolving_counts() -> None:
    def slow(*_: object) -> list[str]:
        threading.Event().wait(0.4)
        return ["127.0.0.1"]

    with endpoint() as server:
        guard = Guard((LOOPBACK,), plain_http=True, resolve=slow)
        answer = Sender(guard, 0.3).send(server.url.replace("127.0.0.1", "hook.example"), {}, BODY)

    assert answer.error == "timed out"
    assert server.received == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and certificate of its own for hook.example, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook.example"),
            *("-addext", "subjectAltName=DNS:hook.example", "-keyout", "key.pem", "-out", "certificate.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    whole = folder / "whole.pem"
    whole.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return whole


@contextmanager
def tls_server(certificate: Path) -> Iterator[tuple[int, list[str]]]:
    """A TLS server that answers one request with 204, and the names that were asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)  # type: ignore[assignment]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    text = b""
                    while not text.endswith(BODY):
                        text += secure.recv(65_536)
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], names
    thread.join()
    listener.close()


def test_tls_is_verified_against_the_name_that_was_meant(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_server(certificate) as (port, names):
        answer = sender().send(f"https://hook.example:{port}/", {}, BODY)
    assert (answer.status, answer.error) == (204, "")
    assert names == ["hook.example"]

    with tls_server(certificate) as (port, _):
        other = sender().send(f"https://other.example:{port}/", {}, BODY)
    assert "certificate was not accepted" in other.error


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with tls_server(certificate) as (port, _):
        answer = sender().send(f"https://hook.example:{port}/", {}, BODY)

    assert answer.status is None
    assert "certificate was not accepted" in answer.error
