"""One hostile request of a seed and a number, as the bytes that go over the wire; the same ones every time."""

from __future__ import annotations

import base64
import gzip
import zlib
from dataclasses import dataclass
from random import Random
from typing import Any

from contracts.configurations import ConfigurationState, KeyState, SegmentEvent
from contracts.signals import KINDS
from contracts.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature_of, signing_secret
from services.ingestion.admission import hash_secret
from tests.fuzz.documents import RAW, call, hostile_text, name, signal, spoiled, written
from tests.support.ingestion import PEPPER, configuration

Headers = list[tuple[bytes, bytes]]

_STRICT = ("sk_2", "sk_3:secret", "pk_2")
_KEYS = (*_STRICT, "sk_1:secret", "pk_1", "ak_1", "sk_1", "sk_1:", "sk_1:wrong", ":", "pk_1:x", "", "sk_", "p" * 200)
_ORIGINS = (
    *("https://shop.example.com", "null", "https://shop.example.com.evil.io", "https://SHOP.example.com:8443", "*"),
    *("https://shop.example.com@evil.io", "https://[::1", "https://xn--", "https://" + "a" * 3000, "file://", "\t"),
)
_TYPES = (
    *("application/json", "text/plain", "application/cloudevents+json", "application/cloudevents-batch+json", "/"),
    *("application/json; charset=utf-16", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""),
    *('application/json; charset="', "image/png", "APPLICATION/JSON;;;", "a/b" * 300, "text/json"),
)
_ENCODINGS = ("gzip", "x-gzip", "GZIP", "identity", "deflate", "br", "gzip, gzip", "\x01", "gzip;q=1")
_METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "BREW", "PROPFIND")
_PATHS = (
    *("/v1/signals/%00", "/v1/signals/..%2f..%2fhealthz", "/v1//signals", "/v1/signals/cart/add/", "/%ff%fe", "/"),
    *("/v1/projects/", "/v1/projects/%F0%9F%92%A9/settings", "/v1/signals/" + "a/" * 500, "/sdk/signals-..%2f.js"),
    *("/openapi.json", "/docs", "/metrics", "/healthz", "/readyz", "/favicon.ico", "/v1/signals?key=sk_1:secret"),
    "/v1/signals?" + "a=b&" * 800,
)
_LINES = (
    *(b"GET", b"GET /", b"GET / HTTP/9.9", b"POST /v1/signals HTTP/1.0", b"\x16\x03\x01\x02\x00\x01"),
    *(b"PRI * HTTP/2.0", b"GET http://[::1 HTTP/1.1", b"GET  /  HTTP/1.1", b"\r\n\r\nGET / HTTP/1.1"),
    *(b"POST * HTTP/1.1", b"G\xc3 / HTTP/1.1"),
)
_LENGTHS = (b"-1", b"abc", b"1e3", b"+5", b"0x10", b"", b"9" * 30)
_CHUNKS = (b"zz\r\n", b"5\r\nabc", b"-1\r\n\r\n", b"f" * 20 + b"\r\n", b"0\r\nX: " + b"a" * 9000, b"3\nabc\n0\n\n")
_FIELDS = (b"X Y: 1", b": 1", b"X", b"\xff: 1", b"X:" + b"a" * 70_000, b" folded: 1", b"X: a\0b")
_BOMB = gzip.compress(b"0" * 20_000_000, 9, mtime=0)


@dataclass(frozen=True, slots=True)
class Attack:
    """A request. `whole`: its framing is that of HTTP, so that there must be an answer and the connection goes on."""

    raw: bytes
    method: str
    whole: bool


def attack(seed: int, number: int, now: int = 0) -> Attack:
    """The request of a number. `now`: seconds since 1970, for what is signed."""
    random = Random(f"{seed}:{number}")
    path, headers, document = _valid(random)
    if random.random() < 0.75:
        document = spoiled(document, random)
    body = written(document, random)
    if random.random() < 0.25:
        body = _spoiled_bytes(body, headers, random)
    if random.random() < 0.45:
        _spoil_headers(headers, random)
    method = random.choice((*_METHODS, name(random))) if random.random() < 0.06 else "POST"
    if random.random() < 0.05:
        path = random.choice(_PATHS)
    if random.random() < 0.03:
        return _badly_framed(path, headers, body, random)
    if (b"X-Api-Key", b"sk_2") in headers:
        headers += _signature(path, body, now, random)
    head = _head(f"{method} {path} HTTP/1.1".encode(), [*headers, (b"Content-Length", str(len(body)).encode())])
    return Attack(head + body, method, whole=True)


def strict_configuration() -> ConfigurationState:
    """One that wants consent, declared fields, few kinds and signed requests; its keys are `_STRICT`."""
    secret = hash_secret(PEPPER.encode(), "secret")
    return configuration(
        id="c2",
        consent_required=True,
        attributes=("campaign", "items.size"),
        segment_events=(SegmentEvent(event="Other", signal="cart/add", items="products", fields={"name": "a.b.c"}),),
        keys=(
            KeyState(id="pk_2", type="web", enabled=True, kinds=("cart/add", "page/view")),
            KeyState(id="sk_2", type="server", enabled=True, secret_hash=secret, signed=True),
            KeyState(id="sk_3", type="server", enabled=True, secret_hash=secret),
        ),
    )


def _signature(path: str, body: bytes, now: int, random: Random) -> Headers:
    """That of the request, at a time that is right or not; or anything."""
    stamp = str(random.choice((now, 0, 10**11, 10**12)))
    value = signature_of(signing_secret(PEPPER.encode(), "sk_2"), stamp, path, body).encode()
    what = random.random()
    if what < 0.2:
        value = _value(random)
    elif what < 0.4:
        stamp = random.choice(("-1", "1e9", "٣", "0" * 300, "", " 1", "1.5"))
    return [(TIMESTAMP_HEADER.encode(), _bytes(stamp)), (SIGNATURE_HEADER.encode(), value)]


def valid(number: int) -> Attack:
    """A signal that nothing is wrong with."""
    random = Random(number)
    body = written(signal(random) | {"id": f"valid-{number}"}, Random(1))
    headers = [(b"X-Api-Key", b"sk_1:secret"), (b"Content-Type", b"application/json")]
    head = _head(b"POST /v1/signals HTTP/1.1", [*headers, (b"Content-Length", str(len(body)).encode())])
    return Attack(head + body, "POST", whole=True)


def _head(line: bytes, headers: Headers) -> bytes:
    lines = [line, b"Host: 127.0.0.1", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _valid(random: Random) -> tuple[str, Headers, Any]:
    """A request of one of the ways in: path, headers, document."""
    key = random.choice(("sk_1:secret",) * 5 + _STRICT) if random.random() < 0.8 else random.choice(_KEYS)
    headers: Headers = [(b"X-Api-Key", _bytes(key))]
    if random.random() < 0.3:
        headers.append((b"Origin", _bytes(random.choice(_ORIGINS))))
    way = random.random()
    if way < 0.25:
        return f"/v1/signals/{random.choice(KINDS).name}", _typed(headers, "application/json"), signal(random)
    if way < 0.45:
        several = [signal(random) for _ in range(random.choice((0, 1, 2, 20)))]
        return "/v1/signals", _typed(headers, "application/json"), several
    if way < 0.55:
        parcel = {"key": key, "sentAt": "2026-11-23T10:15:31Z", "signals": [signal(random)]}
        return "/v1/signals", _typed(headers[1:], "text/plain"), parcel
    event = {"specversion": "1.0", "type": "signal.cart.add", "source": "/s", **signal(random)}
    if way < 0.62:
        return "/v1/signals", _typed(headers, "application/cloudevents+json"), event
    if way < 0.68:
        return "/v1/signals", _typed(headers, "application/cloudevents-batch+json"), [event, event]
    if way < 0.75:
        for attribute in ("id", "type", "source", "specversion", "time"):
            value = event[attribute] if random.random() < 0.8 else hostile_text(random)[:200]
            headers.append((f"Ce-{attribute}".encode(), _bytes(str(value))))
        return "/v1/signals", _typed(headers, "application/json"), event["data"]
    authorization = base64.b64encode(_bytes(f"{key}:"))
    headers = _typed([(b"Authorization", b"Basic " + authorization), *headers[1:]], "application/json")
    if way < 0.9:
        path = random.choice(("track", "page", "screen", "identify", "group", "alias", *"tpsiga"))
        return f"/v1/{path}", headers, {**call(random), "writeKey": "pk_1"}
    return "/v1/batch", headers, {"batch": [call(random) for _ in range(random.choice((0, 1, 20)))]}


def _typed(headers: Headers, content_type: str) -> Headers:
    return [*headers, (b"Content-Type", content_type.encode())]


def _spoiled_bytes(body: bytes, headers: Headers, random: Random) -> bytes:
    what = random.randrange(10)
    if what == 0:
        return body[: random.randrange(len(body) + 1)]
    if what == 1:
        place = random.randrange(len(body) + 1)
        return body[:place] + random.randbytes(random.randrange(1, 9)) + body[place:]
    if what == 2:
        return random.randbytes(random.choice((0, 1, 40, 3000)))
    if what == 3:
        return random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"  \n", b"\0")) + body
    if what == 4:
        return body.decode("utf-8", "replace").encode("utf-16" if random.random() < 0.5 else "utf-32")
    if what == 5:
        depth = random.choice((100, 2000, 100_000))
        return b"[" * depth + b"]" * random.choice((0, depth))
    if what == 6:
        return body + b" " * random.choice((10, 499_000, 600_000))
    headers.append((b"Content-Encoding", b"gzip"))
    packed = gzip.compress(body, 1, mtime=0)  # else it holds the second in which it was made
    if what == 7:
        return random.choice(
            (packed, packed[:-4], packed + b"x", packed * 3, gzip.compress(packed, mtime=0), zlib.compress(body))
        )
    return _BOMB if random.random() < 0.05 else packed


def _spoil_headers(headers: Headers, random: Random) -> None:
    for _ in range(random.randrange(1, 4)):
        what = random.randrange(9)
        if what < 3 and headers:
            place = random.randrange(len(headers))
            headers[place] = (headers[place][0], _value(random))
        elif what == 3:
            headers.append((b"Origin", _bytes(f"https://{name(random)}.example.com")))
        elif what == 4:
            headers.append((b"Content-Type", _bytes(random.choice(_TYPES))))
        elif what == 5:
            headers.append((b"Content-Encoding", _bytes(random.choice(_ENCODINGS))))
        elif what == 6:
            traced = b"Traceparent", b"X-Request-Id", b"X-Forwarded-For", b"Forwarded", b"Cookie", b"Accept-Encoding"
            headers.append((random.choice(traced), _value(random)))
        elif what == 7:
            headers += [(f"X-{name(random)}".encode(), b"a") for _ in range(random.choice((1, 40, 120)))]
        else:
            headers.append((f"Ce-{name(random)}".encode(), _value(random)))


def _value(random: Random) -> bytes:
    """A value that a header can have, of any byte but the ends of lines."""
    what = random.random()
    if what < 0.4:
        return _bytes(random.choice((*_KEYS, *_ORIGINS, *_TYPES)))
    if what < 0.5:
        return b"a" * random.choice((300, 5000, 9000))
    return bytes(random.choice((*range(32, 127), *range(128, 256), 9)) for _ in range(random.randrange(30)))


def _badly_framed(path: str, headers: Headers, body: bytes, random: Random) -> Attack:
    line = f"POST {path} HTTP/1.1".encode()
    what = random.randrange(6)
    if what == 0:
        return Attack(_head(random.choice(_LINES), headers) + body, "POST", whole=False)
    if what == 1:
        length = random.choice((*_LENGTHS, str(len(body) + 50).encode()))
        return Attack(_head(line, [*headers, (b"Content-Length", length)]) + body, "POST", whole=False)
    if what == 2:
        length = str(len(body) // 2).encode()
        return Attack(_head(line, [*headers, (b"Content-Length", length)]) + body, "POST", whole=False)
    if what == 3:
        broken = random.choice(_CHUNKS)
        return Attack(_head(line, [*headers, (b"Transfer-Encoding", b"chunked")]) + broken, "POST", whole=False)
    if what == 4:
        both = [*headers, (b"Transfer-Encoding", b"chunked"), (b"Content-Length", str(len(body)).encode())]
        return Attack(_head(line, both) + body, "POST", whole=False)
    evil = random.choice(_FIELDS)
    return Attack(line + b"\r\nHost: a\r\n" + evil + b"\r\n\r\n" + body, "POST", whole=False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").translate(None, b"\r\n\0").removeprefix(RAW.encode())
