"""The table of DOMAIN §4, copied by hand, and what every row of it does in a real installation."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from contracts.templates import templates
from contracts.times import SECOND, to_rfc3339
from contracts.topology import JOURNEYS, Binding, Queue
from services.cli.rest import Client
from shared.broker import connect_broker
from tests.acceptance.stack import CLOCK, PATIENCE, Stack
from tests.support.processes import wait_until

DOMAIN = {
    "cart_abandon": "opens cart/add cart/replace, slides cart/remove, completes cart/purchase, ends cart/clear",
    "browse_abandon": "opens product/view page/view, ends cart/add cart/replace, completes cart/purchase",
    "booking_abandon": "opens booking/start, slides booking/update, completes booking/complete, ends booking/cancel",
    "survey_abandon": "opens survey/start, slides survey/update, completes survey/complete",
    "game_abandon": "opens game/start, slides game/update, completes game/complete",
    "conversion_abandon": (
        "opens conversion/create, slides conversion/update, completes conversion/complete, ends conversion/delete"
    ),
    "post_purchase": "opens cart/purchase",
    "booking_complete": "opens booking/complete",
    "survey_complete": "opens survey/complete",
    "game_start": "opens game/start",
    "welcome": (
        "opens website/signup newsletter/signup webinar/signup event/signup, "
        "ends website/cancel newsletter/cancel webinar/cancel event/cancel"
    ),
    "welcome_app": "opens app/install, ends app/uninstall",
    "goodbye": (
        "opens website/cancel newsletter/cancel webinar/cancel event/cancel, "
        "ends website/signup newsletter/signup webinar/signup event/signup"
    ),
}
"""Type → effects with their signals, as the table of DOMAIN §4 gives them (✓ is `completes`)."""

LENGTH = 4 * SECOND
"""Duration or delay of every moment."""
_ID_FIELDS = {
    "cart": "cartId",
    "product": "sessionId",
    "page": "sessionId",
    "app": "applicationId",
    **{group: f"{group}Id" for group in ("booking", "survey", "game", "conversion")},
    **dict.fromkeys(("website", "newsletter", "webinar", "event"), "name"),
}
_ITEM = {"productId": "mug", "name": "Blue mug", "quantity": 2, "price": 12.5, "currency": "EUR"}


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One signal's effect on the waits of one template."""

    template: str
    effect: str
    signal: str

    def __str__(self) -> str:
        return f"{self.template}: {self.signal} {self.effect}"

    @property
    def profile(self) -> str:
        """The customer who shows it."""
        return f"{self.template} {self.signal}"

    @property
    def opener(self) -> str:
        """A signal that opens what this one slides or ends; of a list, of the same list."""
        group = self.signal.partition("/")[0]
        opening = [row.signal for row in ROWS if row.template == self.template and row.effect == "opens"]
        return next((each for each in opening if each.startswith(f"{group}/")), opening[0])


def domain_rows() -> set[Row]:
    """The rows of the table."""
    return {
        Row(template, effect.split()[0], signal)
        for template, effects in DOMAIN.items()
        for effect in effects.split(", ")
        for signal in effect.split()[1:]
    }


def declared_rows() -> set[Row]:
    """The rows as the templates declare them."""
    return {
        Row(template.type, effect, signal)
        for template in templates().values()
        for signal, effect in template.effects.items()
    }


ROWS = sorted(declared_rows())


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal that was sent: its id, and when it happened (µs)."""

    id: str
    time: int


@dataclass(slots=True)
class Experiment:
    """All rows at once in one installation: a customer for each, and one more for each recovery."""

    stack: Stack
    events: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[tuple[str, str], Sent] = field(default_factory=dict)
    moments: dict[str, str] = field(default_factory=dict)
    _key: str = ""
    _done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Make the moments, send the signals of every row, then what completes after the raises, and wait for all."""
        configuration = self._make_configuration()
        self.moments = {name: self._make_moment(name, configuration) for name in DOMAIN}
        listening = threading.Thread(target=self._listen, args=(self._bind(),))
        listening.start()
        try:
            self._wait_until_known()
            self._send(list(self._first()))
            wait_until(lambda: not self._missing(self._raising()), "every raise", PATIENCE)
            self._send([(row.signal, recovered(row), CLOCK.now()) for row in completing()])
            wait_until(lambda: not self._missing(self._recovering()), "every recovery", PATIENCE)
            wait_until(self._is_quiet, "every wait to be decided and every event published", PATIENCE)
        finally:
            self._done.set()
            listening.join()

    def of(self, row: Row, profile: str, suffix: str = "") -> list[dict[str, Any]]:
        """The events of the row's type that came for a profile."""
        return self._by_type()[f"moment.{row.template}{suffix}", profile]

    def ledger(self, template: str) -> dict[str, Any]:
        """The ledger of a template's moment."""
        answer = self.stack.up.client("trigger").call("GET", f"/api/v1/moments/{self.moments[template]}/ledger")
        assert answer.status == 200, answer.document
        document: dict[str, Any] = answer.document
        return document

    def _first(self) -> Iterator[tuple[str, str, int]]:
        """Signal, profile and time; what slides or ends comes a second after what opened."""
        now = CLOCK.now()
        for row in ROWS:
            if row.effect != "opens":
                yield row.opener, row.profile, now - SECOND
            yield row.signal, row.profile, now
            if row.effect == "completes":
                yield row.opener, recovered(row), now

    def _raising(self) -> set[tuple[str, str]]:
        raising = {(f"moment.{row.template}", row.profile) for row in ROWS if row.effect in ("opens", "slides")}
        return raising | {(f"moment.{row.template}", recovered(row)) for row in completing()}

    def _recovering(self) -> set[tuple[str, str]]:
        return {(f"moment.{row.template}.recovered", recovered(row)) for row in completing()}

    def _missing(self, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        return wanted - set(self._by_type())

    def _by_type(self) -> defaultdict[tuple[str, str], list[dict[str, Any]]]:
        found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for event in list(self.events):
            found[event["type"], event["data"]["profile"]["id"]].append(event)
        return found

    def _is_quiet(self) -> bool:
        unsent = self.stack.query("SELECT count(*) FROM outbox WHERE sent_at IS NULL")[0][0]
        return not unsent and all(self.ledger(name)["pending"] == 0 for name in DOMAIN)

    def _make_configuration(self) -> str:
        config = self.stack.up.client("config")
        audience = {"id": "list", "name": "Customers", "idTypes": ["external"]}
        made = config.call(
            "POST", "/api/v1/audience-configurations", {"name": "Shop", "audience": audience, "domains": []}
        )
        assert made.status == 201, made.document
        path = f"/api/v1/audience-configurations/{made.document['id']}/keys/server"
        keys = config.call("POST", f"{path}/regenerate", {}).document["keys"]
        key = next(each for each in keys if each.get("secret"))
        assert config.call("PATCH", path, {"enabled": True}).status == 200
        self._key = f"{key['id']}:{key['secret']}"
        return str(made.document["id"])

    def _make_moment(self, name: str, configuration: str) -> str:
        config = self.stack.up.client("config")
        setting = "delay" if templates()[name].rule == "instant" else "duration"
        length = {setting: f"PT{LENGTH // SECOND}S"}
        wanted = {"type": name, "name": name, "audienceConfigurationId": configuration, "settings": length}
        made = config.call("POST", "/api/v1/moments", wanted)
        assert made.status == 201, made.document
        path = f"/api/v1/moments/{made.document['id']}"
        assert config.call("POST", f"{path}/status", {"status": "running"}).status == 200
        return str(made.document["id"])

    def _wait_until_known(self) -> None:
        """Trigger knows the moments and ingestion the key; an order's signal is for journeys alone."""
        trigger, order = self.stack.up.client("trigger"), self._signal("order/ship", "nobody", CLOCK.now())
        for moment in self.moments.values():
            path = f"/api/v1/moments/{moment}/ledger"
            wait_until(lambda path=path: trigger.call("GET", path).status == 200, f"trigger to know {path}", PATIENCE)
        wait_until(lambda: self._post([order]) == {200}, "ingestion to know the key", PATIENCE)

    def _send(self, signals: list[tuple[str, str, int]]) -> None:
        statuses = self._post([self._signal(*each) for each in signals])
        assert statuses == {200}, statuses

    def _post(self, signals: list[dict[str, Any]]) -> set[int]:
        """The status of the answer, or of each signal where they were looked at."""
        client = Client(self.stack.up.url("ingestion"), {"X-Api-Key": self._key, "Connection": "close"})
        answer = client.call("POST", "/v1/signals", signals)
        return {each["status"] for each in answer.document.get("results", [])} or {answer.status}

    def _signal(self, kind: str, profile: str, time: int) -> dict[str, Any]:
        name = f"{len(self.sent)}"
        self.sent[profile, kind] = Sent(name, time)
        return {"id": name, "time": to_rfc3339(time), "data": {**_data(kind), "customerId": profile}}

    def _bind(self) -> str:
        url = self.stack.changes.get("MOMENTS_BROKER_URL", f"embedded://{self.stack.up.data}/broker.db")
        broker = connect_broker(url, CLOCK)
        broker.declare_queue(Queue("journey.rows"), [Binding(JOURNEYS, "journey.rows", "moment.#")])
        broker.close()
        return url

    def _listen(self, url: str) -> None:
        """What a journey does: take events from its queue."""
        broker = connect_broker(url, CLOCK)
        consumer = broker.consumer(["journey.rows"])
        while not self._done.is_set():
            for delivery in consumer.receive(100, 0.2):
                event = json.loads(delivery.body)
                assert event["type"] == delivery.routing_key
                self.events.append(event)
                consumer.ack(delivery)
        consumer.drop()
        broker.close()


def completing() -> list[Row]:
    """The rows that complete."""
    return [row for row in ROWS if row.effect == "completes"]


def recovered(row: Row) -> str:
    """The customer who completes after the raise."""
    return f"{row.profile}, late"


def _data(kind: str) -> dict[str, Any]:
    """`data` of a signal: its process, and items where the kind has some."""
    group, _, verb = kind.partition("/")
    data: dict[str, Any] = {"signal": kind, "idType": "external"}
    if group == "order":
        return data | {"orderId": "order"}
    data[_ID_FIELDS[group]] = "process"
    if group == "cart":
        items = {"remove": [{**_ITEM, "productId": "other"}], "clear": []}.get(verb, [_ITEM])
        data |= {"sessionId": "process", "items": items}
    if group == "product":
        data["productId"] = "mug"
    return data
