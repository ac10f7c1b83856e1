"""Anonymous ids in Segment's calls: whose signals are held, and who an anonymous customer is told to be."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS, ANONYMOUS_FIELD, LONGEST_ANONYMOUS_ID, Identified
from contracts.times import MINUTE
from services.ingestion.admission import Listener
from services.ingestion.minimisation import consents
from services.ingestion.reading import is_text, time_of
from services.ingestion.segment.mapping import clock_of, consent_of, profile_of

IDENTIFYING = ("identify", "alias")
"""Calls that say who somebody is; the others say it beside what they are about, over and over."""
_REMEMBERED = 20_000
_REPEATED_WITHIN = 10 * MINUTE


def anonymous_profile(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The customer of a call as a signal names them, where the call has an anonymous id."""
    name = _name(message.get(ANONYMOUS_FIELD))
    return None if name is None else {"idType": ANONYMOUS, ANONYMOUS_FIELD: name}


def people_told(
    message: Mapping[str, Any], call: str, sent_at: Any, listener: Listener, received_at: int
) -> Iterator[Identified]:
    """Who the anonymous customers of a call are: by its user or traits, never by what else it speaks of.

    `alias` says that what was sent under its previous id is of its user. Nothing without the consent that it needs.
    """
    if listener.consent_required and not consents(consent_of(message)):
        return
    profile = _profile(profile_of({**message, "properties": None}, listener.id_types))
    if profile is None:
        return
    time = time_of({**clock_of(message, sent_at), "id": "-", "data": None}, received_at)
    names = [message.get(ANONYMOUS_FIELD), *([message.get("previousId")] if call == "alias" else [])]
    for name in dict.fromkeys(filter(None, map(_name, names))):
        yield Identified(
            configuration=listener.id,
            anonymous=name,
            id_type=profile[0],
            profile=profile[1],
            time=received_at if time is None else time,
            at=received_at,
        )


class Known:
    """Whom anonymous customers were told to be lately, so that it is not told with every call. One per process.

    Only what the broker has confirmed may be noted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._people: OrderedDict[tuple[str, str], Identified] = OrderedDict()

    def is_known(self, identified: Identified) -> bool:
        """Whether the same was told a moment ago."""
        with self._lock:
            known = self._people.get((identified.configuration, identified.anonymous))
        return (
            known is not None
            and (known.id_type, known.profile) == (identified.id_type, identified.profile)
            and known.time <= identified.time
            and identified.at - known.at < _REPEATED_WITHIN
        )

    def note(self, told: Iterable[Identified]) -> None:
        """It has been told; the oldest are forgotten."""
        with self._lock:
            for identified in told:
                key = (identified.configuration, identified.anonymous)
                self._people[key] = identified
                self._people.move_to_end(key)
            while len(self._people) > _REMEMBERED:
                self._people.popitem(last=False)


def _profile(named: Mapping[str, Any] | None) -> tuple[str, str] | None:
    if named is None:
        return None
    id_type = named["idType"]
    value = named[PROFILE_FIELDS[id_type]]
    if isinstance(value, str) and not is_text(value):
        return None
    try:
        return id_type, normalise_profile(id_type, value)
    except InvalidProfile:
        return None


def _name(value: Any) -> str | None:
    """An anonymous id; None where there is none, or where no database could hold it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    named = isinstance(value, str) and 1 <= len(value) <= LONGEST_ANONYMOUS_ID and is_text(value)
    return value if named else None
