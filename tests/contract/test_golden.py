"""Messages as they were once published, one for each type and version: they lie in queues and logs, and must load.

A file here is never changed. A new version of a message gets a file of its own and a line below.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.configurations import ConfigurationState
from contracts.description import all_messages
from contracts.erasures import ErasureDone, ProfileErased, Tombstone
from contracts.events import (
    AudienceProfileEvent,
    MomentEvent,
    RecoveredEvent,
    encode_recovered_event,
    recovered_id_of,
)
from contracts.joining import Inquiry, Joining, Reply
from contracts.moments import MomentState
from contracts.signals import Item, SignalEvent, decode_signal, make_signal, sending_key
from contracts.stitching import Identified, Stitched
from contracts.suppressions import SuppressionState
from contracts.times import HOUR, from_rfc3339
from contracts.tokens import TokenState
from contracts.wire import (
    KeyUsed,
    Marker,
    SignalRefused,
    SignalReplay,
    SignalReplayed,
    SnapshotRequest,
    SpoolWord,
    decode_configuration_state,
    decode_marker,
    decode_moment_state,
    decode_spool_word,
)
from tests.contract.test_published_schemas import schema_of
from tests.support.schemas import validator

FOLDER = Path(__file__).parent / "golden"
GOLDEN: dict[str, tuple[str, Any, str]] = {
    "signal.v1": ("signal", SignalEvent, "357bd89ac104e3f3"),
    "moment.v1": ("moment", MomentEvent, "0b2c6cfdbe38d4b7"),
    "moment.recovered.v1": ("moment.recovered", RecoveredEvent, "ba9fb2f9817d14c9"),
    "audience.profile.v1": ("audience.profile", AudienceProfileEvent, "e01aba4fee6468d4"),
    "state.configuration.v1": ("state.configuration", ConfigurationState, "43e3de7afc979c14"),
    "state.configuration.v1.limited": ("state.configuration", ConfigurationState, "b088f9044ec096b0"),
    "state.configuration.v1.admission": ("state.configuration", ConfigurationState, "340406093e500578"),
    "state.moment.v1": ("state.moment", MomentState, "9eaedb8d6c1454c5"),
    "state.token.v1": ("state.token", TokenState, "7da0fb3c292d5d50"),
    "snapshot.request.v1": ("snapshot.request", SnapshotRequest, "77386075642ee85d"),
    "signal.refused.v1": ("signal.refused", SignalRefused, "62873d1cbceeaa24"),
    "signal.v1.with-key": ("signal", SignalEvent, "85a502819207e92c"),
    "signal.refused.v1.with-key": ("signal.refused", SignalRefused, "7c470dc61a4c8b0e"),
    "signal.refused.v1.with-sent": ("signal.refused", SignalRefused, "f0535ceb37a5c7a6"),
    "signal.replay.v1": ("signal.replay", SignalReplay, "5982932d7986fcf3"),
    "signal.replayed.v1": ("signal.replayed", SignalReplayed, "4721b620456bec45"),
    "key.used.v1": ("key.used", KeyUsed, "f3bc7aacd38df6a7"),
    "spool.word.v1": ("spool.word", SpoolWord, "26b8398dff3a908f"),
    "marker.v1": ("marker", Marker, "dd101c1c2cfb80e8"),
    "state.suppression.v1": ("state.suppression", SuppressionState, "44306890beb11692"),
    "signal.v1.stitched": ("signal", SignalEvent, "de412fef9406ed9c"),
    "identified.v1": ("identified", Identified, "a5b18d813cb3de25"),
    "stitched.v1": ("stitched", Stitched, "10cf6a90c3627850"),
    "joining.v1": ("joining", Joining, "e00c0d038164be28"),
    "inquiry.v1": ("inquiry", Inquiry, "6fb8424d462598b0"),
    "reply.v1": ("reply", Reply, "b95b1de1ea0a1562"),
    "tombstone.v1": ("tombstone", Tombstone, "8c99658cba294ec1"),
    "profile.erased.v1": ("profile.erased", ProfileErased, "0333cbc406864109"),
    "erasure.done.v1": ("erasure.done", ErasureDone, "0b94560d1ac84e53"),
}
"""File → the schema of today, the struct that reads it, the digest of its bytes."""


def golden(name: str) -> bytes:
    """The bytes of a file."""
    return (FOLDER / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_once_published_still_loads_whole_and_is_described(name: str) -> None:
    schema, struct, digest = GOLDEN[name]
    body = golden(name)

    assert sha256(body).hexdigest()[:16] == digest, "a golden file was changed; a new version is a new file"
    loaded = msgspec.json.decode(body, type=struct)
    assert json.loads(msgspec.json.encode(loaded)) == json.loads(body)
    assert validator(schema_of(schema)).is_valid(json.loads(body))


def test_every_file_is_tested_and_every_version_of_today_has_one() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GOLDEN)

    kept = {json.loads(golden(name)).get("dataschema", name) for name in GOLDEN}
    for message in all_messages():
        document = message.example_document()
        assert document.get("dataschema", f"{message.name}.v1") in kept


def test_a_signal_of_version_1_means_what_it_meant() -> None:
    signal = decode_signal(golden("signal.v1"))

    assert (signal.kind.name, signal.source, signal.id_type, signal.profile) == (
        *("cart/add", "shop-web", "email"),
        "ada@example.com",
    )
    assert signal.time == from_rfc3339("2026-11-23T10:15:30.123Z")
    assert signal.received_at == from_rfc3339("2026-11-23T10:15:30.373Z")
    assert signal.data.cart_id == "c-42"
    assert [(item.product_id, item.quantity, item.price) for item in signal.data.items] == [("mug", 2, 12.5)]
    assert isinstance(signal.data.items[0], Item)
    assert signal.data.attributes == {"campaign": "autumn"}


def test_the_key_of_a_signal_is_told_by_the_message_or_where_there_was_no_other_source_by_the_source() -> None:
    with_key = decode_signal(golden("signal.v1.with-key"))
    before = decode_signal(golden("signal.v1"))
    by_key = make_signal(id="s", source="sk_93ac41", time=before.time, data=before.data)

    assert (with_key.source, sending_key(with_key)) == ("shop-web", "pk_1b2f0c")
    assert sending_key(before) is None
    assert sending_key(by_key) == "sk_93ac41"


def test_a_signal_that_was_stitched_came_when_it_was_known_whose_it_is() -> None:
    stitched = decode_signal(golden("signal.v1.stitched"))

    assert stitched.data.anonymous_id == "5b0d2a8e-6f4c-4f0e-9a1b-3c2d1e0f9a8b"
    assert stitched.received_at == from_rfc3339("2026-11-23T10:15:30.373Z")
    assert stitched.joined_at == stitched.stitched_at == from_rfc3339("2026-11-23T10:15:31.123Z")


def test_a_moment_of_version_1_can_still_be_recovered() -> None:
    raised = golden("moment.v1")
    time = from_rfc3339("2026-11-23T10:15:30.123Z") + 3 * HOUR

    made = encode_recovered_event(raised, time=time, signal=("shop", "s9", "cart/purchase"), value=[])

    event = msgspec.json.decode(made, type=RecoveredEvent)
    assert event.id == recovered_id_of(json.loads(raised)["id"])
    assert event.data.raise_id == json.loads(raised)["id"]
    assert event.data.content == json.loads(raised)["data"]["content"]


def test_states_of_version_1_mean_what_they_meant() -> None:
    moment = decode_moment_state(golden("state.moment.v1"))
    configuration = decode_configuration_state(golden("state.configuration.v1"))
    marker = decode_marker(golden("marker.v1"))

    assert (moment.type, moment.status, moment.version) == ("cart_abandon", "running", 3)
    assert [version.settings["duration"] for version in moment.history] == ["PT2H", "PT2H"]
    assert moment.settings["coolDown"] == "P1D"
    assert configuration.audience is not None
    assert configuration.audience.id_types == ("email",)
    assert [key.type for key in configuration.keys if key.enabled] == ["web", "server"]
    word = decode_spool_word(golden("spool.word.v1"))
    assert (word.partition, word.at, word.leaving) == (marker.partition, marker.at, False)
    for name in ("spool.word.v1", "joining.v1", "inquiry.v1", "reply.v1"):
        assert decode_marker(golden(name)).nonce == "", "a trigger that does not know it drops it as a marker"
    assert (marker.partition, marker.at) == (7, from_rfc3339("2026-11-23T10:15:30.123Z"))


def test_a_state_that_an_older_config_sent_limits_nothing() -> None:
    state = decode_configuration_state(golden("state.configuration.v1"))

    assert [(key.kinds, key.signed) for key in state.keys] == [(None, False)] * 2
    assert (state.consent_required, state.attributes, state.segment_events) == (False, None, ())
