"""Where a webhook may lead: every trick to reach into the network is refused, public addresses are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.trigger.webhooks.targets import ForbiddenTarget, Guard, parse

PUBLIC = "93.184.215.14"
STRICT = Guard((), plain_http=True, resolve=lambda *_: [PUBLIC])

FORBIDDEN = [
    # Loopback, in every dress.
    *("127.0.0.1", "127.255.255.254", "127.0.0.1.", "[::1]", "[0:0:0:0:0:0:0:1]",),
    *("localhost", "LOCALHOST", "a.localhost"),
    *("2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1"),
    *("0x7F.1", "00.0.0.0x7f"),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "%31%32%37.0.0.1"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[::127.0.0.1]"),
    # Unspecified and "this network".
    *("0.0.0.0", "0.1.2.3", "[::]", "0", "[::ffff:0.0.0.0]"),
    # Private, shared, link-local, metadata.
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.254"),
    *("169.254.169.254", "169.254.0.1", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "2852039166", "0xa9fea9fe"),
    *("[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[febf::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]"),
    # Multicast, reserved, documentation, tunnels.
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.7", "203.0.113.9", "192.88.99.1", "[ff02::1]", "[2001:db8::1]", "[2001::1]"),
    *("[2002:7f00:1::1]", "[3fff::1]", "[64:ff9b:1::1]", "[100::1]", "[4000::1]", "[5f00::1]"),
]  # fmt: skip

TAKEN = [
    *("93.184.215.14", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "169.253.1.1"),
    *("11.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "198.17.255.255", "198.20.0.1", "192.0.1.1"),
    *("[2606:4700:4700::1111]", "[2a00:1450::1]", "[2001:4860:4860::8888]", "[::ffff:93.184.215.14]"),
    *("[64:ff9b::5db8:d70e]", "example.com", "example.com.", "journeys.example.co.uk", "xn--bcher-kva.example"),
    *("bücher.example", "a_b.example", "127.0.0.1.example.com"),
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_host_inside_the_network_is_refused_when_it_is_written_down(host: str) -> None:
    with pytest.raises(ForbiddenTarget, match=r"\w+ \w+.*\."):
        STRICT.target(f"http://{host}:8080/x")


@pytest.mark.parametrize("host", TAKEN)
def test_a_public_host_is_taken(host: str) -> None:
    target = STRICT.target(f"https://{host}/x?y=1")

    assert (target.secure, target.port, target.path) == (True, 443, "/x?y=1")
    assert STRICT.addresses(target)


def test_the_tables_are_long_enough_to_mean_something() -> None:
    assert len(set(FORBIDDEN)) >= 60
    assert len(set(TAKEN)) >= 20


@pytest.mark.parametrize("host", [host for host in FORBIDDEN if host[0] == "[" or host.replace(".", "").isdigit()])
def test_a_name_that_resolves_to_a_forbidden_address_is_refused_when_it_is_sent_to(host: str) -> None:
    guard = Guard((), plain_http=True, resolve=lambda *_: [PUBLIC, host.strip("[]")])

    with pytest.raises(ForbiddenTarget):
        guard.addresses(guard.target("https://innocent.example/"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "//example.com/",
        "example.com",
        "",
        "https://",
        "https:///x",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com /",
        "https://example.com/\r\nX: y",
        "https://example.com/\x00",
        "https://exa\tmple.com/",
        "https://example.com/#fragment",
        "https://example.com:0/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://-a.example/",
        "https://a..example/",
        "https://exa$mple.com/",
        "https://example.com/ä",
        "https://example.com/" + "a" * 2_000,
        f"https://{'a.' * 130}example/",
    ],
)
def test_what_is_no_plain_url_is_refused_in_words(url: str) -> None:
    with pytest.raises(ForbiddenTarget, match=r"\w+ \w+.*"):
        STRICT.target(url)


def test_https_is_needed_unless_the_operator_allows_http() -> None:
    guard = Guard((), plain_http=False)

    with pytest.raises(ForbiddenTarget, match="https"):
        guard.target("http://example.com/")
    assert guard.target("https://example.com/").secure
    assert not STRICT.target("http://example.com/").secure


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://Example.COM", "example.com", 443, "/"),
        ("http://example.com/", "example.com", 80, "/"),
        ("https://example.com:8443?a=b", "example.com", 8443, "/?a=b"),
        ("https://BÜCHER.example./x", "xn--bcher-kva.example", 443, "/x"),
        ("https://[2606:4700::1]:9000/", "2606:4700::1", 9000, "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    target = parse(url)

    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "localhost"),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]"),
        ("10.1.0.0/16", "10.1.2.3"),
        ("fd00::/8", "[fd00::1]"),
    ],
)
def test_an_allowed_network_is_taken(allowed: str, host: str) -> None:
    guard = Guard((allowed,), plain_http=True, resolve=lambda *_: ["127.0.0.1"])

    assert guard.addresses(guard.target(f"http://{host}/"))


def test_what_lies_beside_an_allowed_network_is_refused() -> None:
    guard = Guard(("10.1.0.0/16",), plain_http=True)

    for host in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "[::1]"):
        with pytest.raises(ForbiddenTarget):
            guard.target(f"http://{host}/")


def test_a_name_is_resolved_once_and_every_address_is_judged() -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC, "2606:4700::1"] if len(asked) == 1 else ["127.0.0.1"]

    guard = Guard((), plain_http=True, resolve=resolve)
    target = guard.target("https://rebinding.example/")

    assert guard.addresses(target) == [PUBLIC, "2606:4700::1"]
    assert asked == ["rebinding.example"]
    with pytest.raises(ForbiddenTarget, match="loopback"):
        guard.addresses(target)


def test_an_address_that_wraps_another_leads_to_the_one_within() -> None:
    assert STRICT.addresses(parse("https://[::ffff:93.184.215.14]/")) == [PUBLIC]


def test_a_name_without_an_address_is_refused() -> None:
    guard = Guard((), plain_http=True, resolve=lambda *_: [])

    with pytest.raises(ForbiddenTarget, match="no address"):
        guard.addresses(parse("https://example.com/"))
