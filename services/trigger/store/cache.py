"""Processes that a worker keeps in memory between transactions, while it owns their partitions."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.trigger.engine.decide import ProcessId
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.profile import ProfileState
from services.trigger.engine.state import Process

MOST_PROFILES = 20_000


@dataclass(slots=True)
class Stored:
    """A process in hand, with its name and place. `kept`: it stands in the database."""

    identity: ProcessId
    profile_key: bytes
    partition: int
    process: Process
    kept: bool


@dataclass(slots=True)
class Owned:
    """The processes of a profile by kind, and the kinds of which all are in hand."""

    keys: dict[str, list[ProcessKey]] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)


class Cache:
    """What was read or written last, profile by profile.

    It is true as long as nobody else writes (the fence) and every transaction commits: after a failed one, and at a
    new session, it must be cleared. Objects in it are changed in place.
    """

    def __init__(self, most: int = MOST_PROFILES):
        self._most = most
        self.stored: dict[ProcessKey, Stored] = {}
        self.owners: dict[bytes, Owned] = {}
        self.profiles: dict[bytes, ProfileState] = {}

    def keep(self, key: ProcessKey, stored: Stored) -> None:
        """A process came to hand."""
        self.stored[key] = stored
        self.owned(stored.profile_key).keys.setdefault(stored.identity.kind, []).append(key)

    def owned(self, profile: bytes) -> Owned:
        """What is in hand of a profile."""
        owned = self.owners.get(profile)
        if owned is None:
            owned = self.owners[profile] = Owned()
        return owned

    def trim(self) -> None:
        """Between transactions: forget the profiles that came to hand first, when there are too many."""
        surplus = len(self.owners) - self._most
        if surplus > 0:
            for profile in list(self.owners)[: surplus + self._most // 10]:
                for keys in self.owners.pop(profile).keys.values():
                    for key in keys:
                        del self.stored[key]

    def trim_profiles(self) -> None:
        """The same for what is known of the profiles themselves."""
        surplus = len(self.profiles) - self._most
        if surplus > 0:
            for profile in list(self.profiles)[: surplus + self._most // 10]:
                del self.profiles[profile]

    def forget_process(self, key: ProcessKey) -> None:
        """A process was deleted."""
        stored = self.stored.pop(key, None)
        if stored is not None:
            self.owned(stored.profile_key).keys[stored.identity.kind].remove(key)

    def forget_profile(self, profile: bytes) -> None:
        """A customer was erased."""
        self.profiles.pop(profile, None)
        owned = self.owners.pop(profile, None)
        for key in [key for keys in owned.keys.values() for key in keys] if owned is not None else ():
            self.stored.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self.profiles.clear()
        self.stored.clear()
        self.owners.clear()
