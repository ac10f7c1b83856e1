"""What is known of a customer: the fold of all signals and raises of a profile, in whatever order they come."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.signals import Key, Signal

MOST_ATTRIBUTES = 100
LONGEST_NAME = 100
LONGEST_VALUE = 500
"""Bounds of what is kept of the signals' attributes: how many, characters of a name, bytes of a value as JSON."""

_encoder = msgspec.json.Encoder()


class Attribute(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A value and the signal that said it. `value` None: it was taken back; kept, so that no older one returns."""

    value: Any
    said: Key


class LastMoment(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The latest raise: of which moment, its id, when it was raised (µs)."""

    raised_at: int
    raise_id: str
    moment_id: str
    name: str
    type: str


class ProfileState(msgspec.Struct, array_like=True, gc=False):
    """A profile of an audience configuration. Instants in µs.

    `last`: the greatest key of its signals (DOMAIN §6.1), `last_type`, `last_site` of that signal. `through`: the
    place in the signal log up to which its signals are in here. `saved`: `signals` when it was last written.
    `version`: rises with each change that is told, also when the profile was forgotten in between; 0: none was.
    """

    first_seen: int = 0
    last: Key = (0, 0, "", "")
    last_type: str = ""
    last_site: str | None = None
    attributes: dict[str, Attribute] = {}
    moment: LastMoment | None = None
    signals: int = 0
    raises: int = 0
    version: int = 0
    changed_at: int = 0
    through: int = 0
    saved: int = 0

    def take(self, signal: Signal, sequence: int) -> bool:
        """Count a signal that was not counted before; whether the attributes that can be seen changed."""
        if self.signals == 0 or signal.time < self.first_seen:
            self.first_seen = signal.time
        if signal.key > self.last:
            self.last = signal.key
            self.last_type = signal.kind.name
            self.last_site = signal.data.site
        self.signals += 1
        self.through = max(self.through, sequence)
        changed = False
        for name, value in signal.data.attributes.items():
            changed |= self._say(name, value, signal.key)
        return changed

    def take_raise(self, moment: LastMoment) -> None:
        """A moment was raised for the profile."""
        self.raises += 1
        if self.moment is None or moment.raised_at >= self.moment.raised_at:
            self.moment = moment

    def tell(self, at: int) -> None:
        """The change is told: give the profile its next version, at an instant (µs)."""
        self.version = max(self.version + 1, self.through)
        self.changed_at = max(self.changed_at, at)

    def visible(self) -> dict[str, Any]:
        """The attributes that stand, by name."""
        return {name: said.value for name, said in sorted(self.attributes.items()) if said.value is not None}

    def _say(self, name: str, value: Any, key: Key) -> bool:
        """Take an attribute, unless a newer signal said it; whether what can be seen changed."""
        known = self.attributes.get(name)
        before = None if known is None else known.value
        same = type(value) is type(before) and bool(value == before)
        if known is not None and key < known.said:
            return False
        if not same and (len(name) > LONGEST_NAME or len(_encoder.encode(value)) > LONGEST_VALUE):
            return False
        if known is None and len(self.attributes) >= MOST_ATTRIBUTES and not self._make_room(key, name):
            return False
        self.attributes[name] = Attribute(value, key)
        return not same

    def _make_room(self, key: Key, name: str) -> bool:
        """Drop the attribute that was said first, if that was before a new one."""
        oldest = min(self.attributes, key=lambda each: (self.attributes[each].said, each))
        if (key, name) < (self.attributes[oldest].said, oldest):
            return False
        del self.attributes[oldest]
        return True
