"""One template over a file of signals: what a moment would have done (issue: `moments backtest`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Signal
from contracts.templates import Template, templates
from contracts.times import DAY
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.replay import MomentBook, Outcome, Replay


def backtest_moment(template: Template, settings: Mapping[str, Any], configuration: str) -> Moment:
    """A moment that has always been running with these (validated) settings."""
    state = MomentState(
        id="backtest",
        version=1,
        type=template.type,
        name=template.title,
        configuration_id=configuration,
        status="running",
        running_since=0,
        history=(SettingsVersion(version=1, since=0, settings=dict(settings)),),
    )
    return compile_moment(state, template)


def run_backtest(
    template: Template,
    settings: Mapping[str, Any],
    signals: Iterable[Signal],
    *,
    configuration: str = "backtest",
    expiry: int = DAY,
) -> Iterator[Outcome]:
    """Every outcome (raised or suppressed) in the order of decision. `signals` come by receivedAt.

    Waits still open after the last signal are run out.
    """
    book = MomentBook(templates(), {}, expiry)
    book.put(backtest_moment(template, settings, configuration))
    replay = Replay(book)
    for signal in signals:
        yield from replay.advance(signal.joined_at)
        replay.receive(signal)
    yield from replay.run_out()
