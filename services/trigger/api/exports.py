"""An export: all that is kept of a customer as one JSON document, written while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from contracts.times import to_rfc3339
from services.trigger.api.erasures import UnknownConfiguration
from services.trigger.engine.application import ProfileId
from services.trigger.store.exporting import SECTIONS, Page, known, pages
from services.trigger.store.records import load_configurations
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.store import connected

_encode = msgspec.json.Encoder().encode


class Exports:
    """Writes exports, for one request at a time per thread; nothing is held between two pages."""

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def export(self, profile: ProfileId) -> Iterator[bytes]:
        """The document in parts; raises UnknownConfiguration before the first."""
        with connected(self._rows.database):
            states = load_configurations(self._rows)
            state = states.get(profile.configuration)
            if state is None:
                raise UnknownConfiguration
            head: dict[str, object] = {
                "exportedAt": to_rfc3339(self._clock.now()),
                "audienceConfiguration": {"id": state.id, "name": state.name},
                "profile": {"idType": profile.id_type, "id": profile.profile},
                "known": known(self._rows, profile),
            }
        return self._written(head, profile)

    def _written(self, head: dict[str, object], profile: ProfileId) -> Iterator[bytes]:
        yield _encode(head)[:-1]
        for name, section in SECTIONS:
            yield b"," + _encode(name) + b":["
            for number, document in enumerate(pages(section, profile, self._read)):
                yield (b"," if number else b"") + _encode(document)
            yield b"]"
        yield b"}\n"

    def _read(self, page: Callable[[Rows], Page]) -> Page:
        with connected(self._rows.database):
            return page(self._rows)
