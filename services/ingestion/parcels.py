"""Parcels: a body that brings its key along, as browsers can send it without asking the server first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.ingestion.bodies import Body
from services.ingestion.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Parcel:
    """The key as the header X-Api-Key would have it, and the signals as a batch would."""

    key: str
    body: Body


def read_parcel(body: Body) -> Parcel | Refusal:
    """The parcel in a parsed body. Its `sentAt` is that of every signal without one of its own."""
    value = body.value
    if type(value) is not dict or type(value.get("signals")) is not list:
        reason = 'as text/plain, send {"key": "pk_…", "sentAt": "…", "signals": […]}'
        return Refusal(415, "not_json", reason)
    key, sent_at = value.get("key"), value.get("sentAt")
    if type(key) is not str or not key:
        return Refusal(401, "missing_key", "the member key is missing")
    signals = [_with_clock(signal, sent_at) for signal in value["signals"]]
    return Parcel(key, Body(signals, clean=body.clean))


def _with_clock(signal: Any, sent_at: Any) -> Any:
    if sent_at is None or type(signal) is not dict or signal.get("sentAt") is not None:
        return signal
    return {**signal, "sentAt": sent_at}
