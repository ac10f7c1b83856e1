"""Who may send which signal from where (DOMAIN §3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.configurations import IDENTIFY, AudienceState, ConfigurationState, KeyState, normalise_domain
from contracts.signals import CATALOGUE, SignalKind
from contracts.signatures import signature_of, signing_secret
from services.ingestion.admission import (
    Admitted,
    Directory,
    admit,
    admit_key,
    admit_telling,
    hash_secret,
    host_of,
    origin_allowed,
)
from services.ingestion.refusals import Refusal
from services.ingestion.signing import Signature, Verifier

PEPPER = b"pepper"
NOW = 1_000_000_000
TOLERANCE = 60_000_000
ADD, SHIP, INSTALL = CATALOGUE["cart/add"], CATALOGUE["order/ship"], CATALOGUE["app/install"]
ORIGIN, SITE = "https://shop.example.com", "shop.example.com"


def configuration(
    *, domains: tuple[str, ...] = ("shop.example.com", "*.example.org"), **more: object
) -> ConfigurationState:
    keys = (
        KeyState(id="pk_web", type="web", enabled=True),
        KeyState(id="ak_app", type="app", enabled=True),
        KeyState(id="sk_server", type="server", enabled=True, secret_hash=hash_secret(PEPPER, "secret")),
        KeyState(id="pk_off", type="web", enabled=False),
        KeyState(id="sk_off", type="server", enabled=False, secret_hash=hash_secret(PEPPER, "secret")),
        KeyState(id="pk_old", type="web", enabled=True, expires_at=NOW + 1),
        KeyState(id="pk_gone", type="web", enabled=True, expires_at=NOW),
    )
    values: dict[str, object] = {
        "id": "c1",
        "version": 1,
        "audience": AudienceState(id="a1", name="Customers"),
        "domains": tuple(normalise_domain(domain) for domain in domains),
        "keys": keys,
    }
    return ConfigurationState(**{**values, **more})  # type: ignore[arg-type]


def directory(*states: ConfigurationState) -> Directory:
    return Directory.of(states or (configuration(),), Verifier(PEPPER, TOLERANCE))


def status(outcome: Admitted | Refusal) -> int:
    return outcome.status if isinstance(outcome, Refusal) else 200


@pytest.mark.parametrize(
    ("key", "origin", "expected", "code"),
    [
        (None, ORIGIN, 401, "missing_key"),
        ("", ORIGIN, 401, "missing_key"),
        ("pk_unknown", ORIGIN, 401, "unknown_key"),
        ("PK_WEB", ORIGIN, 401, "unknown_key"),
        ("pk_web:secret", ORIGIN, 401, "wrong_secret"),
        ("ak_app:", None, 401, "wrong_secret"),
        ("sk_server", None, 401, "wrong_secret"),
        ("sk_server:", None, 401, "wrong_secret"),
        ("sk_server:Secret", None, 401, "wrong_secret"),
        ("sk_server:secret:", None, 401, "wrong_secret"),
        ("sk_server:sécrét\ud800", None, 401, "wrong_secret"),
        ("sk_off:wrong", None, 401, "wrong_secret"),
        ("pk_gone", ORIGIN, 401, "expired_key"),
        ("pk_off", ORIGIN, 403, "disabled_key"),
        ("sk_off:secret", None, 403, "disabled_key"),
        ("pk_web", None, 403, "foreign_origin"),
        ("pk_web", "null", 403, "foreign_origin"),
        ("pk_web", "https://evil.test", 403, "foreign_origin"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(key: str | None, origin: str | None, expected: int, code: str) -> None:
    outcome = admit(directory(), key, origin, SITE, ADD, NOW)

    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.code) == (expected, code)


@pytest.mark.parametrize(
    ("key", "origin", "touchpoint"),
    [
        ("pk_web", ORIGIN, "web"),
        (" pk_web ", ORIGIN, "web"),
        ("pk_old", ORIGIN, "web"),
        ("ak_app", None, "app"),
        ("ak_app", "https://evil.test", "app"),
        ("sk_server:secret", None, "server"),
    ],
)
def test_a_key_that_fits_is_admitted(key: str, origin: str | None, touchpoint: str) -> None:
    outcome = admit(directory(), key, origin, SITE, ADD, NOW)

    assert isinstance(outcome, Admitted)
    assert outcome.touchpoint == touchpoint
    assert outcome.listener.id == "c1"


def test_both_secrets_of_an_overlap_fit_until_the_old_one_expires() -> None:
    keys = (
        KeyState(id="sk_1", type="server", enabled=True, secret_hash=hash_secret(PEPPER, "new")),
        KeyState(id="sk_1", type="server", enabled=True, secret_hash=hash_secret(PEPPER, "old"), expires_at=NOW),
    )
    known = directory(configuration(keys=keys))

    assert status(admit(known, "sk_1:old", None, SITE, ADD, NOW - 1)) == 200
    assert status(admit(known, "sk_1:old", None, SITE, ADD, NOW)) == 401
    assert status(admit(known, "sk_1:new", None, SITE, ADD, NOW)) == 200


def test_the_keys_of_a_deleted_configuration_are_unknown() -> None:
    assert status(admit(directory(configuration(deleted=True)), "pk_web", ORIGIN, SITE, ADD, NOW)) == 401


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        ("pk_web", SHIP, 403),
        ("ak_app", SHIP, 403),
        ("sk_server:secret", SHIP, 200),
        ("pk_web", INSTALL, 403),
        ("ak_app", INSTALL, 200),
        ("sk_server:secret", INSTALL, 200),
    ],
)
def test_a_kind_is_taken_only_from_its_touchpoints(key: str, kind: object, expected: int) -> None:
    assert status(admit(directory(), key, ORIGIN, SITE, kind, NOW)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "kind", "code"),
    [
        (None, ADD, None),
        (("cart/add", "page/view"), ADD, None),
        (("page/view",), ADD, "kind_not_of_key"),
        ((), ADD, "kind_not_of_key"),
        (("cart/ad", "cart/add/"), ADD, "kind_not_of_key"),
        (("order/ship",), SHIP, "kind_not_allowed"),
    ],
)
def test_a_key_sends_only_the_kinds_that_it_is_limited_to(
    kinds: tuple[str, ...] | None, kind: SignalKind, code: str | None
) -> None:
    known = directory(configuration(keys=(KeyState(id="pk_web", type="web", enabled=True, kinds=kinds),)))

    outcome = admit(known, "pk_web", ORIGIN, SITE, kind, NOW)

    assert (outcome.code if isinstance(outcome, Refusal) else None) == code


@pytest.mark.parametrize(
    ("kinds", "may"),
    [
        (None, True),
        ((IDENTIFY,), True),
        (("page/view", IDENTIFY), True),
        (("page/view",), False),
        ((), False),
    ],
)
def test_a_key_that_is_limited_tells_who_somebody_is_only_where_that_is_listed(
    kinds: tuple[str, ...] | None, may: bool
) -> None:
    known = directory(configuration(keys=(KeyState(id="pk_web", type="web", enabled=True, kinds=kinds),)))
    admitted = admit_key(known, "pk_web", ORIGIN, NOW)
    assert isinstance(admitted, Admitted)

    refusal = admit_telling(admitted)

    assert (refusal is None) is may
    assert refusal is None or (refusal.status, refusal.code) == (403, "kind_not_of_key")


@pytest.mark.parametrize(
    ("key", "site", "domains", "expected"),
    [
        ("pk_web", "evil.test", ("shop.example.com",), 403),
        ("ak_app", "evil.test", ("shop.example.com",), 403),
        ("sk_server:secret", "evil.test", ("shop.example.com",), 403),
        ("pk_web", "a.b.example.org", ("shop.example.com", "*.example.org"), 200),
        ("ak_app", None, ("shop.example.com",), 200),
        ("sk_server:secret", None, ("shop.example.com",), 200),
        ("ak_app", "anything.test", (), 200),
        ("sk_server:secret", "anything.test", (), 200),
        ("pk_web", "shop.example.com", (), 403),
    ],
)
def test_a_site_must_be_a_domain_where_there_are_domains(
    key: str, site: str | None, domains: tuple[str, ...], expected: int
) -> None:
    known = directory(configuration(domains=domains))

    assert status(admit(known, key, ORIGIN, site, ADD, NOW)) == expected


EXACT, WILD, PUNY = ("shop.example.com",), ("*.example.com",), ("bücher.example",)
HOSTS = [
    # exact
    (EXACT, "shop.example.com", True),
    (EXACT, "SHOP.Example.COM", True),
    (EXACT, "shop.example.com.", True),
    (EXACT, "shop.example.com:443", True),
    (EXACT, "shop.example.com.:8443", True),
    (EXACT, "example.com", False),
    (EXACT, "www.shop.example.com", False),
    (EXACT, "shop.example.com.evil.test", False),
    (EXACT, "evilshop.example.com", False),
    (EXACT, "shop-example.com", False),
    (EXACT, "shop.example.co", False),
    (EXACT, "shop.example.comm", False),
    (EXACT, "shop.example.com:", False),
    (EXACT, "shop.example.com:port", False),
    (EXACT, "shop.example.com:123456", False),
    (EXACT, "shop.example.com:-1", False),
    (EXACT, "shop.example.com:80:80", False),
    (EXACT, "shop.example.com@evil.test", False),
    (EXACT, "evil.test@shop.example.com", False),
    (EXACT, "user:pass@shop.example.com", False),
    (EXACT, "evil.test#shop.example.com", False),
    (EXACT, "evil.test?shop.example.com", False),
    (EXACT, "evil.test/shop.example.com", False),
    (EXACT, "evil.test\\shop.example.com", False),
    (EXACT, "evil.test shop.example.com", False),
    (EXACT, "shop.example.com\0", False),
    (EXACT, "shop.example.com\n.evil.test", False),
    (EXACT, "shop..example.com", False),
    (EXACT, ".shop.example.com", False),
    (EXACT, "shop.example.com..", False),
    (EXACT, "ｓｈｏｐ.example.com", True),
    (EXACT, "shop。example。com", True),
    (EXACT, "shоp.example.com", False),
    (EXACT, "shop%2eexample.com", False),
    (EXACT, "", False),
    (EXACT, ".", False),
    (EXACT, "*", False),
    (EXACT, "*.example.com", False),
    (EXACT, "a" * 64 + ".example.com", False),
    (EXACT, "a." * 130 + "com", False),
    # wildcard
    (WILD, "shop.example.com", True),
    (WILD, "a.b.c.example.com", True),
    (WILD, "A.Example.Com.:80", True),
    (WILD, "example.com", False),
    (WILD, "EXAMPLE.COM.", False),
    (WILD, ".example.com", False),
    (WILD, "evilexample.com", False),
    (WILD, "evil-example.com", False),
    (WILD, "example.com.evil.test", False),
    (WILD, "shop.example.com.evil.test", False),
    (WILD, "shop.example.org", False),
    (WILD, "*.example.com", False),
    (WILD, "xn--bcher-kva.example.com", True),
    (WILD, "bücher.example.com", True),
    # punycode
    (PUNY, "bücher.example", True),
    (PUNY, "BÜCHER.example", True),
    (PUNY, "bu\u0308cher.example", True),
    (PUNY, "xn--bcher-kva.example", True),
    (PUNY, "XN--BCHER-KVA.example", True),
    (PUNY, "bucher.example", False),
    (PUNY, "xn--bcher-kva.example.evil.test", False),
    (("straße.example",), "straße.example", True),
    (("straße.example",), "strasse.example", False),
    (("localhost",), "localhost:8080", True),
    (("127.0.0.1",), "127.0.0.1:8080", True),
    (("localhost",), "[::1]:8080", False),
]


@pytest.mark.parametrize(("domains", "host", "allowed"), HOSTS)
def test_an_origin_or_site_is_taken_only_when_its_host_is_a_domain(
    domains: tuple[str, ...], host: str, allowed: bool
) -> None:
    known = directory(configuration(domains=domains))
    site = host_of(host)
    inside = domains[0].replace("*", "shop")

    assert origin_allowed(known.domains, f"https://{host}") is allowed
    assert status(admit(known, "pk_web", f"https://{host}", host_of(inside), ADD, NOW)) == (200 if allowed else 403)
    if site is None:
        assert not allowed
    else:
        assert status(admit(known, "pk_web", f"https://{inside}", site, ADD, NOW)) == (200 if allowed else 403)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "Null",
        "shop.example.com",
        "//shop.example.com",
        "ftp://shop.example.com",
        "file://shop.example.com",
        "chrome-extension://shop.example.com",
        "https:shop.example.com",
        "https:/shop.example.com",
        "https:///shop.example.com",
        "https://shop.example.com/",
        "https://shop.example.com/path",
        "https://shop.example.com?x",
        "https://shop.example.com#x",
        "https://shop.example.com https://evil.test",
        "https://evil.test, https://shop.example.com",
        "https://evil.test\nhttps://shop.example.com",
        "https://shop.example.com\n",
        "javascript:https://shop.example.com",
        "xhttps://shop.example.com",
        "https://",
    ],
)
def test_an_origin_that_is_not_exactly_scheme_and_host_is_refused(origin: str | None) -> None:
    assert not origin_allowed(("shop.example.com",), origin)


@pytest.mark.parametrize(
    "origin", ["http://shop.example.com", "HTTPS://shop.example.com", "http://shop.example.com:81"]
)
def test_an_origin_may_come_over_http_or_https_on_any_port(origin: str) -> None:
    assert origin_allowed(("shop.example.com",), origin)


SIGNED_AT = NOW // 1_000_000
BODY, PATH = b'{"id":"1"}', "/v1/signals"
SECRET_OF_KEY = signing_secret(PEPPER, "sk_signed")


def signed(
    timestamp: str = str(SIGNED_AT), *, path: str = PATH, body: bytes = BODY, secret: str = SECRET_OF_KEY
) -> Signature:
    """A request as it arrives, signed rightly unless a test says otherwise."""
    return Signature(timestamp, signature_of(secret, timestamp, path, body), PATH, BODY)


def code_of(signature: Signature | None, key: str = "sk_signed", *, now: int = NOW, **more: Any) -> str | None:
    secret_hash = hash_secret(PEPPER, "secret")
    state = KeyState(
        **{"id": "sk_signed", "type": "server", "enabled": True, "secret_hash": secret_hash, "signed": True, **more}
    )
    outcome = admit_key(directory(configuration(keys=(state,))), key, None, now, signature)
    return outcome.code if isinstance(outcome, Refusal) else None


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (signed(), None),
        (None, "missing_signature"),
        (replace(signed(), value=""), "missing_signature"),
        (replace(signed(), timestamp=""), "missing_signature"),
        (replace(signed(), body=BODY + b" "), "wrong_signature"),
        (replace(signed(), path="/v1/signals/cart/add"), "wrong_signature"),
        (replace(signed(), timestamp=str(SIGNED_AT + 1)), "wrong_signature"),
        (replace(signed(), value=signed().value.removeprefix("v1=")), "wrong_signature"),
        (replace(signed(), value=signed().value.upper()), "wrong_signature"),
        (replace(signed(), value="v1=\ud800é"), "wrong_signature"),
        (signed(secret=signing_secret(PEPPER, "sk_another")), "wrong_signature"),
        (signed(secret=signing_secret(b"salt", "sk_signed")), "wrong_signature"),
        (signed(secret="secret"), "wrong_signature"),
        (signed(f"{SIGNED_AT}.0"), "wrong_signature"),
        (signed("٣"), "wrong_signature"),
        (signed("-1"), "wrong_signature"),
        (signed("9" * 5_000), "wrong_signature"),
        (signed(str(SIGNED_AT - 60)), None),
        (signed(str(SIGNED_AT + 60)), None),
        (signed(str(SIGNED_AT - 61)), "stale_signature"),
        (signed(str(SIGNED_AT + 61)), "stale_signature"),
        (signed("0"), "stale_signature"),
    ],
)
def test_a_key_that_needs_signatures_takes_a_request_signed_for_it_alone_within_the_tolerance(
    signature: Signature | None, code: str | None
) -> None:
    assert code_of(signature) == code
    assert code_of(signature, signed=False, key="sk_signed:secret") is None, "without the need it is not looked at"


def test_a_signature_stands_for_the_secret_but_not_beside_a_wrong_one_nor_for_a_key_that_is_off_or_over() -> None:
    assert code_of(signed(), "sk_signed:secret") is None
    assert code_of(signed(), "sk_signed:wrong") == "wrong_secret"
    assert code_of(signed(), "sk_signed:") == "wrong_secret"
    assert code_of(signed(), signed=False) == "wrong_secret"
    assert code_of(signed(), enabled=False) == "disabled_key"
    assert code_of(None, enabled=False) == "missing_signature"
    assert code_of(signed(), expires_at=NOW) == "expired_key"
