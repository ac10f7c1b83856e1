"""Where a webhook may lead: URLs and addresses that are refused, so that nobody reaches into the network from here."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""Host and port → all its addresses; raises OSError."""

LONGEST_URL = 2_000
_PORTS = {"http": 80, "https": 443}
_FORBIDDEN: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, as cloud metadata services are"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("2001::/23", "reserved (Teredo and others)"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class ForbiddenTarget(ValueError):
    """A URL or address that no webhook may lead to; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart. `host` is in its ASCII form, an IPv6 address without brackets."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def literal(self) -> Address | None:
        """The address, when the host is one."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses that this machine finds for a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Guard:
    """Judges URLs and addresses. `allowed` networks are taken although they are not public."""

    def __init__(self, allowed: Sequence[str], *, plain_http: bool, resolve: Resolver = system_resolver) -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(network) for network in allowed)
        self._plain_http = plain_http
        self._resolve = resolve

    def target(self, url: str) -> Target:
        """The URL taken apart; raises ForbiddenTarget, also for a literal address that must not be reached."""
        target = parse(url)
        if not target.secure and not self._plain_http:
            raise ForbiddenTarget("Use https; plain http has to be allowed by the operator.")
        literal = IPv4Address("127.0.0.1") if _is_this_machine(target.host) else target.literal
        if literal is not None:
            self._check(literal)
        return target

    def addresses(self, target: Target) -> list[str]:
        """The addresses of a host, resolved once and every one of them checked; raises ForbiddenTarget or OSError."""
        literal = target.literal
        found = [str(literal)] if literal is not None else self._resolve(target.host, target.port)
        if not found:
            raise ForbiddenTarget(f"{target.host} has no address.")
        return [self._check(_address(text)) for text in found]

    def _check(self, address: Address) -> str:
        """The address to connect to: that within, where one is wrapped in another."""
        plain = _unwrapped(address)
        reason = reason_against(plain)
        inside = any(plain.version == network.version and plain in network for network in self._allowed)
        if reason and not inside:
            raise ForbiddenTarget(f"{address} is {reason}; webhooks go to public addresses only.")
        return str(address if address in _NAT64 else plain)


def reason_against(address: Address) -> str:
    """Why an address is not a public one; empty when it is."""
    for network, what in _FORBIDDEN:
        if address.version == network.version and address in network:
            return what
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_V6):
        return "not public"
    return ""


def parse(url: str) -> Target:
    """A URL taken apart, whatever its address; raises ForbiddenTarget."""
    if len(url) > LONGEST_URL:
        raise ForbiddenTarget(f"A URL has {LONGEST_URL} characters at most.")
    if any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        raise ForbiddenTarget("A URL has no spaces, control characters, backslashes or quotes.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ForbiddenTarget("This is no URL.") from error
    _check_parts(parts)
    secure = parts.scheme == "https"
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and port < 1024:
        raise ForbiddenTarget("Use port 443, 80, or one from 1024 on.")
    return Target(
        secure=secure, host=_host(host, bracketed="[" in parts.netloc), port=port, path=_path(parts.path, parts.query)
    )


def _check_parts(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise ForbiddenTarget("Use a URL that begins with https://.")
    if "@" in parts.netloc:
        raise ForbiddenTarget("A URL must not hold a user or a password; events are signed.")
    if parts.fragment:
        raise ForbiddenTarget("A URL of a webhook has no fragment (#).")


def _host(text: str, *, bracketed: bool) -> str:
    if bracketed:
        return str(_address(text))
    try:
        host = idna.encode(text.rstrip("."), uts46=True, transitional=False).decode() if not text.isascii() else text
    except (idna.IDNAError, UnicodeError) as error:
        raise ForbiddenTarget("This is no host name.") from error
    labels = host.lower().removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _dotted(".".join(labels))
    if len(".".join(labels)) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ForbiddenTarget("This is no host name.")
    return ".".join(labels)


def _dotted(text: str) -> str:
    """What ends in a number is an IPv4 address to every resolver; only its usual form is taken."""
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        raise ForbiddenTarget("Write an IPv4 address as four decimal numbers, as 192.0.2.1.") from error


def _path(path: str, query: str) -> str:
    whole = (path or "/") + (f"?{query}" if query else "")
    if not whole.isascii():
        raise ForbiddenTarget("Percent-encode what is not ASCII after the host.")
    return whole


def _address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise ForbiddenTarget("This is no IP address.") from error
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ForbiddenTarget("An address with a zone is link-local; webhooks go to public addresses only.")
    return address


def _unwrapped(address: Address) -> Address:
    """The IPv4 address in an IPv4-mapped or NAT64 one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
