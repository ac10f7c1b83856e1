"""Holding documents against the published JSON Schemas, more strictly than a reader has to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from contracts.times import from_rfc3339

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_utc(value: object) -> bool:
    return not isinstance(value, str) or (value.endswith("Z") and from_rfc3339(value) > 0)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """The validator of a schema, which also checks date-times."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=_formats)


def faults(document: Any, holds: Draft202012Validator) -> list[str]:
    """What is wrong with a document, what it has undeclared included."""
    found = [f"{error.json_path}: {error.message}" for error in holds.iter_errors(document)]
    return [*found, *(f"{path}: undeclared" for path in undeclared(document, holds.schema, holds.schema))]


def undeclared(document: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Paths of members that the schema does not know, except below an object that it leaves open."""
    schema = resolved(schema, root)
    if document is None:
        return
    for option in schema.get("anyOf", ()):
        # Ours are all "this or null".
        yield from () if option == {"type": "null"} else undeclared(document, option, root, path)
    if isinstance(document, dict) and "properties" in schema:
        for name, value in document.items():
            if name in schema["properties"]:
                yield from undeclared(value, schema["properties"][name], root, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(document, list) and "items" in schema:
        for place, value in enumerate(document):
            yield from undeclared(value, schema["items"], root, f"{path}[{place}]")


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, or the definition that it refers to."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: Any = root
    for part in str(reference).removeprefix("#/").split("/"):
        target = target[part]
    return {**target, **{name: value for name, value in schema.items() if name != "$ref"}}


def undescribed(schema: Any, path: str = "$") -> Iterator[str]:
    """Paths of properties, at any depth, that say nothing about themselves."""
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if not inner.get("description", "").endswith("."):
                yield f"{path}.{name}"
        for name, inner in schema.items():
            if name not in ("const", "enum", "examples", "default"):
                yield from undescribed(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for place, inner in enumerate(schema):
            yield from undescribed(inner, f"{path}[{place}]")
