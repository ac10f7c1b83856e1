"""Every message that this installation publishes: its routing key, schema, example, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.configurations import ConfigurationState
from contracts.description import examples, words
from contracts.description.schemas import (
    DRAFT,
    content_schema,
    definitions_for,
    signal_data,
    struct_schema,
    with_properties,
)
from contracts.erasures import (
    ERASURE_DONE,
    PROFILE_ERASED,
    TOMBSTONE_TYPE,
    ErasureDone,
    ProfileErased,
    Tombstone,
)
from contracts.events import (
    AUDIENCE_PROFILE,
    AudienceProfileData,
    AudienceProfileEvent,
    MomentEvent,
    MomentEventData,
    RecoveredEvent,
    RecoveredEventData,
    moment_routing_key,
    recovered_routing_key,
)
from contracts.joining import INQUIRY, INQUIRY_TYPE, JOINING, JOINING_TYPE, REPLY, REPLY_TYPE, Inquiry, Joining, Reply
from contracts.moments import MomentState
from contracts.signals import CATALOGUE, KINDS, SignalData, SignalEvent
from contracts.stitching import (
    IDENTIFIED,
    IDENTIFIED_TYPE,
    STITCHED,
    STITCHED_TYPE,
    Identified,
    Stitched,
)
from contracts.suppressions import SuppressionState
from contracts.templates import Template, product_templates
from contracts.tokens import TokenState
from contracts.topology import (
    CONFIGURATION,
    ERASURES,
    ERASURES_DONE,
    JOURNEYS,
    KEY_USES,
    PARTITIONS,
    REFUSALS,
    REPLAYED,
    REPLAYS,
    SNAPSHOT_REQUEST,
    STATE_CONFIGURATION,
    STATE_MOMENT,
    STATE_SUPPRESSION,
    STATE_TOKEN,
)
from contracts.wire import (
    KEY_USED,
    MARKER_TYPE,
    SIGNAL_REFUSED,
    SIGNAL_REPLAY,
    SIGNAL_REPLAYED,
    SPOOL_WORD,
    SPOOL_WORD_TYPE,
    KeyUsed,
    Marker,
    SignalRefused,
    SignalReplay,
    SignalReplayed,
    SnapshotRequest,
    SpoolWord,
)

CLOUDEVENTS = "application/cloudevents+json"
_JSON = "application/json"
_ALWAYS = ("datacontenttype", "dataschema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A message. `name`: its routing key, or that of the general form; `general`: it stands for several keys.

    `exchange`: where it is published. `readers`: `journeys` when others may bind it, else `services`.
    """

    name: str
    title: str
    summary: str
    exchange: str
    routing_key: str
    readers: str
    schema: Mapping[str, Any]
    example: bytes
    content_type: str = CLOUDEVENTS
    general: bool = False

    def schema_document(self) -> dict[str, Any]:
        """The schema as a file of its own."""
        head = {"$schema": DRAFT, "$id": f"urn:moments:message:{self.name}"}
        document: dict[str, Any] = {**head, **self.described_schema(), "examples": [self.example_document()]}
        definitions = definitions_for(self.schema)
        return {**document, "$defs": definitions} if definitions else document

    def described_schema(self) -> dict[str, Any]:
        """The schema with the title and the summary of the message."""
        return {"title": self.title, **self.schema, "description": self.summary}

    def example_document(self) -> Any:
        """The example, read."""
        return json.loads(self.example)


def all_messages() -> list[Described]:
    """Every message of the product: those for journeys first."""
    templates = list(product_templates().values())
    return [
        *_signals(),
        *_moments(templates),
        *_recoveries([template for template in templates if template.completes]),
        _profile(templates[0]),
        *_states(templates[0]),
    ]


def _event(
    event: type, fragments: Mapping[str, words.Fragment], data: Mapping[str, Any], key: str | None
) -> dict[str, Any]:
    described = struct_schema(event, fragments, _ALWAYS)
    described = with_properties(described, **({"type": {"const": key}} if key else {}))
    described["properties"]["data"] = data
    return described


def _signals() -> Iterator[Described]:
    general = struct_schema(SignalData, words.SIGNAL_DATA)
    any_kind = with_properties(general, signal={"enum": list(CATALOGUE)})
    yield Described(
        name="signal",
        title="Accepted signal",
        summary="An accepted signal of any kind, as a journey that binds `signal.#` gets it.",
        exchange=JOURNEYS,
        routing_key="signal.#",
        readers="journeys",
        schema=_event(SignalEvent, words.SIGNAL_EVENT, any_kind, None),
        example=examples.signal_message(KINDS[0]),
        general=True,
    )
    for kind in KINDS:
        yield Described(
            name=kind.routing_key,
            title=kind.title,
            summary=kind.summary,
            exchange=JOURNEYS,
            routing_key=kind.routing_key,
            readers="journeys",
            schema=_event(SignalEvent, words.SIGNAL_EVENT, signal_data(general, kind), kind.routing_key),
            example=examples.signal_message(kind),
        )


def _of_template(data: dict[str, Any], template: Template) -> dict[str, Any]:
    """`data` of the events of one template: its type, the kind of its process, its content."""
    moment = with_properties(data["properties"]["moment"], type={"const": template.type})
    process = with_properties(data["properties"]["process"], kind={"const": template.process})
    content = content_schema(template.process, bought=template.once_per == "order")
    return with_properties(data, moment=moment, process=process, content=content)


def _moments(templates: list[Template]) -> Iterator[Described]:
    data = struct_schema(MomentEventData, words.MOMENT_DATA)
    yield Described(
        name="moment",
        title="Moment",
        summary="A moment of any type was raised, as a journey that binds `moment.*` gets it.",
        exchange=JOURNEYS,
        routing_key="moment.*",
        readers="journeys",
        schema=_event(MomentEvent, words.MOMENT_EVENT, data, None),
        example=examples.moment_message(templates[0]),
        general=True,
    )
    for template in templates:
        own = _of_template(data, template)
        key = moment_routing_key(template.type)
        yield Described(
            name=key,
            title=template.title,
            summary=f"{template.description} Published once for each raise, at least once by the same id.",
            exchange=JOURNEYS,
            routing_key=key,
            readers="journeys",
            schema=_event(MomentEvent, words.MOMENT_EVENT, own, key),
            example=examples.moment_message(template),
        )


def _recoveries(templates: list[Template]) -> Iterator[Described]:
    data = struct_schema(RecoveredEventData, words.RECOVERED_DATA)
    yield Described(
        name="moment.recovered",
        title="Recovered moment",
        summary="The process of a raise was completed, as a journey that binds `moment.*.recovered` gets it.",
        exchange=JOURNEYS,
        routing_key="moment.*.recovered",
        readers="journeys",
        schema=_event(RecoveredEvent, words.RECOVERED_EVENT, data, None),
        example=examples.recovered_message(templates[0]),
        general=True,
    )
    for template in templates:
        own = _of_template(data, template)
        key = recovered_routing_key(template.type)
        yield Described(
            name=key,
            title=f"{template.title} recovered",
            summary=f"After a raise of {template.title} the customer completed the {template.process} after all.",
            exchange=JOURNEYS,
            routing_key=key,
            readers="journeys",
            schema=_event(RecoveredEvent, words.RECOVERED_EVENT, own, key),
            example=examples.recovered_message(template),
        )


def _profile(template: Template) -> Described:
    data = struct_schema(AudienceProfileData, words.PROFILE_DATA)
    return Described(
        name=AUDIENCE_PROFILE,
        title="Profile of an audience",
        summary="The audience's profile is to be updated: first seen, attributes changed, or a moment raised.",
        exchange=JOURNEYS,
        routing_key=AUDIENCE_PROFILE,
        readers="journeys",
        schema=_event(AudienceProfileEvent, words.PROFILE_EVENT, data, AUDIENCE_PROFILE),
        example=examples.profile_message(template),
    )


def _states(template: Template) -> Iterator[Described]:
    for name, title, summary, exchange, struct, fragments, example, content_type in (
        (
            STATE_CONFIGURATION,
            "State of an audience configuration",
            "The full state of a configuration after a change, or on request.",
            CONFIGURATION,
            ConfigurationState,
            words.CONFIGURATION_STATE,
            examples.configuration_message(),
            _JSON,
        ),
        (
            STATE_TOKEN,
            "State of an API token",
            "The full state of a token after it was made or revoked, or on request.",
            CONFIGURATION,
            TokenState,
            words.TOKEN_STATE,
            examples.token_message(),
            _JSON,
        ),
        (
            STATE_SUPPRESSION,
            "State of a suppression",
            "A customer's signals are to be refused, or taken again; after a change, or on request.",
            CONFIGURATION,
            SuppressionState,
            words.SUPPRESSION_STATE,
            examples.suppression_message(),
            _JSON,
        ),
        (
            STATE_MOMENT,
            "State of a moment",
            "The full state of a moment after a change, or on request.",
            CONFIGURATION,
            MomentState,
            words.MOMENT_STATE,
            examples.moment_state_message(template),
            _JSON,
        ),
        (
            SNAPSHOT_REQUEST,
            "Request for all states",
            "A reader asks config to publish all present states once more.",
            CONFIGURATION,
            SnapshotRequest,
            words.SNAPSHOT_REQUEST,
            examples.snapshot_message(),
            _JSON,
        ),
        (
            SIGNAL_REFUSED,
            "Refused signal",
            "Ingestion refused a signal; trigger can then show it and say why nothing happened.",
            REFUSALS,
            SignalRefused,
            words.SIGNAL_REFUSED,
            examples.refused_message(),
            _JSON,
        ),
        (
            SIGNAL_REPLAY,
            "Replay of a refused signal",
            "Trigger asks ingestion to read a refused signal again, by the keys, domains and catalogue of now.",
            REPLAYS,
            SignalReplay,
            words.SIGNAL_REPLAY,
            examples.replay_message(),
            _JSON,
        ),
        (
            SIGNAL_REPLAYED,
            "Outcome of a replay",
            "Ingestion has read a refused signal again: it is stored now, or still refused.",
            REPLAYED,
            SignalReplayed,
            words.SIGNAL_REPLAYED,
            examples.replayed_message(),
            _JSON,
        ),
        (
            KEY_USED,
            "Use of a key",
            "A key has admitted a request; told by each ingestion process at most once a minute for each key.",
            KEY_USES,
            KeyUsed,
            words.KEY_USED,
            examples.key_used_message(),
            _JSON,
        ),
        (
            "marker",
            "Marker",
            "Trigger's own message through a partition: what lay before it has been applied.",
            PARTITIONS,
            Marker,
            words.MARKER,
            examples.marker_message(),
            MARKER_TYPE,
        ),
        (
            "tombstone",
            "Tombstone",
            "Trigger's own message through a partition: a customer of it is to be erased.",
            PARTITIONS,
            Tombstone,
            words.TOMBSTONE,
            examples.tombstone_message(),
            TOMBSTONE_TYPE,
        ),
        (
            IDENTIFIED,
            "Who an anonymous customer is",
            "A sender told whose an anonymous id is; through the partition of that id.",
            PARTITIONS,
            Identified,
            words.IDENTIFIED,
            examples.identified_message(),
            IDENTIFIED_TYPE,
        ),
        (
            STITCHED,
            "Stitched signals",
            "Signals that came with an anonymous id join their profile; through its partition.",
            PARTITIONS,
            Stitched,
            words.STITCHED,
            examples.stitched_message(),
            STITCHED_TYPE,
        ),
        (
            JOINING,
            "Source of a profile",
            "Ingestion was told whose an anonymous id is; through the partition of that profile.",
            PARTITIONS,
            Joining,
            words.JOINING,
            examples.joining_message(),
            JOINING_TYPE,
        ),
        (
            INQUIRY,
            "Inquiry",
            "Trigger's own message through a partition of anonymous ids, for whose signals raises wait.",
            PARTITIONS,
            Inquiry,
            words.INQUIRY,
            examples.inquiry_message(),
            INQUIRY_TYPE,
        ),
        (
            REPLY,
            "Reply to an inquiry",
            "Trigger's own message behind what has joined the profiles of a partition from another one.",
            PARTITIONS,
            Reply,
            words.REPLY,
            examples.reply_message(),
            REPLY_TYPE,
        ),
        (
            PROFILE_ERASED,
            "Erased customer",
            "Trigger has erased a customer; every service erases what it keeps itself, and answers.",
            ERASURES,
            ProfileErased,
            words.PROFILE_ERASED,
            examples.profile_erased_message(),
            _JSON,
        ),
        (
            ERASURE_DONE,
            "Answer to an erasure",
            "A service has erased a customer from its stores.",
            ERASURES_DONE,
            ErasureDone,
            words.ERASURE_DONE,
            examples.erasure_done_message(),
            _JSON,
        ),
        (
            SPOOL_WORD,
            "Word of a spool",
            "A machine of ingestion that may keep signals back says up to when everything has come through.",
            PARTITIONS,
            SpoolWord,
            words.SPOOL_WORD,
            examples.spool_word_message(),
            SPOOL_WORD_TYPE,
        ),
    ):
        yield Described(
            name=name,
            title=title,
            summary=summary,
            exchange=exchange,
            routing_key="partition.*" if exchange == PARTITIONS else name,
            readers="services",
            schema=struct_schema(struct, fragments),
            example=example,
            content_type=content_type,
        )
