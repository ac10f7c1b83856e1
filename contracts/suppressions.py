"""The published state of a customer whose signals are refused: known by a keyed hash, so that it names nobody."""

from __future__ import annotations

import msgspec


class SuppressionState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Readers keep the greatest `version`.

    `id`: the hex hash of `contracts.erasures.subject_of`. `configuration`: its id. `deleted`: signals are taken again.
    """

    id: str
    version: int
    configuration: str
    deleted: bool = False
