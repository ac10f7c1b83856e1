"""What every field of a message means, with its unit: fragments of JSON Schema by struct and field.

A fragment that says what the field is (`type`, `$ref`, …) stands as it is; any other is added to what the struct says.
"""

from __future__ import annotations

from typing import Any

from contracts.moments import STATUSES
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS

Fragment = dict[str, Any]
UTC_TIME = "RFC 3339 in UTC, with milliseconds or microseconds."


def text(description: str, **more: Any) -> Fragment:
    """A string."""
    return {"type": "string", "description": description, **more}


def instant(description: str) -> Fragment:
    """A date-time."""
    return text(f"{description} {UTC_TIME}", format="date-time")


def micros(description: str) -> Fragment:
    """An instant as a number."""
    return {"type": "integer", "description": f"{description} Microseconds since 1970-01-01T00:00:00Z."}


def count(description: str, least: int = 0) -> Fragment:
    """A whole number."""
    return {"type": "integer", "minimum": least, "description": description}


def shape(description: str, properties: dict[str, Fragment], optional: tuple[str, ...] = ()) -> Fragment:
    """An object whose members are required unless they are named optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "description": description, "properties": properties, "required": required}


def nullable(fragment: Fragment, when: str) -> Fragment:
    """The same, or null."""
    return {"description": f"{fragment['description']} null: {when}", "anyOf": [fragment, {"type": "null"}]}


def listing(description: str, items: Fragment, **more: Any) -> Fragment:
    """An array."""
    return {"type": "array", "description": description, "items": items, **more}


ID_TYPES = sorted(PROFILE_FIELDS)
_ID_TYPE = text("How the profile is addressed.", enum=ID_TYPES)
_PROFILE = text(
    "The customer's address of that type, in normal form: an e-mail in lower case, a phone number in E.164."
)
_CURRENCY = text("Code of three capital letters, ISO 4217.", examples=["EUR"])
_AMOUNT = {"type": "number", "minimum": 0, "description": "In units of the currency, as 12.5 for 12.50 EUR."}
_ATTRIBUTES: Fragment = {
    "type": "object",
    "description": "What the sender gave beside the declared fields, as it came.",
}
_SITE = text("The host where it happened, in lower case, as shop.example.com.")


def envelope(*, id: str, source: str, time: str, schema: str) -> dict[str, Fragment]:
    """The attributes of a CloudEvent of ours; `type` is added where it is known."""
    return {
        "specversion": text("The version of CloudEvents.", const="1.0"),
        "id": text(id, minLength=1),
        "source": text(source, minLength=1),
        "type": text("The kind of message; also the routing key.", minLength=1),
        "time": instant(time),
        "datacontenttype": text("How `data` is written.", const="application/json"),
        "dataschema": text("The version of `data`.", const=schema),
        "data": {"description": "What happened."},
    }


ITEM: dict[str, Fragment] = {
    "productId": text("The shop's id of the product."),
    "quantity": {
        "type": "integer",
        "minimum": 0,
        "default": 1,
        "description": "How many pieces; 1 where it is absent.",
    },
    "price": {"type": "number", "minimum": 0, "description": "Of one piece, in units of the currency."},
    "currency": _CURRENCY,
    "name": text("The product's name for people."),
    "category": text("The product's category."),
    "url": text("The address of the product's page."),
    "imageUrl": text("The address of a picture."),
}

SIGNAL_DATA: dict[str, Fragment] = {
    "signal": text("The kind of signal, as cart/add."),
    "audienceConfiguration": {"description": "The configuration whose key sent it."},
    "audience": {"description": "The audience of that configuration."},
    "profile": {"description": "The customer."},
    "receivedAt": instant("When it was taken in."),
    "touchpoint": text("Where it came from, by the key that sent it.", enum=["web", "app", "server"]),
    "keyId": text("The id of the key that sent it, without its secret; absent where it is the source."),
    "anonymousId": text("The anonymous id that it came with, where the customer was known by that alone."),
    "stitchedAt": instant("When it became known whose that id is; absent where it was known at the receipt."),
    "site": _SITE,
    "cartId": text("The cart; without one, the default cart of profile and site."),
    "sessionId": text("The browsing session; without one, the default session of profile and site."),
    "orderId": text("The order."),
    "bookingId": text("The booking."),
    "surveyId": text("The survey."),
    "gameId": text("The game."),
    "conversionId": text("The conversion."),
    "applicationId": text("The app."),
    "productId": ITEM["productId"],
    "name": text("The name for people; of a subscription: of the list, webinar or event."),
    "category": ITEM["category"],
    "price": ITEM["price"],
    "currency": _CURRENCY,
    "url": text("The address of the page."),
    "imageUrl": ITEM["imageUrl"],
    "title": text("The title of the page."),
    "step": {
        "type": ["string", "number"],
        "description": "How far the customer came; a name or a number of the sender.",
    },
    "level": {"type": ["string", "number"], "description": "The level reached; a name or a number of the sender."},
    "version": text("The version of the app."),
    "platform": text("The platform of the app."),
    "items": {"description": "The lines that the signal names: of an add those added, of a replace the whole cart."},
    "attributes": _ATTRIBUTES,
}

SIGNAL_EVENT = envelope(
    id="Given by the sender; with configuration, source and profile it identifies the signal, which may come twice.",
    source="Who says so: given by the sender, else the id of the key.",
    time="When it happened, corrected by the sender's clock where that was given; never after `receivedAt`.",
    schema="evt:signal/v1",
) | {"traceparent": text("W3C trace context, when the sender gave one.")}

REFERENCE: dict[str, Fragment] = {"id": text("Its id."), "name": text("Its name for people; absent when it has none.")}
PROFILE_REFERENCE: dict[str, Fragment] = {"idType": _ID_TYPE, "id": _PROFILE}

_NAMED = {"id": text("Its id."), "name": text("Its name for people; may be empty.")}
MOMENT_REFERENCE = shape(
    "The moment, as it was at the raise.",
    {"id": text("Its id.", format="uuid"), "name": text("Its name for people."), "type": text("Its template.")},
)

DEFINITIONS: dict[str, Fragment] = {
    "Audience": shape("The audience in the marketing platform.", _NAMED),
    "AudienceConfiguration": shape("The audience configuration.", _NAMED),
    "Profile": shape("The customer.", {"idType": _ID_TYPE, "id": _PROFILE}),
    "Amount": shape("An amount in a currency.", {"currency": _CURRENCY, "amount": _AMOUNT}, ("currency",)),
    "Sum": shape("A sum in a currency.", {"currency": nullable(_CURRENCY, "the prices name none."), "amount": _AMOUNT}),
}
"""Shapes that several messages share, beside those of structs."""


def defined(name: str, description: str = "") -> Fragment:
    """A reference to a shared shape."""
    return {"$ref": f"#/$defs/{name}"} | ({"description": description} if description else {})


AUDIENCE: Fragment = {
    "description": "The audience in the marketing platform; null when its configuration is not known to the sender.",
    "anyOf": [defined("Audience"), {"type": "null"}],
}
VALUE = listing("What was bought or booked, by currency; empty when nothing had a price.", defined("Amount"))
LINES = listing("The lines, each product once.", defined("Item"))
PRICED: dict[str, Fragment] = {
    "total": _AMOUNT | {"description": "Sum of quantity × price, when all prices are in one currency."},
    "currency": _CURRENCY | {"description": "The currency of `total`."},
    "totals": listing("The sums instead of `total`, when there are several currencies.", defined("Sum")),
}

MOMENT_DATA: dict[str, Fragment] = {
    "moment": MOMENT_REFERENCE,
    "audienceConfiguration": defined("AudienceConfiguration", "By whose key it came."),
    "audience": AUDIENCE,
    "profile": defined("Profile", "The customer."),
    "site": nullable(_SITE, "no signal named one."),
    "process": shape(
        "What was left or done.",
        {"kind": text("The kind of process."), "id": text("Its id, of the sender or `default:<site>`.")},
    ),
    "content": {"type": "object", "description": "What the signals up to the due amount to."},
    "attributes": _ATTRIBUTES,
    "openedAt": instant("The first signal of the occurrence."),
    "lastActivityAt": instant("Its last signal; of an instant moment the first."),
    "dueAt": instant("When the wait came due."),
    "raisedAt": instant("When it was raised; the same as `time`."),
    "raiseNumber": count("Which occurrence of the process this is, from 1.", 1),
    "signalIds": listing("The ids of the signals of the occurrence, in order.", text("Id of a signal.")),
}

MOMENT_EVENT = envelope(
    id="Of the raise: a UUID (version 5) that every delivery of it has. Deduplicate by it.",
    source="Always moments/trigger.",
    time="When it was raised.",
    schema="evt:moment/v1",
)
MOMENT_EVENT["id"]["format"] = "uuid"

RECOVERED_DATA: dict[str, Fragment] = MOMENT_DATA | {
    "raiseId": text("The id of the moment event that was recovered.", format="uuid"),
    "recoveredAt": instant("When the process was completed; the same as `time`."),
    "recoveredBy": shape(
        "The completing signal.",
        {"source": text("Its source."), "id": text("Its id."), "signal": text("Its kind, as cart/purchase.")},
    ),
    "value": VALUE,
}

RECOVERED_EVENT = envelope(
    id="A UUID (version 5) made of the raise's id: one for each raise that is recovered.",
    source="Always moments/trigger.",
    time="When the process was completed.",
    schema="evt:moment.recovered/v1",
)
RECOVERED_EVENT["id"]["format"] = "uuid"

PROFILE_DATA: dict[str, Fragment] = {
    "audience": AUDIENCE,
    "audienceConfiguration": defined("AudienceConfiguration", "By whose key it came."),
    "profile": defined("Profile", "The customer."),
    "version": count("Rises with every change of the profile: keep the greatest.", 1),
    "firstSeenAt": instant("When the first of its signals happened."),
    "lastSeenAt": instant("When the latest of its signals happened."),
    "lastSignal": {
        "type": "object",
        "description": "The latest signal: type, source, id, time and site.",
        "properties": {
            "type": text("Its kind, as cart/add."),
            "source": text("Its source."),
            "id": text("Its id."),
            "time": instant("When it happened."),
            "site": nullable(_SITE, "it named none."),
        },
        "required": ["type", "source", "id", "time"],
    },
    "attributes": _ATTRIBUTES | {"description": "The latest value of each attribute that a signal carried."},
    "lastMoment": nullable(
        shape(
            "The latest raise.",
            {
                **MOMENT_REFERENCE["properties"],
                "raiseId": text("The id of its moment event."),
                "raisedAt": instant("When it was raised."),
            },
        ),
        "none was raised yet.",
    ),
    "counts": shape(
        "How often, since the profile was first seen.",
        {"signals": count("Signals accepted."), "raises": count("Moments raised.")},
    ),
}

PROFILE_EVENT = envelope(
    id="Identifies this state of the profile; the same one may come more than once.",
    source="Always moments/trigger.",
    time="When the profile changed.",
    schema="evt:audience.profile/v1",
)

KEY_STATE: dict[str, Fragment] = {
    "id": text("The key as it is sent: pk_… of the web, ak_… of an app, sk_… of a server."),
    "type": {"description": "Which touchpoint it is for."},
    "enabled": {"description": "Whether it is listened to."},
    "secretHash": text("Hex HMAC-SHA256 of a server key's secret, keyed with the installation's pepper."),
    "expiresAt": micros("End of the overlap with the key that follows it; absent for a key without end."),
    "kinds": listing(
        "The kinds of signals that it may send, and identify where it may tell who anonymous customers are; absent: all"
        " of its touchpoint.",
        text("A kind, as cart/add, or identify."),
    ),
    "signed": {"description": "Only requests that are signed are taken with it; of server keys alone."},
}
AUDIENCE_STATE: dict[str, Fragment] = {
    "id": text("Its id in the marketing platform."),
    "name": text("Its name for people."),
    "idTypes": listing("How its profiles may be addressed.", text("An idType.", enum=ID_TYPES)),
}
SEGMENT_EVENT: dict[str, Fragment] = {
    "event": text("The name of the event, in any case."),
    "signal": text("The kind of signal that it becomes, as cart/add; absent: none, it is only counted."),
    "items": text("The property that lists its products; a full stop where the properties are one."),
    "fields": {"description": "Field of the signal, of a line as items.<field> → the property it is taken from."},
}
CONFIGURATION_STATE: dict[str, Fragment] = {
    "id": text("Its id.", format="uuid"),
    "version": count("Rises with every change: keep the greatest.", 1),
    "name": text("Its name for people."),
    "audience": {"description": "Whom it updates and targets; absent once it is deleted."},
    "domains": listing(
        "Hosts that may send web signals, in lower-case A-labels.", text("shop.example.com or *.example.com.")
    ),
    "keys": {"description": "All its keys, also those that are not enabled."},
    "consentRequired": {"description": "Only signals that say consent: true are taken."},
    "attributes": listing(
        "The undeclared fields of signals that are kept; absent: all.", text("A name; of lines as items.<name>.")
    ),
    "segmentEvents": {"description": "What events of Segment's API become, beside the declared table."},
    "deleted": {"description": "It was deleted; nothing else is told then."},
}
TOKEN_STATE: dict[str, Fragment] = {
    "id": text("Its id.", format="uuid"),
    "version": count("Rises with every change: keep the greatest.", 1),
    "name": text("Its name for people."),
    "hash": text("Hex HMAC-SHA256 of the token, keyed with the installation's pepper."),
    "scope": {"description": "What it may do: look, change, or administer too."},
    "expiresAt": micros("From then on it is refused; absent for a token without end."),
    "deleted": {"description": "It was revoked."},
}
SETTINGS_VERSION: dict[str, Fragment] = {
    "version": count("The moment's version that brought them.", 1),
    "since": micros("In force from here until the next version."),
    "settings": {"type": "object", "description": "By name, as in the REST API: durations in ISO 8601."},
}
MOMENT_STATE: dict[str, Fragment] = {
    "id": text("Its id.", format="uuid"),
    "version": count("Rises with every change: keep the greatest.", 1),
    "type": text("Its template."),
    "name": text("Its name for people."),
    "description": text("What it is for."),
    "configurationId": text("Its audience configuration; absent for a draft that lost it.", format="uuid"),
    "status": text("Where it stands; draft where it is absent.", enum=list(STATUSES)),
    "runningSince": micros("Its latest start by config's clock; absent before the first."),
    "stoppedAt": micros("When it was stopped since; absent while it runs."),
    "history": {"description": "The settings in force during the retention, oldest first, the present ones last."},
    "deleted": {"description": "It was deleted; nothing else is told then."},
}
SNAPSHOT_REQUEST: dict[str, Fragment] = {"reader": text("Who asks; all readers get the answer.")}
MARKER: dict[str, Fragment] = {
    "partition": count("The partition that it goes through."),
    "nonce": text("Of the trigger process and its connection: only its own markers count for it."),
    "at": micros("The clock before it was published."),
}
SPOOL_WORD: dict[str, Fragment] = {
    "partition": count("The partition that it goes through."),
    "machine": text("Name of the machine; it keeps it with its spool."),
    "number": count("Rises with every word of the machine."),
    "at": micros("All that the machine acknowledged before stands in the partitions before this message."),
    "waiting": count("Signals that it keeps back, about."),
    "leaving": {"type": "boolean", "description": "It keeps nothing back until it speaks again."},
    "nonce": text("Empty: who knows no words takes this for a marker of another."),
}
SIGNAL_REFUSED_FAULTS: Fragment = listing(
    "What was wrong, up to five; absent when nothing in particular.",
    listing("A JSON pointer into the signal, and the reason.", {"type": "string"}, minItems=2, maxItems=2),
)

IDENTIFIED: dict[str, Fragment] = {
    "configuration": text("The id of the audience configuration."),
    "anonymous": text("The anonymous id."),
    "idType": text("How the customer is addressed.", enum=ID_TYPES),
    "profile": text("The customer's address, in normal form."),
    "time": micros("When that was so, by the sender's clock as it was corrected."),
    "at": micros("When it was received."),
}
_NO_NONCE = text("Empty: who does not know this message takes it for a marker of another.")
JOINING: dict[str, Fragment] = {
    "partition": count("The partition of the profile, that it goes through."),
    "configuration": text("The id of the audience configuration."),
    "idType": text("How the customer is addressed.", enum=ID_TYPES),
    "profile": text("The customer's address, in normal form."),
    "source": count("The partition of the anonymous id."),
    "at": micros("When that was received."),
    "nonce": _NO_NONCE,
}
INQUIRY: dict[str, Fragment] = {
    "partition": count("The partition of anonymous ids, that it goes through."),
    "asker": count("The partition of profiles in which raises wait for the reply."),
    "at": micros("The clock before it was published."),
    "epoch": count("Of the partition that it goes through, as the asker knew it."),
    "nonce": _NO_NONCE,
}
REPLY: dict[str, Fragment] = {
    "partition": count("The partition of profiles, that it goes through."),
    "source": count("The partition of anonymous ids that it speaks of."),
    "at": micros("Of the inquiry that it answers."),
    "until": micros("What the source received before stands in the partition before this message."),
    "nonce": _NO_NONCE,
}
STITCHED: dict[str, Fragment] = {"data": {"description": "Whose signals they are, and the signals."}}
STITCHED_DATA: dict[str, Fragment] = {
    "audienceConfiguration": {"description": "The configuration whose key sent them."},
    "profile": {"description": "The customer."},
    "signals": listing("Accepted signals of the customer, as they travel themselves.", {"type": "object"}),
}
SIGNAL_REFUSED: dict[str, Fragment] = {
    "id": text("Of this message."),
    "at": micros("When the signal was received."),
    "status": count("The HTTP status that the sender got, from 400.", 400),
    "code": text("The reason as a word, as the sender was told."),
    "reason": text("The reason in words, as the sender was told."),
    "configuration": text("The id of the audience configuration that was to get it; empty where its key is unknown."),
    "faults": SIGNAL_REFUSED_FAULTS,
    "kind": text("The kind of signal, as far as it was named."),
    "time": micros("When it happened, as it was sent; absent when it could not be read."),
    "source": text("Its source, as far as it could be read."),
    "signal": text("Its id, as far as it could be read."),
    "site": text("Its site, as far as it could be read."),
    "idType": text("How the profile was addressed; absent, like the profile, when it could not be read."),
    "profile": text("The customer's address, in normal form."),
    "key": text("The id of the key that it came with, never its secret; of an unknown key the first characters."),
    "origin": text("The Origin of the request, as its header said; absent when it had none."),
    "sent": text("The signal as it was read, as JSON text without secrets; absent when it is not kept."),
    "unkept": text("Why it is not kept, as a word; absent when it is, and in messages of older versions."),
    "final": {"type": "boolean", "description": "No replay can mend it: what was wrong does not stand in `sent`, say."},
}

SIGNAL_REPLAY: dict[str, Fragment] = {
    "replay": text("The id of the request for replays that it belongs to."),
    "refusal": text("The id of the message by which its refusal was told."),
    "at": micros("When the signal was received, and refused."),
    "configuration": text("The id of the audience configuration that is to get it."),
    "key": text("The id of the key that it came with."),
    "sent": text("The signal as it was read, as JSON text."),
    "kind": text("The kind of signal, as far as it was named."),
    "origin": text("The Origin of the request that brought it; absent when it had none."),
}

SIGNAL_REPLAYED: dict[str, Fragment] = {
    "replay": text("The id of the request for replays that it belonged to."),
    "refusal": text("The id of the message by which its refusal was told."),
    "at": micros("When the signal was read again."),
    "status": count("200 when it is stored; else the HTTP status that a sender would get now.", 200),
    "code": text("The reason as a word, when it is still refused."),
    "reason": text("The reason in words, when it is still refused."),
    "faults": SIGNAL_REFUSED_FAULTS,
}

KEY_USED: dict[str, Fragment] = {
    "key": text("The id of the key, without its secret."),
    "at": micros("When the latest request that it admitted was received."),
}

SUPPRESSION_STATE: dict[str, Fragment] = {
    "id": text("A hash of configuration, idType and profile, keyed with the installation's pepper: it names nobody."),
    "version": count("Rises with every change: keep the greatest.", 1),
    "configuration": text("The id of the audience configuration."),
    "deleted": {"description": "The customer's signals are taken again."},
}
TOMBSTONE: dict[str, Fragment] = {
    "erasure": text("The id of the erasure; it names nobody.", format="uuid"),
    "partition": count("The partition that it goes through."),
}
PROFILE_ERASED: dict[str, Fragment] = {
    "erasure": text("The id of the erasure, for the answer.", format="uuid"),
    "at": micros("All that was received by then is meant."),
    "configuration": text("The id of the audience configuration."),
    "idType": text(
        "How the customer is addressed; anonymous: a visitor, by an anonymous id.", enum=sorted([*ID_TYPES, ANONYMOUS])
    ),
    "profile": text("The customer's address, in normal form."),
    "suppress": {"description": "Signals of the customer are to be refused from now on."},
}
ERASURE_DONE: dict[str, Fragment] = {
    "erasure": text("The id of the erasure.", format="uuid"),
    "reader": text("The service that has erased what it kept."),
    "at": micros("When it was done."),
    "counts": {"type": "object", "description": "Store: how many rows went.", "additionalProperties": count("Rows.")},
}
