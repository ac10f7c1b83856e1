"""What a listener to live analytics is told: numbers when they change, and every outcome once (DOMAIN §8).

The tables are looked at twice a second; first at the sums of the latest two days, which change whenever anything is
counted, and at nothing else unless they did. Every event's id is the listener's place in the feed of outcomes: who
comes back with it gets what was decided meanwhile, nothing twice and nothing left out.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from contracts.times import MINUTE
from services.trigger.api.analytics import Analytics, known_moment
from services.trigger.api.analytics_schemas import FiguresSchema
from services.trigger.api.cursors import Number, cursor_place, cursor_text
from services.trigger.api.periods import Period
from services.trigger.api.readings import UnknownMoment, outcome_document
from services.trigger.api.schemas import EventSchema
from services.trigger.store import figures, reading
from services.trigger.store.rollups import FEED_KEPT
from services.trigger.store.rows import Rows
from shared.clock import Clock

_OUTCOMES_AT_ONCE = 200
_AWAY_AT_MOST = FEED_KEPT - MINUTE
_CLOCK_STEP = 2 * MINUTE
_PLACE = tuple[Number, Annotated[dict[Number, Number], msgspec.Meta(max_length=256)]]
"""When, and per partition the sequence of the last outcome in the feed."""

_figures = FiguresSchema()
_outcome = EventSchema()


class Listener:
    """One listener's place and what it knows. `behind`: whether there is more to tell at once."""

    def __init__(self, analytics: Analytics, clock: Clock, moment_id: str, period: Period, last_event_id: str) -> None:
        self._analytics = analytics
        self._clock = clock
        self._moment_id = moment_id
        self._period = period
        self._last_event_id = last_event_id
        self._place: dict[int, int] = {}
        self._points: dict[str, Any] = {}
        self._seen: object = None
        self.behind = False

    def look(self) -> list[bytes]:
        """The events of what has happened since the last look: outcomes as they were decided, then the numbers."""
        now = self._clock.now()
        with self._analytics.snapshot() as rows:
            events = [] if self._place else self._begin(rows, now)
            events += self._outcomes(rows, now)
            return events if self.behind else events + self._numbers(rows, now)

    def _begin(self, rows: Rows, now: int) -> list[bytes]:
        """Find the place in the feed; who was away for too long is told that outcomes are missing."""
        everywhere = dict.fromkeys(reading.partition_numbers(rows), 0)
        then = cursor_place(_PLACE, self._last_event_id)
        if then is not None and now - _AWAY_AT_MOST < then[0] < now + _CLOCK_STEP:
            self._place = {partition: then[1].get(partition, 0) for partition in everywhere}
            return []
        self._place = everywhere | figures.feed_place(rows, self._moment_id)
        return [self._event("reset", {}, now)] if self._last_event_id else []

    def _outcomes(self, rows: Rows, now: int) -> list[bytes]:
        fed = figures.feed_after(rows, self._moment_id, self._place, _OUTCOMES_AT_ONCE)
        self.behind = len(fed) == _OUTCOMES_AT_ONCE
        outcomes = reading.outcomes_by_id(rows, [raise_id for _, _, raise_id in fed])
        names = reading.names_of(rows, outcomes.values())
        events = []
        for sequence, partition, raise_id in fed:
            self._place[partition] = sequence
            if raise_id in outcomes:  # else it has been erased meanwhile
                found = outcomes[raise_id]
                document = _outcome.dump(outcome_document(found, names.get(found.process_key)))
                events.append(self._event("outcome", document, now))
        return events

    def _numbers(self, rows: Rows, now: int) -> list[bytes]:
        """The document with the points that changed, if anything did."""
        window = self._analytics.window(self._period, now)
        seen = (window, figures.latest_counts(rows, self._moment_id, now), figures.first_entry(rows, self._moment_id))
        if seen == self._seen:
            return []
        try:
            state = known_moment(rows, self._moment_id)
        except UnknownMoment:
            return []
        document: dict[str, Any] = _figures.dump(self._analytics.figures(rows, state, window, now))
        points = {point["at"]: point for point in document["series"]}
        document["series"] = [point for at, point in points.items() if self._points.get(at) != point]
        self._seen, self._points = seen, points
        return [self._event("analytics", document, now)]

    def _event(self, name: str, document: dict[str, Any], now: int) -> bytes:
        place = cursor_text((now, self._place))
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (place.encode(), name.encode(), msgspec.json.encode(document))
