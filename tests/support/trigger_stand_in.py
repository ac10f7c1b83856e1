"""What config asks trigger for, answered over HTTP with documents of trigger's own schemas; without a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response

from contracts.times import to_rfc3339
from services.trigger.api.analytics_schemas import OverviewSchema
from shared.problems import problem
from tests.support.serving import served


@dataclass(slots=True)
class TriggerStandIn:
    """`numbers`: moment → (raised by the hour, waiting). `kinds`: kind of signal → µs; None: no such resource yet.

    `hold`: set it and every answer waits for it.
    """

    as_of: int
    port: int = 0
    numbers: dict[str, tuple[list[int], int]] = field(default_factory=dict)
    kinds: dict[str, int] | None = None
    refuses: int | None = None
    hold: threading.Event | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def overview(self) -> Any:
        """`GET /api/v1/moments/analytics`."""
        return self._answer("overview", OverviewSchema().dump(self._overview()))

    def received(self) -> Any:
        """`GET /api/v1/signals/kinds`."""
        if self.kinds is None:
            return problem(404)
        items = [
            {"kind": kind, "configurationId": "c", "lastReceivedAt": to_rfc3339(at)} for kind, at in self.kinds.items()
        ]
        return self._answer("kinds", {"items": items})

    def preview(self, moment_id: str) -> Any:
        """`POST /api/v1/moments/<id>/preview`: all waits are suppressed."""
        waiting = self.numbers.get(moment_id, ([], 0))[1]
        numbers = dict.fromkeys(("moved", "earlier", "later", "dueAtOnce"), 0)
        expected = {"before": 0, "after": 0}
        return self._answer(
            "preview",
            {
                **numbers,
                "asOf": "2026-11-26T10:00:00Z",
                "pending": waiting,
                "suppressed": waiting,
                "spreadUntil": None,
                "raisesInNextHour": expected,
                "exact": True,
            },
        )

    def _overview(self) -> dict[str, Any]:
        items = [
            {
                "moment_id": moment,
                "type": "cart_abandon",
                "status": "running",
                "pending": waiting,
                "raised": sum(hours),
                "raised_by_hour": hours,
            }
            for moment, (hours, waiting) in self.numbers.items()
        ]
        return {"as_of": self.as_of, "start": self.as_of, "items": items}

    def _answer(self, name: str, document: Any) -> Response | Any:
        self.asked.append(name)
        if self.hold is not None:
            self.hold.wait(30)
        return document if self.refuses is None else problem(self.refuses)


@contextmanager
def standing_in(as_of: int) -> Iterator[TriggerStandIn]:
    """A stand-in that listens on a free port."""
    stand_in = TriggerStandIn(as_of)
    app = Flask("trigger")
    app.add_url_rule("/api/v1/moments/analytics", "overview", stand_in.overview)
    app.add_url_rule("/api/v1/signals/kinds", "kinds", stand_in.received)
    app.add_url_rule("/api/v1/moments/<moment_id>/preview", "preview", stand_in.preview, methods=["POST"])
    with served(app) as port:
        stand_in.port = port
        yield stand_in
