"""Signals: the catalogue and the accepted signal."""

from contracts.signals.catalogue import CATALOGUE, ID_FIELDS, KINDS, PROFILE_FIELDS, SignalKind, Touchpoint
from contracts.signals.event import (
    DATA_SCHEMA,
    Item,
    Key,
    ProfileReference,
    Reference,
    Signal,
    SignalData,
    SignalEvent,
    UnreadableSignal,
    decode_signal,
    default_process_id,
    encode_signal,
    make_signal,
    process_id_of,
    sending_key,
)

__all__ = [
    "CATALOGUE",
    "DATA_SCHEMA",
    "ID_FIELDS",
    "KINDS",
    "PROFILE_FIELDS",
    "Item",
    "Key",
    "ProfileReference",
    "Reference",
    "Signal",
    "SignalData",
    "SignalEvent",
    "SignalKind",
    "Touchpoint",
    "UnreadableSignal",
    "decode_signal",
    "default_process_id",
    "encode_signal",
    "make_signal",
    "process_id_of",
    "sending_key",
]
