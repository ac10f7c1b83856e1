"""JSON Schemas of the messages: the structs say which fields there are, the words what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from contracts.configurations import ConfigurationState
from contracts.description import words
from contracts.description.words import Fragment
from contracts.moments import MomentState
from contracts.signals import ID_FIELDS, KINDS, SignalData, SignalKind
from contracts.stitching import Stitched

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SHAPE_WORDS = {"type", "$ref", "anyOf", "enum", "const"}

_NESTED = {
    "Item": words.ITEM,
    "Reference": words.REFERENCE,
    "ProfileReference": words.PROFILE_REFERENCE,
    "KeyState": words.KEY_STATE,
    "SegmentEvent": words.SEGMENT_EVENT,
    "AudienceState": words.AUDIENCE_STATE,
    "SettingsVersion": words.SETTINGS_VERSION,
    "StitchedData": words.STITCHED_DATA,
}
"""Structs inside messages, which become definitions, and their words."""


def struct_schema(
    struct: type[msgspec.Struct], fragments: Mapping[str, Fragment], always: Iterable[str] = ()
) -> dict[str, Any]:
    """The object of a struct; a field without words raises LookupError.

    `always`: fields with a default that every message has nevertheless.
    """
    described = _object(_components(struct)[struct.__name__], fragments)
    described["required"] = [n for n in described["properties"] if n in (*described["required"], *always)]
    return described


def definitions_for(schema: Any) -> dict[str, dict[str, Any]]:
    """The shared shapes that a schema refers to, and those that they refer to."""
    known = _definitions()
    found: dict[str, dict[str, Any]] = {}
    ahead = list(_references(schema))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = known[name]
            ahead += _references(known[name])
    return {name: found[name] for name in known if name in found}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix("#/$defs/")
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _definitions() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = dict(words.DEFINITIONS)
    for struct in (SignalData, ConfigurationState, MomentState, Stitched):
        found |= {name: _object(one, _NESTED[name]) for name, one in _components(struct).items() if name in _NESTED}
    return found


def _components(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema_components((struct,), ref_template="#/$defs/{name}")[1]


def _object(generated: Mapping[str, Any], fragments: Mapping[str, Fragment]) -> dict[str, Any]:
    silent = generated["properties"].keys() - fragments.keys()
    if silent:
        where = f"{generated['title']} has fields without words in contracts/description/words.py"
        raise LookupError(f"{where}: {', '.join(sorted(silent))}")
    properties = {name: _property(one, fragments[name]) for name, one in generated["properties"].items()}
    return {
        "type": "object",
        "description": " ".join(generated["description"].split("\n\n")[0].split()),
        "properties": properties,
        "required": list(generated.get("required", ())),
    }


def _property(generated: Mapping[str, Any], fragment: Fragment) -> dict[str, Any]:
    if _SHAPE_WORDS & fragment.keys():
        return fragment
    plain = {name: value for name, value in generated.items() if name not in ("default", "title")}
    options = [option for option in plain.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        # A field that is None is left out.
        plain = dict(options[0])
    return {**plain, **fragment}


def narrowed(described: Mapping[str, Any], names: Iterable[str], required: Iterable[str]) -> dict[str, Any]:
    """The object with some of its properties, of which more are required."""
    kept = {name: described["properties"][name] for name in names}
    needed = {*described["required"], *required}
    return {**described, "properties": kept, "required": [name for name in kept if name in needed]}


def with_properties(described: Mapping[str, Any], **changes: Mapping[str, Any]) -> dict[str, Any]:
    """The object with more said of some properties."""
    properties = described["properties"]
    return {**described, "properties": properties | {name: {**properties[name], **changes[name]} for name in changes}}


def signal_data(general: Mapping[str, Any], kind: SignalKind) -> dict[str, Any]:
    """`data` of one kind of signal."""
    common = (
        *("signal", "audienceConfiguration", "audience", "profile", "receivedAt", "touchpoint", "keyId"),
        *("anonymousId", "stitchedAt", "site"),
    )
    content = (*kind.fields, *(("items",) if kind.items else ()), "attributes")
    required = (*kind.required, *((kind.id_field,) if kind.id_required and kind.id_field else ()))
    needed = (*required, *(("items",) if kind.needs_item else ()))
    data = narrowed(general, dict.fromkeys((*common, *ID_FIELDS, *content)), needed)
    data = with_properties(data, signal={"const": kind.name}, touchpoint={"enum": list(kind.touchpoints)})
    data["description"] = kind.summary
    return with_properties(data, items={"minItems": 1}) if kind.needs_item else data


def content_schema(process: str, *, bought: bool = False) -> Fragment:
    """`content` of the moments of a kind of process (DOMAIN §7); `bought`: of a cart that was purchased."""
    if bought:
        order = {"orderId": words.SIGNAL_DATA["orderId"]}
        return words.shape("The purchase.", {**order, "items": words.LINES, **words.PRICED}, (*order, *words.PRICED))
    if process == "cart":
        return words.shape("The cart.", {"items": words.LINES, **words.PRICED}, tuple(words.PRICED))
    if process == "browse":
        page = {"url": words.SIGNAL_DATA["url"], "title": words.SIGNAL_DATA["title"]}
        views = words.count("Views of the visit.")
        seen = words.LINES | {"description": "The products seen last, the latest last, without quantities."}
        return words.shape("The visit.", {"views": views, "items": seen, **page}, tuple(page))
    kinds = [kind for kind in KINDS if kind.process == process]
    fields = {name: words.SIGNAL_DATA[name] for kind in kinds for name in kind.fields}
    if any(kind.items for kind in kinds):
        fields |= {"items": words.LINES, **words.PRICED}
    return words.shape("The latest value of each field.", fields, tuple(fields))
