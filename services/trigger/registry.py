"""The moments and configurations that a trigger process knows, as the engine reads them."""

from __future__ import annotations

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.templates import Template, templates
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.replay import MomentBook


class Registry:
    """Newest states, and the rule book made of them. Used by the worker's thread alone."""

    def __init__(self, expiry: int, known: dict[str, Template] | None = None):
        self._templates = known if known is not None else templates()
        self.book = MomentBook(self._templates, {}, expiry)
        self.states: dict[str, MomentState] = {}
        self.configurations: dict[str, ConfigurationState] = {}

    def put_moment(self, state: MomentState) -> Moment | None:
        """Take a moment's state; None when it is not newer or cannot have waits (no template, never started)."""
        known = self.states.get(state.id)
        if known is not None and known.version >= state.version:
            return None
        self.states[state.id] = state
        template = self._templates.get(state.type)
        if state.deleted or template is None or not state.history or state.configuration_id is None:
            return self._withdraw(state.id)
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

    def _withdraw(self, moment_id: str) -> Moment | None:
        """A moment that lost its link or was deleted runs no more; its waits are stopped like any other's."""
        known = self.book.moments.get(moment_id)
        if known is None:
            return None
        stopped = Moment(
            id=known.id,
            name=known.name,
            template=known.template,
            configuration=known.configuration,
            running=False,
            run=known.run,
            versions=known.versions,
            settings=known.settings,
        )
        self.book.put(stopped)
        return stopped
