"""Request bodies: gunzipped within a bound and parsed once. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec

from services.ingestion.refusals import Fault, Refusal

LARGEST_BODY = 500_000
LARGEST_BATCH = 4_096_000
"""Of a server's Segment or RudderStack client, which counts on it: RudderStack's own gateway takes as much."""
NO_FAULTS: Mapping[int, tuple[Fault, ...]] = MappingProxyType({})
_GZIP = 31
_MOST_MEMBERS = 16
"""Of a gzip body; clients make one. Thousands of empty ones would each cost as much as the whole rest."""


class Body(msgspec.Struct, frozen=True):
    """A parsed body. `clean`: no string in it can hold a NUL or a lone surrogate, and every number is finite.

    `faults`: what was found wrong in its items before they are read, by their places.
    """

    value: Any
    clean: bool
    faults: Mapping[int, tuple[Fault, ...]] = NO_FAULTS


def gunzip(data: bytes, largest: int = LARGEST_BODY) -> bytes | Refusal:
    """The bytes inside one or more gzip members; what would grow over `largest` is never unpacked."""
    whole = bytearray()
    for _ in range(_MOST_MEMBERS):
        if not data:
            break
        inflater = zlib.decompressobj(_GZIP)
        try:
            whole += inflater.decompress(data, largest + 1 - len(whole))
        except zlib.error:
            return Refusal(400, "malformed", "the body is not valid gzip")
        if len(whole) > largest:
            return Refusal(413, "too_large", f"a body may have at most {largest} bytes, also when unpacked")
        if not inflater.eof:
            return Refusal(400, "malformed", "the gzip body is cut short")
        data = inflater.unused_data
    return Refusal(400, "malformed", f"a gzip body may have at most {_MOST_MEMBERS} members") if data else bytes(whole)


def parse(data: bytes) -> Body | Refusal:
    """The JSON value of UTF-8 bytes; a lone surrogate is left to the signal's own checks, NaN is no JSON."""
    try:
        return Body(msgspec.json.decode(data), clean=b"\\u0000" not in data)
    except RecursionError:
        return Refusal(400, "malformed", "the body is nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_patiently(data)


def _parse_patiently(data: bytes) -> Body | Refusal:
    try:
        return Body(json.loads(data.decode("utf-8-sig"), parse_constant=_refuse), clean=False)
    except RecursionError:
        return Refusal(400, "malformed", "the body is nested too deeply")
    except UnicodeDecodeError:
        return Refusal(400, "malformed", "the body is not UTF-8")
    except ValueError as error:
        return Refusal(400, "malformed", f"the body is not valid JSON: {error}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
