"""Errors as services raise them, and as HTTP shows them: problem documents of RFC 9457."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import marshmallow as ma
import msgspec
from flask import Response

CONTENT_TYPE = "application/problem+json"
_LOCATIONS_OF_BODY = ("json", "json_or_form")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where (JSON pointer into the body, or name of a query parameter) and why."""

    pointer: str
    reason: str
    parameter: str | None = None

    def as_document(self) -> dict[str, str]:
        """`{"pointer": "/domains/0", "reason": "…"}` or `{"parameter": "page", "reason": "…"}`."""
        where = {"pointer": self.pointer} if self.parameter is None else {"parameter": self.parameter}
        return {**where, "reason": self.reason}


class ServiceError(Exception):
    """The request cannot be done.

    The first line of a subclass's docstring is the title. `retry_after`: seconds.
    """

    def __init__(self, detail: str = "", *, faults: Sequence[Fault] = (), retry_after: int | None = None) -> None:
        super().__init__(detail or title_of(type(self)))
        self.detail = detail
        self.faults = tuple(faults)
        self.retry_after = retry_after


def title_of(error: type[Exception]) -> str:
    """The first line of the docstring, without the full stop."""
    return (error.__doc__ or error.__name__).strip().splitlines()[0].rstrip(".")


def type_of(error: type[Exception]) -> str:
    """The `type` of an error's problem document: `urn:moments:problem:status-conflict`."""
    return "urn:moments:problem:" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", error.__name__).lower()


def problem(
    status: int,
    detail: str = "",
    *,
    type: str = "about:blank",
    title: str = "",
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document as a response; `members` are further members of it."""
    document = {"type": type, "title": title or HTTPStatus(status).phrase, "status": status, **members}
    if detail:
        document["detail"] = detail
    if faults:
        document["errors"] = [fault.as_document() for fault in faults]
    return Response(msgspec.json.encode(document), status, headers, content_type=CONTENT_TYPE)


def problem_of(error: ServiceError, status: int) -> Response:
    """The response to an error of a service."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    kind = type(error)
    return problem(status, error.detail, type=type_of(kind), title=title_of(kind), faults=error.faults, headers=headers)


def faults_of(messages: Mapping[str, Any]) -> list[Fault]:
    """The faults in webargs' messages: location → field → … → list of texts."""
    faults: list[Fault] = []
    for location, found in messages.items():
        for path, reason in _leaves(found, ()):
            if location in _LOCATIONS_OF_BODY:
                faults.append(Fault(pointer(path), reason))
            else:
                faults.append(Fault("", reason, parameter=str(path[0]) if path else location))
    return faults


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer of a path (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _leaves(found: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(found, Mapping):
        for name, below in found.items():
            yield from _leaves(below, path if name == "_schema" else (*path, name))
    elif isinstance(found, list | tuple):
        for entry in found:
            yield from _leaves(entry, path)
    else:
        yield path, str(found)


class FaultSchema(ma.Schema):
    """One thing wrong with the request."""

    pointer = ma.fields.String(metadata={"description": "JSON pointer into the body.", "examples": ["/domains/0"]})
    parameter = ma.fields.String(metadata={"description": "Name of a parameter of the query."})
    reason = ma.fields.String(required=True, metadata={"description": "What is wrong, in words."})


class ProblemSchema(ma.Schema):
    """A problem document (RFC 9457)."""

    type = ma.fields.String(required=True, metadata={"format": "uri-reference", "examples": ["about:blank"]})
    title = ma.fields.String(required=True, metadata={"examples": ["Unprocessable Entity"]})
    status = ma.fields.Integer(required=True, metadata={"examples": [422]})
    detail = ma.fields.String(metadata={"description": "What happened this time, in words."})
    errors = ma.fields.List(ma.fields.Nested(FaultSchema), metadata={"description": "Every fault of the request."})
