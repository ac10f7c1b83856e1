"""The moments and configurations that a trigger process knows, as the engine reads them."""

from __future__ import annotations

from dataclasses import replace

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.templates import Template, templates
from contracts.times import DAY
from services.trigger.engine.moment import Moment, Version, compile_moment
from services.trigger.engine.timing import Timing
from services.trigger.replay import MomentBook


class Registry:
    """Newest states, and the rule book made of them. Used by the worker's thread alone."""

    def __init__(self, expiry: int, known: dict[str, Template] | None = None, *, attribution: int = 7 * DAY):
        self._templates = known if known is not None else templates()
        self.book = MomentBook(self._templates, {}, expiry, attribution)
        self.states: dict[str, MomentState] = {}
        self.configurations: dict[str, ConfigurationState] = {}

    def put_moment(self, state: MomentState) -> Moment | None:
        """Take a moment's state; None when it is not newer or has never been started.

        One that was deleted, lost its link or is of no known template runs no more; its waits are stopped like any
        other's, also when nothing else is known of it: its older state may have gone while they were still pending.
        """
        known = self.states.get(state.id)
        if known is not None and known.version >= state.version:
            return None
        self.states[state.id] = state
        template = self._templates.get(state.type)
        if state.deleted or template is None or not state.history or state.configuration_id is None:
            return self._withdraw(state)
        moment = compile_moment(state, template)
        self.book.put(moment)
        return moment

    def put_configuration(self, state: ConfigurationState) -> None:
        """Take a configuration's state when it is newer."""
        known = self.configurations.get(state.id)
        if known is None or known.version < state.version:
            self.configurations[state.id] = state

    def moment(self, moment_id: str) -> Moment | None:
        """The moment in its newest state, whether or not it runs."""
        return self.book.moments.get(moment_id)

    def _withdraw(self, state: MomentState) -> Moment | None:
        known = self.book.moments.get(state.id)
        if known is not None:
            stopped = replace(known, running=False)
        elif state.deleted or state.running_since is not None:
            stopped = Moment(
                id=state.id,
                name=state.name,
                template=self._templates.get(state.type) or next(iter(self._templates.values())),
                configuration=state.configuration_id or "",
                running=False,
                run=state.running_since or 0,
                versions=(Version(number=0, since=0, timing=Timing(length=0), sites=()),),
                settings={},
            )
        else:
            return None
        self.book.put(stopped)
        return stopped
