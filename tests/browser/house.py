"""One installation as a user starts it, for all tests of the app; and what is needed to fill it."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page

from services.cli.rest import Answer, Client
from tests.acceptance.program import Up
from tests.support.processes import free_port_base, wait_until

PATIENCE = 60.0
"""Seconds that something observable may take on a machine with much else to do."""
CONFIGURATIONS = "/api/v1/audience-configurations"
MOMENTS = "/api/v1/moments"
USERS = "/api/v1/users"
PASSWORD = "four words in a row"
SITE = "shop.example.com"

_SETTINGS = {
    "MOMENTS_INGESTION_WORKERS": "1",
    "MOMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "MOMENTS_WEBHOOK_PLAIN_HTTP": "yes",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """An audience configuration with an enabled server key."""

    id: str
    name: str
    key: str


@dataclass(slots=True)
class House:
    """`./moments up` on an embedded broker and SQLite files, with an administrator's token."""

    up: Up
    _made: int = 0
    _emails: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the app is."""
        return self.up.url("config")

    def call(self, method: str, path: str, document: Any = None, service: str = "config") -> Answer:
        """One request of the REST API with the admin token; raises AssertionError when it is refused."""
        answer = self.up.client(service).call(method, path, document)
        assert answer.status < 400, f"{method} {path}: {answer.status} {answer.document}"
        return answer

    def invite(self, role: str, name: str = "") -> str:
        """Invite somebody; the path of their link."""
        self._made += 1
        name = name or f"{role.capitalize()} {self._made}"
        self._emails[name] = f"{role}-{self._made}@example.com"
        wanted = {"name": name, "email": self._emails[name], "role": role}
        return urlsplit(str(self.call("POST", USERS, wanted).document["url"])).path

    def email_of(self, name: str) -> str:
        """The address that somebody was invited by."""
        return self._emails[name]

    def come_in(self, page: Page, link: str) -> None:
        """Take up a link in a browser, as the person who got it."""
        page.goto(link)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Come in").click()
        page.wait_for_url(lambda url: "/welcome/" not in url and "/sign-in" not in url)

    def make_shop(self, name: str = "", domains: Sequence[str] = (SITE,), audience: str = "Customers") -> Shop:
        """A new audience configuration."""
        self._made += 1
        name = name or f"Shop {self._made}"
        wanted = {
            "name": name,
            "audience": {"id": f"list-{self._made}", "name": audience, "idTypes": ["email", "external"]},
            "domains": list(domains),
        }
        return self.open_shop(str(self.call("POST", CONFIGURATIONS, wanted).document["id"]), name)

    def open_shop(self, configuration: str, name: str) -> Shop:
        """Let a server of an audience configuration send signals."""
        path = f"{CONFIGURATIONS}/{configuration}/keys/server"
        keys = self.call("POST", f"{path}/regenerate", {}).document["keys"]
        key = next(each for each in keys if each.get("secret"))
        self.call("PATCH", path, {"enabled": True})
        return Shop(configuration, name, f"{key['id']}:{key['secret']}")

    def make_moment(self, shop: Shop, *statuses: str, type: str = "cart_abandon", **fields: Any) -> str:
        """A new moment, brought through the statuses; its id. A running one is known to trigger."""
        self._made += 1
        wanted = {"type": type, "name": f"Moment {self._made}", "audienceConfigurationId": shop.id, **fields}
        made = str(self.call("POST", MOMENTS, wanted).document["id"])
        for status in statuses:
            self.call("POST", f"{MOMENTS}/{made}/status", {"status": status})
        if "running" in statuses:
            wait_until(lambda: self.knows(made), f"trigger to know the moment {made}", PATIENCE)
        return made

    def knows(self, moment: str) -> bool:
        """Whether trigger has heard of a moment."""
        return self.up.client("trigger").call("GET", f"{MOMENTS}/{moment}/ledger").status == 200

    def ledger(self, moment: str) -> dict[str, Any]:
        """A moment's counters."""
        found: dict[str, Any] = self.call("GET", f"{MOMENTS}/{moment}/ledger", service="trigger").document
        return found

    def put_in_cart(self, shop: Shop, email: str, name: str = "Blue mug", price: float = 12.5) -> None:
        """A customer of the shop puts something into a cart of their own."""
        item = {"productId": "mug", "name": name, "quantity": 1, "price": price, "currency": "EUR"}
        self.signal(shop, "cart/add", email, {"cartId": f"cart-{email}", "items": [item]})

    def signal(self, shop: Shop, kind: str, email: str, data: dict[str, Any]) -> None:
        """One signal, now; a key that ingestion has not heard of yet is tried until it has."""
        body = {
            "id": str(uuid.uuid4()),
            "time": datetime.now(UTC).isoformat(),
            "data": {"site": SITE, "email": email, **data},
        }
        headers = {"X-Api-Key": shop.key, "Connection": "close"}
        client = Client(self.up.url("ingestion"), headers)

        def taken() -> bool:
            answer = client.call("POST", f"/v1/signals/{kind}", body)
            assert answer.status < 400 or answer.status in (401, 403), answer.document
            return answer.status < 400

        wait_until(taken, f"ingestion to know the key of {shop.name}", PATIENCE)

    def refuse(self, shop: Shop, data: dict[str, Any]) -> None:
        """Send something into a cart that is no valid signal."""
        body = {"id": str(uuid.uuid4()), "time": datetime.now(UTC).isoformat(), "data": {"site": SITE, **data}}
        client = Client(self.up.url("ingestion"), {"X-Api-Key": shop.key, "Connection": "close"})
        assert client.call("POST", "/v1/signals/cart/add", body).status == 422

    def wait_for(self, moment: str, **counts: int) -> None:
        """Wait until a moment's counters have reached these."""
        wait_until(
            lambda: all(self.ledger(moment)[name] >= count for name, count in counts.items()),
            f"the moment {moment} to count {counts}",
            PATIENCE,
        )

    @contextmanager
    def without_trigger(self) -> Iterator[None]:
        """Kill trigger's REST API and worker, which are not started again before the end."""
        supervisor = json.loads((self.up.data / "up.lock").read_text(encoding="utf-8"))["pid"]
        os.kill(supervisor, signal.SIGSTOP)
        try:
            for pid in self.up.processes("services.trigger."):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.up.ready("trigger"), "trigger to be gone", PATIENCE)
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)
            wait_until(lambda: self.up.ready("trigger"), "trigger to be back", PATIENCE)


@contextmanager
def running_house(data: Path) -> Iterator[House]:
    """Start everything on a data folder of its own, on free ports."""
    up = Up(data, free_port_base(), changes=_SETTINGS)
    try:
        up.start(PATIENCE)
        yield House(up)
    finally:
        up.stop()
