"""Which Origin a web key is taken from: the rules of DOMAIN §3, case by case.

What is expected follows from DOMAIN: an exact host or a wildcard for sub-domains of any depth, compared after UTS 46
non-transitional mapping by IDNA 2008, without regard to case, with port and one trailing dot dropped; `null` and
none are refused. An Origin is exactly scheme and host (RFC 6454 §7); of the schemes only http and https make a domain.
"""

from __future__ import annotations

import pytest

from contracts.configurations import ConfigurationState, InvalidDomain, KeyState, normalise_domain
from contracts.signals import CATALOGUE
from services.ingestion import admission
from services.ingestion.admission import Admitted, Directory, admit, hash_secret, host_of, origin_allowed
from services.ingestion.refusals import Refusal
from services.ingestion.signing import Verifier

EXACT, WILD = ("shop.example.com",), ("*.example.com",)
BOTH = ("example.com", "*.example.com")
BUECHER, STRASSE, FASS = ("bücher.example",), ("straße.example",), ("xn--fa-hia.example",)
SIGMA, PERSIAN = ("βόλος.example",), ("نامه\u200cای.example",)
LOCAL, NUMBERS = ("localhost",), ("127.0.0.1",)

TAKEN = [
    ("https", EXACT, "https://shop.example.com"),
    ("http", EXACT, "http://shop.example.com"),
    ("scheme in capitals", EXACT, "HTTPS://shop.example.com"),
    ("host in capitals", EXACT, "https://SHOP.Example.COM"),
    ("domain in capitals", ("Shop.EXAMPLE.com",), "https://shop.example.com"),
    ("default port", EXACT, "https://shop.example.com:443"),
    ("another port", EXACT, "http://shop.example.com:8080"),
    ("greatest port", EXACT, "https://shop.example.com:65535"),
    ("domain with a port", ("shop.example.com:8443",), "https://shop.example.com"),
    ("trailing dot", EXACT, "https://shop.example.com."),
    ("trailing dot and port", EXACT, "https://shop.example.com.:8443"),
    ("domain with a trailing dot", ("shop.example.com.",), "https://shop.example.com"),
    ("trailing ideographic full stop", EXACT, "https://shop.example.com。"),
    ("domain with a trailing ideographic full stop", ("shop.example.com。",), "https://shop.example.com"),
    ("second of several domains", ("a.example.org", "shop.example.com"), "https://shop.example.com"),
    ("ideographic full stops", EXACT, "https://shop。example。com"),
    ("full-width full stops", EXACT, "https://shop．example．com"),
    ("half-width full stops", EXACT, "https://shop｡example｡com"),
    ("full-width letters", EXACT, "https://ｓｈｏｐ.example.com"),
    ("soft hyphen, which UTS 46 ignores", EXACT, "https://sh\u00adop.example.com"),
    ("zero-width space, which UTS 46 ignores", EXACT, "https://shop\u200b.example.com"),
    ("wildcard, one label", WILD, "https://shop.example.com"),
    ("wildcard, four labels", WILD, "https://a.b.c.d.example.com"),
    ("wildcard, capitals, dot and port", WILD, "https://A.EXAMPLE.com.:81"),
    ("wildcard, punycode below it", WILD, "https://xn--bcher-kva.example.com"),
    ("wildcard of a Unicode name", ("*.bücher.example",), "https://shop.xn--bcher-kva.example"),
    ("wildcard under a public suffix of two labels", ("*.shop.co.uk",), "https://www.shop.co.uk"),
    ("apex beside its wildcard", BOTH, "https://example.com"),
    ("sub-domain beside its apex", BOTH, "https://www.example.com"),
    ("Unicode domain, punycode Origin", BUECHER, "https://xn--bcher-kva.example"),
    ("Unicode domain, Unicode Origin", BUECHER, "https://bücher.example"),
    ("Unicode domain, Unicode Origin in capitals", BUECHER, "https://BÜCHER.example"),
    ("Unicode domain, decomposed Origin", BUECHER, "https://bu\u0308cher.example"),
    ("punycode domain, Unicode Origin", ("xn--bcher-kva.example",), "https://bücher.example"),
    ("punycode in capitals", BUECHER, "https://XN--BCHER-KVA.example"),
    ("sharp s as itself", STRASSE, "https://xn--strae-oqa.example"),
    ("sharp s, punycode domain", FASS, "https://faß.example"),
    ("capital sharp s", STRASSE, "https://STRAẞE.example"),
    ("final sigma as itself", SIGMA, "https://xn--nxasmm1c.example"),
    ("zero-width non-joiner where Persian has it", PERSIAN, "https://xn--mgba3gch31f060k.example"),
    ("localhost with a port", LOCAL, "http://localhost:3000"),
    ("IPv4 address", NUMBERS, "http://127.0.0.1:8080"),
    ("label of 63", ("a" * 63 + ".example.com",), f"https://{'a' * 63}.example.com"),
    ("name of 253", WILD, f"https://{'a.' * 120}b.example.com"),
    ("name of 253 and a dot", WILD, f"https://{'a.' * 120}b.example.com."),
]
REFUSED: list[tuple[str, tuple[str, ...], str | None]] = [
    ("none", EXACT, None),
    ("empty", EXACT, ""),
    ("null", EXACT, "null"),
    ("Null", EXACT, "Null"),
    ("null although a domain is called so", ("null",), "null"),
    ("star", EXACT, "*"),
    ("no domains", (), "https://shop.example.com"),
    ("host without a scheme", EXACT, "shop.example.com"),
    ("relative scheme", EXACT, "//shop.example.com"),
    ("ftp", EXACT, "ftp://shop.example.com"),
    ("file", EXACT, "file://shop.example.com"),
    ("web socket", EXACT, "wss://shop.example.com"),
    ("extension", EXACT, "chrome-extension://shop.example.com"),
    ("blob", EXACT, "blob:https://shop.example.com"),
    ("scheme with a long s", EXACT, "httpſ://shop.example.com"),
    ("scheme with more before it", EXACT, "xhttps://shop.example.com"),
    ("one slash", EXACT, "https:/shop.example.com"),
    ("three slashes", EXACT, "https:///shop.example.com"),
    ("back slashes", EXACT, "https:\\\\shop.example.com"),
    ("scheme alone", EXACT, "https://"),
    ("apex of an exact domain", EXACT, "https://example.com"),
    ("sub-domain of an exact domain", EXACT, "https://www.shop.example.com"),
    ("sister", EXACT, "https://other.example.com"),
    ("suffix: domain before another", EXACT, "https://shop.example.com.evil.io"),
    ("suffix: more before the domain", EXACT, "https://evilshop.example.com"),
    ("suffix: hyphen for a dot", EXACT, "https://shop-example.com"),
    ("suffix: longer top level", EXACT, "https://shop.example.community"),
    ("suffix: shorter top level", EXACT, "https://shop.example.co"),
    ("any letter for a dot", EXACT, "https://shopxexample.com"),
    ("wildcard, apex", WILD, "https://example.com"),
    ("wildcard, apex with dot and port", WILD, "https://EXAMPLE.com.:443"),
    ("wildcard, more before the apex", WILD, "https://evilexample.com"),
    ("wildcard, hyphen before the apex", WILD, "https://evil-example.com"),
    ("wildcard, domain before another", WILD, "https://shop.example.com.evil.io"),
    ("wildcard, apex before another", WILD, "https://example.com.evil.io"),
    ("wildcard, empty label", WILD, "https://.example.com"),
    ("wildcard, empty label between", WILD, "https://a..example.com"),
    ("wildcard, two dots at the end", WILD, "https://a.example.com.."),
    ("wildcard, the star itself", WILD, "https://*.example.com"),
    ("wildcard, under a brother of the public suffix", ("*.shop.co.uk",), "https://evil.co.uk"),
    ("two dots at the end", EXACT, "https://shop.example.com.."),
    ("two full stops of two kinds at the end", EXACT, "https://shop.example.com.。"),
    ("empty label", EXACT, "https://shop..example.com"),
    ("empty port", EXACT, "https://shop.example.com:"),
    ("port in words", EXACT, "https://shop.example.com:https"),
    ("negative port", EXACT, "https://shop.example.com:-1"),
    ("port beyond all", EXACT, "https://shop.example.com:65536"),
    ("two ports", EXACT, "https://shop.example.com:80:80"),
    ("port in Arabic digits", EXACT, "https://shop.example.com:٨٠"),
    ("host of another as a port", EXACT, "https://shop.example.com:evil.io"),
    ("full-width colon", EXACT, "https://shop.example.com：443"),
    ("slash at the end", EXACT, "https://shop.example.com/"),
    ("path", EXACT, "https://shop.example.com/cart"),
    ("query", EXACT, "https://shop.example.com?a"),
    ("fragment", EXACT, "https://shop.example.com#a"),
    ("path of another", EXACT, "https://evil.io/shop.example.com"),
    ("query of another", EXACT, "https://evil.io?shop.example.com"),
    ("fragment of another", EXACT, "https://evil.io#shop.example.com"),
    ("back slash of another", EXACT, "https://evil.io\\shop.example.com"),
    ("full-width slash of another", EXACT, "https://evil.io／shop.example.com"),
    ("user", EXACT, "https://user@shop.example.com"),
    ("user and password", EXACT, "https://user:password@shop.example.com"),
    ("domain as a user", EXACT, "https://shop.example.com@evil.io"),
    ("domain as user and password", EXACT, "https://shop.example.com:443@evil.io"),
    ("full-width at sign", EXACT, "https://evil.io＠shop.example.com"),
    ("two by a space, wrong first", EXACT, "https://evil.io https://shop.example.com"),
    ("two by a space, right first", EXACT, "https://shop.example.com https://evil.io"),
    ("two by a space, both right", EXACT, "https://shop.example.com https://shop.example.com"),
    ("two by a comma", EXACT, "https://shop.example.com, https://evil.io"),
    ("two by a comma without a space", EXACT, "https://shop.example.com,https://shop.example.com"),
    ("space before", EXACT, " https://shop.example.com"),
    ("space behind", EXACT, "https://shop.example.com "),
    ("no-break space behind", EXACT, "https://shop.example.com\u00a0"),
    ("ideographic space behind", EXACT, "https://shop.example.com\u3000"),
    ("tab within", EXACT, "https://shop.\texample.com"),
    ("line feed behind", EXACT, "https://shop.example.com\n"),
    ("another header behind", EXACT, "https://shop.example.com\r\nX-Api-Key: pk_1"),
    ("NUL behind", EXACT, "https://shop.example.com\0"),
    ("NUL and another behind", EXACT, "https://shop.example.com\0.evil.io"),
    ("delete within", EXACT, "https://shop\x7f.example.com"),
    ("lone surrogate", EXACT, "https://shop\ud800.example.com"),
    ("escaped dot", EXACT, "https://shop%2Eexample.com"),
    ("escaped letter", EXACT, "https://%73hop.example.com"),
    ("escaped slash", EXACT, "https://evil.io%2Fshop.example.com"),
    ("underscore", WILD, "https://my_shop.example.com"),
    ("hyphen at the front of a label", WILD, "https://-shop.example.com"),
    ("hyphen at the end of a label", WILD, "https://shop-.example.com"),
    ("label of 64", WILD, f"https://{'a' * 64}.example.com"),
    ("name of 254", WILD, f"https://aa.{'a.' * 119}b.example.com"),
    ("name of a megabyte", WILD, f"https://{'a.' * 500_000}example.com"),
    ("Cyrillic letter that looks alike", EXACT, "https://shоp.example.com"),
    ("letter without its dots", BUECHER, "https://bucher.example"),
    ("letters with their dots spelt out", BUECHER, "https://buecher.example"),
    ("punycode before another", BUECHER, "https://xn--bcher-kva.example.evil.io"),
    ("punycode of nothing", WILD, "https://xn--.example.com"),
    ("punycode of plain letters", EXACT, "https://xn--shop-.example.com"),
    ("sharp s spelt out", STRASSE, "https://strasse.example"),
    ("sharp s where it is spelt out", ("strasse.example",), "https://straße.example"),
    ("final sigma as the other one", SIGMA, "https://βόλοσ.example"),
    ("Persian without its non-joiner", PERSIAN, "https://نامهای.example"),
    ("zero-width joiner where no script has it", EXACT, "https://sh\u200dop.example.com"),
    ("zero-width non-joiner where no script has it", EXACT, "https://sh\u200cop.example.com"),
    ("localhost by its number", LOCAL, "http://127.0.0.1"),
    ("name under localhost", LOCAL, "http://shop.localhost"),
    ("number by its name", NUMBERS, "http://localhost"),
    ("number as one", NUMBERS, "http://2130706433"),
    ("number in octal", NUMBERS, "http://0177.0.0.1"),
    ("number in hexadecimal", NUMBERS, "http://0x7f.0.0.1"),
    ("number cut short", NUMBERS, "http://127.1"),
    ("IPv6 address", LOCAL, "http://[::1]"),
    ("IPv6 address with a port", LOCAL, "http://[::1]:8080"),
    ("IPv4 address within IPv6", NUMBERS, "http://[::ffff:127.0.0.1]"),
    ("host in brackets", EXACT, "https://[shop.example.com]"),
]
CASES = [(name, domains, origin, True) for name, domains, origin in TAKEN]
CASES += [(name, domains, origin, False) for name, domains, origin in REFUSED]  # type: ignore[misc]

PEPPER, NOW = b"pepper", 1_000_000_000


def directory(domains: tuple[str, ...]) -> Directory:
    """A configuration with these domains, its keys as config publishes them."""
    keys = (
        KeyState(id="pk_1", type="web", enabled=True),
        KeyState(id="ak_1", type="app", enabled=True),
        KeyState(id="sk_1", type="server", enabled=True, secret_hash=hash_secret(PEPPER, "secret")),
    )
    normalised = tuple(normalise_domain(domain) for domain in domains)
    return Directory.of((ConfigurationState(id="c1", version=1, domains=normalised, keys=keys),), Verifier(PEPPER))


@pytest.mark.parametrize(("domains", "origin", "allowed"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_web_key_is_taken_from_its_domains_alone(domains: tuple[str, ...], origin: str | None, allowed: bool) -> None:
    known = directory(domains)

    outcome = admit(known, "pk_1", origin, None, CATALOGUE["cart/add"], NOW)

    assert origin_allowed(known.domains, origin) is allowed
    assert isinstance(outcome, Admitted) is allowed
    if isinstance(outcome, Refusal):
        assert (outcome.status, outcome.code) == (403, "foreign_origin")


@pytest.mark.parametrize("origin", [None, "null", "https://evil.io", "https://shop.example.com"])
@pytest.mark.parametrize("key", ["ak_1", "sk_1:secret"])
def test_the_origin_says_nothing_about_apps_and_servers(key: str, origin: str | None) -> None:
    assert isinstance(admit(directory(EXACT), key, origin, None, CATALOGUE["cart/add"], NOW), Admitted)


@pytest.mark.parametrize(
    "domain",
    [
        "*.com",
        "*.COM.",
        "*.co.uk",
        "*.co.uk。",
        "*.co.uk:443",
        "*.github.io",
        "*.公司.cn",
        "*.xn--55qx5d.cn",
        "*.localhost",
        "*",
        "*.",
        "*.*.example.com",
        "shop.*.com",
        "*shop.example.com",
        "*。example.com",
        "＊.example.com",
        "https://shop.example.com",
        "shop.example.com/cart",
        "user@shop.example.com",
        "shop.example.com:65536",
        "shop.example.com..",
        "my_shop.example.com",
        "[::1]",
        "::1",
        "shop.example.com, shop.example.org",
        "null\0",
        "",
    ],
)
def test_no_domain_is_written_down_that_would_admit_more_or_never_anything(domain: str) -> None:
    with pytest.raises(InvalidDomain):
        normalise_domain(domain)


def test_the_table_is_long_enough_and_names_each_case_once() -> None:
    assert len(CASES) >= 60
    assert len({name for name, *_ in CASES}) == len({case[1:] for case in CASES}) == len(CASES)


def test_what_is_too_long_for_a_host_takes_no_memory() -> None:
    held = admission._host_of.cache_info().currsize, admission._origin_host.cache_info().currsize

    for number in range(10):
        long = f"{'a' * 250}{number}.example.com"
        assert not origin_allowed(("*.example.com",), f"https://{long}{'.b' * 60}")
        assert host_of(long) is None

    assert (admission._host_of.cache_info().currsize, admission._origin_host.cache_info().currsize) == held
