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
NO_FAULTS: Mapping[int, tuple[Fault, ...]] = MappingProxyType({})
_GZIP = 31


class Body(msgspec.Struct, frozen=True):
    """A parsed body. `clean`: no string in it can hold a NUL or a lone surrogate, and every number is finite.

    `faults`: what was found wrong in its items before they are read, by their places.
    """

    value: Any
    clean: bool
    faults: Mapping[int, tuple[Fault, ...]] = NO_FAULTS


def gunzip(data: bytes) -> bytes | Refusal:
    """The bytes inside one or more gzip members; what would grow over the bound is never unpacked."""
    whole = bytearray()
    while data:
        inflater = zlib.decompressobj(_GZIP)
        try:
            whole += inflater.decompress(data, LARGEST_BODY + 1 - len(whole))
        except zlib.error:
            return Refusal(400, "malformed", "the body is not valid gzip")
        if len(whole) > LARGEST_BODY:
            return Refusal(413, "too_large", f"a body may have at most {LARGEST_BODY} bytes, also when unpacked")
        if not inflater.eof:
            return Refusal(400, "malformed", "the gzip body is cut short")
        data = inflater.unused_data
    return bytes(whole)


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
