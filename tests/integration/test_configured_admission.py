"""What config is told about keys, consent, fields and events, in force in ingestion within two seconds (DOMAIN §3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.signals import Signal, SignalData, decode_signal
from contracts.signatures import signature_of
from contracts.topology import partition_queue
from services.ingestion.wiring import Ingestion
from shared.clock import stopwatch
from tests.integration.trigger_rig import STACKS
from tests.support.configuring import CONFIGURATIONS, Client, running_config
from tests.support.ingestion import PEPPER, send, settings_for, signal, start_ingestion, wait_until
from tests.support.processes import stretched


@dataclass(slots=True)
class Rig:
    """Config and ingestion on one broker, and a configuration with its server key."""

    config: Client
    ingestion: Ingestion
    shop: dict[str, Any]

    @property
    def path(self) -> str:
        """The configuration."""
        return f"{CONFIGURATIONS}/{self.shop['id']}"

    @property
    def key(self) -> dict[str, Any]:
        """The server key as it was made."""
        found: dict[str, Any] = self.shop["keys"][2]
        return found

    def change(self, change: dict[str, Any], in_force: Callable[[], bool], *, key: str = "") -> Any:
        """Change the configuration or its server key, and wait until that is in force, for two seconds at most."""
        path, version = (f"{self.path}/keys/server", None) if key else (self.path, "*")
        began = stopwatch()
        answer = self.config.call("PATCH", path, change, **({"if_match": version} if version else {}))
        assert answer.status == 200, answer.document
        wait_until(in_force)
        assert stopwatch() - began < stretched(2)
        return answer.document

    def said(self, sent: dict[str, Any], **headers: str) -> str:
        """The code with which a signal is refused; `taken`."""
        answer = send(
            self.ingestion, sent, "/v1/signals/cart/add", key=f"{self.key['id']}:{self.key['secret']}", headers=headers
        )
        return str(answer.get_json().get("code", "taken"))

    def recorded(self, *ids: str) -> list[SignalData]:
        """What lies in the partitions, taken away once these signals are among it."""
        consumer = self.ingestion.broker.consumer([partition_queue(number) for number in range(2)])
        found: list[Signal] = []

        def there() -> bool:
            if arrived := consumer.receive(100, 0.3):
                found.extend(decode_signal(each.body) for each in arrived)
                consumer.ack(arrived[-1])
            return set(ids) <= {each.id for each in found}

        wait_until(there)
        consumer.drop()
        return [each.data for each in found]


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """On files, and on servers."""
    servers = request.param == "servers"
    broker_url = request.getfixturevalue("rabbitmq_url") if servers else f"embedded://{tmp_path}/broker.db"
    database_url = request.getfixturevalue("postgres_url") if servers else f"sqlite:///{tmp_path}/config.db"
    ingestion = start_ingestion(settings_for(tmp_path / "i", MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="2"))
    with running_config(tmp_path, database_url, broker_url, MOMENTS_SECRET_PEPPER=PEPPER) as config:
        yield Rig(config, ingestion, config.make_configuration())
    ingestion.close()


def test_all_that_is_said_of_keys_and_signals_is_in_force_within_two_seconds(rig: Rig) -> None:
    wait_until(lambda: rig.said(signal()) == "disabled_key")
    free = signal("free", campaign="autumn", born="1990")
    call = {"event": "Basket Saved", "messageId": "m", "properties": {"lines": [{"code": "p"}]}, "consent": True}
    call |= {"context": {"consent": True, "traits": {"email": "ada@example.com"}}, "timestamp": "2026-11-23T10:15:30Z"}

    def counted() -> bool:
        pair = f"{rig.key['id']}:{rig.key['secret']}"
        return bool(send(rig.ingestion, call, "/v1/track", key=pair).get_json().get("accepted"))

    rig.change({"enabled": True, "kinds": ["page/view"]}, lambda: rig.said(free) == "kind_not_of_key", key="server")
    rig.change({"kinds": None}, lambda: rig.said(free) == "taken", key="server")
    rig.change({"consentRequired": True, "attributes": ["campaign"]}, lambda: rig.said(free) == "no_consent")
    assert rig.said({**free, "id": "few", "consent": True}) == "taken"
    event = {"event": "Basket Saved", "signal": "cart/replace", "items": "lines", "fields": {"items.productId": "code"}}
    assert not counted()
    rig.change({"segmentEvents": [event]}, counted)
    told = rig.change({"signed": True}, lambda: rig.said(free) == "missing_signature", key="server")
    secret = next(each["signingSecret"] for each in told["keys"] if "signingSecret" in each)
    last = {**free, "id": "signed", "consent": True}
    stamp = str(rig.config.service.program.clock.now() // 1_000_000)
    signature = signature_of(secret, stamp, "/v1/signals/cart/add", json.dumps(last).encode())
    assert rig.said(last, **{"Signal-Timestamp": stamp, "Signal-Signature": signature}) == "taken"

    found = rig.recorded("free", "few", "m", "signed")
    attributes = [each.attributes for each in found if each.signal == "cart/add"]
    assert attributes.count({"campaign": "autumn"}) == 2
    assert {"campaign": "autumn", "born": "1990"} in attributes
    assert [item.product_id for each in found if each.signal == "cart/replace" for item in each.items] == ["p"]
