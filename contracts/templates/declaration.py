"""What a template declares: rule, signals, settings with bounds, texts (DOMAIN §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Rule = Literal["inactivity", "instant"]
SettingType = Literal["duration", "integer", "choice", "choices", "money", "texts", "sites", "quiet_hours"]
Effect = Literal["opens", "slides", "ends", "completes"]
Purpose = Literal["win_back", "welcome", "thank", "goodbye"]
OncePer = Literal["process", "order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. `default`, `minimum` and `maximum` are as in the API (durations in ISO 8601)."""

    name: str
    type: SettingType
    label: str
    help: str
    applies: Literal["timing", "opening", "raise"]
    default: Any = None
    minimum: Any = None
    maximum: Any = None
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A kind of moment. Signals are named by path (`cart/add`).

    `rule`: `inactivity` (duration after the last activity) or `instant` (delay after the first signal).
    `needs_content`: a process whose content is empty neither opens nor raises, and emptying it ends (carts).
    `revisit`: µs; after an ender, an opening signal within this time of the process's last signal opens nothing.
    `once_per`: instant only; `process`: at most one raise for each process; `order`: for each orderId, and for a
    purchase without one, once for each cart until one of `reopens` opens it again.
    """

    type: str
    title: str
    icon: str
    purpose: Purpose
    goal: str
    description: str
    sentence: str
    rule: Rule
    process: str
    opens: tuple[str, ...]
    slides: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    completes: tuple[str, ...] = ()
    needs_content: bool = False
    revisit: int = 0
    once_per: OncePer | None = None
    reopens: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    effects: Mapping[str, Effect] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kinds: tuple[Effect, ...] = ("opens", "slides", "ends", "completes")
        effects = {signal: effect for effect in kinds for signal in getattr(self, effect)}
        object.__setattr__(self, "effects", MappingProxyType(effects))

    def effect(self, signal: str) -> Effect | None:
        """What a kind of signal does to a wait of this template, or None."""
        return self.effects.get(signal)

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal with an effect."""
        return self.opens + self.slides + self.ends + self.completes

    def setting(self, name: str) -> Setting | None:
        """The setting of that name."""
        return next((setting for setting in self.settings if setting.name == name), None)
