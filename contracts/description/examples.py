"""An example of every message, made by the code that makes the real ones."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from contracts.configurations import KEY_PREFIXES, AudienceState, ConfigurationState, KeyState, SegmentEvent
from contracts.erasures import ErasureDone, ProfileErased, Tombstone
from contracts.events import (
    audience_profile_data,
    encode_moment_event,
    encode_profile_event,
    encode_recovered_event,
)
from contracts.joining import Inquiry, Joining, Reply
from contracts.moments import MomentState, SettingsVersion
from contracts.processes import CartContent, empty_content
from contracts.signals import (
    CATALOGUE,
    KINDS,
    Item,
    ProfileReference,
    Reference,
    SignalData,
    SignalEvent,
    SignalKind,
    encode_signal,
    make_signal,
)
from contracts.stitching import ANONYMOUS, Identified, as_of_profile, encode_stitched
from contracts.suppressions import SuppressionState
from contracts.templates import Template, validate_settings
from contracts.times import MINUTE, SECOND, from_rfc3339, parse_duration, to_datetime
from contracts.tokens import TokenState
from contracts.wire import (
    KeyUsed,
    Marker,
    SignalRefused,
    SignalReplay,
    SignalReplayed,
    SnapshotRequest,
    SpoolWord,
)

TIME = from_rfc3339("2026-11-23T10:15:30.123Z")
SITE = "shop.example.com"
ADA = "ada@example.com"
_SOURCE = "shop-web"
_KEY = "pk_1b2f0c"
_REFUSAL = "5d1f0c0a9b6e4b0e8f3a2c1d0e9f8a7b"
_REPLAY = "0c2b8a52-6f0f-4c0e-9d5c-6b6f2f0c9e11"
_SENT = (
    '{"id":"s-77","time":"2026-11-23T10:15:30.123Z","source":"shop-web","data":{"email":"ada@example.com","items":[]}}'
)
_ANONYMOUS_ID = "5b0d2a8e-6f4c-4f0e-9a1b-3c2d1e0f9a8b"
_CONFIGURATION = Reference(str(uuid5(NAMESPACE_URL, "moments:configuration")), "Web shop")
_AUDIENCE = AudienceState(id="customers", name="Customers")
_MUG = Item(
    product_id="mug",
    quantity=2,
    price=12.5,
    currency="EUR",
    name="Blue mug",
    category="kitchen",
    url="https://shop.example.com/mug",
)
_FIELDS: dict[str, Any] = {
    "cart_id": "c-42",
    "session_id": "v-7",
    "order_id": "o-1001",
    "booking_id": "b-3",
    "survey_id": "spring",
    "game_id": "g-5",
    "conversion_id": "loan-8",
    "application_id": "com.example.shop",
    "product_id": "mug",
    "name": "Blue mug",
    "category": "kitchen",
    "price": 12.5,
    "currency": "EUR",
    "url": "https://shop.example.com/mug",
    "image_url": "https://shop.example.com/mug.jpg",
    "title": "Blue mug",
    "step": "payment",
    "level": 3,
    "version": "4.2.0",
    "platform": "android",
}
STATE = ConfigurationState(
    id=_CONFIGURATION.id,
    version=4,
    name="Web shop",
    audience=_AUDIENCE,
    domains=(SITE, "*.shop.example.net"),
    keys=(
        KeyState(id=_KEY, type="web", enabled=True, kinds=("cart/add", "cart/purchase")),
        KeyState(
            id="sk_93ac41",
            type="server",
            enabled=True,
            secret_hash="5f" * 32,
            expires_at=TIME + 60 * MINUTE,
            signed=True,
        ),
    ),
    consent_required=True,
    attributes=("campaign", "items.size"),
    segment_events=(
        SegmentEvent(
            event="Basket Saved",
            signal="cart/replace",
            items="lines",
            fields={"cartId": "basket.id", "items.productId": "code"},
        ),
    ),
)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _data(kind: SignalKind, time: int) -> SignalData:
    given = (*((kind.id_field,) if kind.id_field else ()), *kind.fields)
    named: dict[str, Any] = {_snake(name): _FIELDS[_snake(name)] for name in given}
    if kind.process == "subscription":
        named["name"] = "Monthly news"
    return SignalData(
        signal=kind.name,
        audience_configuration=_CONFIGURATION,
        audience=Reference(_AUDIENCE.id, _AUDIENCE.name),
        profile=ProfileReference("email", ADA),
        received_at=to_datetime(time + SECOND // 4),
        touchpoint=kind.touchpoints[0],
        key_id=f"{KEY_PREFIXES[kind.touchpoints[0]]}_1b2f0c",
        site=SITE if "web" in kind.touchpoints else None,
        items=(_MUG,) if kind.items else (),
        attributes={"campaign": "autumn"},
        **named,
    )


def _id(kind: SignalKind) -> str:
    return str(uuid5(NAMESPACE_URL, f"moments:{kind.name}"))


def signal_message(kind: SignalKind) -> bytes:
    """An accepted signal."""
    return encode_signal(id=_id(kind), source=_SOURCE, time=TIME, data=_data(kind, TIME))


def moment_message(template: Template) -> bytes:
    """A moment event of a template, with default settings."""
    settings, _ = validate_settings(template, {})
    length = parse_duration(settings["delay" if template.rule == "instant" else "duration"])
    kind = CATALOGUE[template.opens[0]]
    content = empty_content(template.process)
    content.apply(make_signal(id=_id(kind), source=_SOURCE, time=TIME, data=_data(kind, TIME)))
    told = content.purchase() if isinstance(content, CartContent) and template.once_per == "order" else content
    return encode_moment_event(
        raise_id=_raise_id(template),
        moment=(_moment_id(template), template.title, template.type),
        configuration=(STATE.id, STATE),
        profile=("email", ADA),
        process=(template.process, _FIELDS.get(f"{template.process}_id", f"default:{SITE}")),
        site=SITE,
        content=told.describe(),
        attributes={"campaign": "autumn"},
        times=(TIME, TIME, TIME + length, TIME + length + SECOND // 50),
        number=1,
        signal_ids=(_id(kind),),
    )


def _moment_id(template: Template) -> str:
    return str(uuid5(NAMESPACE_URL, f"moments:moment:{template.type}"))


def _raise_id(template: Template) -> str:
    return str(uuid5(NAMESPACE_URL, f"moments:raise:{template.type}"))


def recovered_message(template: Template) -> bytes:
    """The recovered event of that moment event."""
    kind = CATALOGUE[template.completes[0]]
    value = [{"amount": 25.0, "currency": "EUR"}] if kind.items else []
    settings, _ = validate_settings(template, {})
    time = TIME + parse_duration(settings["duration"]) + 30 * MINUTE
    raised = moment_message(template)
    return encode_recovered_event(raised, time=time, signal=(_SOURCE, _id(kind), kind.name), value=value)


def profile_message(template: Template) -> bytes:
    """The profile after that moment was raised."""
    kind = KINDS[0]
    data = audience_profile_data(
        configuration=(STATE.id, STATE),
        profile=("email", ADA),
        version=3,
        times=(TIME - 60 * MINUTE, TIME),
        last_signal=(kind.name, _SOURCE, _id(kind), SITE),
        attributes={"campaign": "autumn"},
        last_moment=(_moment_id(template), template.title, template.type, _raise_id(template), TIME + SECOND),
        counts=(2, 1),
    )
    return encode_profile_event(data, TIME + SECOND)[1]


def configuration_message() -> bytes:
    """The state of a configuration."""
    return msgspec.json.encode(STATE)


def token_message() -> bytes:
    """The state of a token that may change things until a day."""
    return msgspec.json.encode(
        TokenState(
            id="0b7c1f0e-52a4-4f4e-9a50-0d6f3c3f2b11",
            version=1,
            name="Deployment",
            hash="c4" * 32,
            scope="edit",
            expires_at=TIME + 60 * MINUTE,
        )
    )


def moment_state_message(template: Template) -> bytes:
    """The state of a running moment whose settings were changed once."""
    settings, _ = validate_settings(template, {})
    return msgspec.json.encode(
        MomentState(
            id=_moment_id(template),
            version=3,
            type=template.type,
            name=template.title,
            description=template.description,
            configuration_id=STATE.id,
            status="running",
            running_since=TIME - 60 * MINUTE,
            history=(
                SettingsVersion(version=1, since=TIME - 60 * MINUTE, settings=settings),
                SettingsVersion(version=3, since=TIME - MINUTE, settings={**settings, "coolDown": "P1D"}),
            ),
        )
    )


def snapshot_message() -> bytes:
    """A reader's request."""
    return msgspec.json.encode(SnapshotRequest("trigger-1"))


def marker_message() -> bytes:
    """A marker in partition 7."""
    return msgspec.json.encode(Marker(partition=7, nonce="6f1c0e7aa0b84a0f9d0e5b7a3c2d1e0f", at=TIME))


def spool_word_message() -> bytes:
    """The word of a machine in partition 7."""
    word = SpoolWord(partition=7, machine="shop-1-3f9a1c22", number=4294967297, at=TIME, waiting=1200)
    return msgspec.json.encode(word)


def joining_message() -> bytes:
    """An anonymous customer of partition 3 is Ada, of partition 7."""
    return msgspec.json.encode(
        Joining(partition=7, configuration=STATE.id, id_type="email", profile=ADA, source=3, at=TIME)
    )


def inquiry_message() -> bytes:
    """A question from partition 7 to partition 3."""
    return msgspec.json.encode(Inquiry(partition=3, asker=7, at=TIME, epoch=12))


def reply_message() -> bytes:
    """The answer."""
    return msgspec.json.encode(Reply(partition=7, source=3, at=TIME, until=TIME))


def identified_message() -> bytes:
    """An anonymous customer is Ada."""
    return msgspec.json.encode(
        Identified(
            configuration=STATE.id,
            anonymous=_ANONYMOUS_ID,
            id_type="email",
            profile=ADA,
            time=TIME,
            at=TIME + SECOND,
        )
    )


def stitched_message() -> bytes:
    """A signal that joins Ada's."""
    event = msgspec.json.decode(signal_message(KINDS[0]), type=SignalEvent)
    anonymous = msgspec.structs.replace(event.data, profile=ProfileReference(ANONYMOUS, _ANONYMOUS_ID))
    body = msgspec.json.encode(msgspec.structs.replace(event, data=anonymous))
    stitched = as_of_profile(body, event.data.profile, to_datetime(TIME + SECOND))
    return encode_stitched(event.data.audience_configuration, event.data.profile, [stitched])


def refused_message() -> bytes:
    """A refusal of a signal without items."""
    return msgspec.json.encode(
        SignalRefused(
            id=_REFUSAL,
            at=TIME + SECOND,
            status=422,
            code="invalid",
            reason="The signal is not valid.",
            configuration=STATE.id,
            faults=(("/data/items", "Shorter than minimum length 1."),),
            kind="cart/add",
            time=TIME,
            source=_SOURCE,
            signal="s-77",
            site=SITE,
            id_type="email",
            profile=ADA,
            key=_KEY,
            origin=f"https://{SITE}",
            sent=_SENT,
        )
    )


def replay_message() -> bytes:
    """A wish to read that signal again."""
    return msgspec.json.encode(
        SignalReplay(
            replay=_REPLAY,
            refusal=_REFUSAL,
            at=TIME + SECOND,
            configuration=STATE.id,
            key=_KEY,
            sent=_SENT,
            kind="cart/add",
            origin=f"https://{SITE}",
        )
    )


def replayed_message() -> bytes:
    """It is still refused."""
    return msgspec.json.encode(
        SignalReplayed(
            replay=_REPLAY,
            refusal=_REFUSAL,
            at=TIME + MINUTE,
            status=422,
            code="invalid",
            reason="The signal is not valid.",
            faults=(("/data/items", "Shorter than minimum length 1."),),
        )
    )


def key_used_message() -> bytes:
    """A use of a key."""
    return msgspec.json.encode(KeyUsed(key=_KEY, at=TIME + SECOND))


_ERASURE = "5f7c1f5e-0a55-4a8f-9d53-6a3f6c1f7f10"


def tombstone_message() -> bytes:
    """A tombstone in partition 7."""
    return msgspec.json.encode(Tombstone(erasure=_ERASURE, partition=7))


def profile_erased_message() -> bytes:
    """A customer is to be erased, and not to be listened to any more."""
    return msgspec.json.encode(
        ProfileErased(erasure=_ERASURE, at=TIME, configuration=STATE.id, id_type="email", profile=ADA, suppress=True)
    )


def erasure_done_message() -> bytes:
    """Ingestion has erased what it kept."""
    return msgspec.json.encode(ErasureDone(erasure=_ERASURE, reader="ingestion", at=TIME + SECOND, counts={"spool": 2}))


def suppression_message() -> bytes:
    """The state of a customer whose signals are refused."""
    return msgspec.json.encode(SuppressionState(id="9c" * 16, version=1, configuration=STATE.id))
