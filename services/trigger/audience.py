"""Keeping the audience: what signals and raises make of its profiles, and telling journeys of it (DOMAIN §7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from contracts.configurations import ConfigurationState
from contracts.events import AUDIENCE_PROFILE, AudienceProfileData, audience_profile_data, encode_profile_event
from contracts.topology import JOURNEYS
from services.trigger.engine.application import ProfileId
from services.trigger.engine.profile import LastMoment, ProfileState
from services.trigger.store.cache import Cache
from services.trigger.store.profiles import LAG, ProfileRow, load_profiles, save_profiles
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.broker import Message
from shared.outbox import Outbox

Configurations = Mapping[str, ConfigurationState]


class RaisedFor(NamedTuple):
    """A raise that was recorded just now, as its profile keeps it."""

    profile_key: bytes
    identity: ProfileId
    partition: int
    moment: LastMoment


class Audience:
    """The profiles of one transaction; those in the worker's cache are true as long as the fence holds."""

    def __init__(self, rows: Rows, outbox: Outbox, configurations: Configurations, cache: Cache) -> None:
        self._rows = rows
        self._outbox = outbox
        self._configurations = configurations
        self._cache = cache
        cache.trim_profiles()

    def take_signals(self, new: Sequence[Arrival]) -> None:
        """Signals that the log took as new: count them; tell of profiles that are new or have other attributes."""
        if not new:
            return
        before = min([arrival.entry.sequence for arrival in new if arrival.entry is not None])
        states = self._states({arrival.profile_key: arrival.profile for arrival in new}, before)
        told: dict[bytes, Arrival] = {}
        quiet: dict[bytes, Arrival] = {}
        for arrival in new:
            assert arrival.entry is not None
            state = states[arrival.profile_key]
            if state.take(arrival.signal, arrival.entry.sequence) or state.version == 0:
                told[arrival.profile_key] = arrival
            elif state.signals - state.saved > LAG:
                quiet[arrival.profile_key] = arrival
        rows = [_row(arrival, states) for arrival in told.values()]
        self._tell(rows, max([arrival.signal.joined_at for arrival in new]))
        save_profiles(self._rows, [*rows, *(_row(each, states) for key, each in quiet.items() if key not in told)])

    def take_raises(self, raised: Collection[RaisedFor], now: int) -> None:
        """Raises were recorded: count them and tell of their profiles."""
        if not raised:
            return
        states = self._states({each.profile_key: each.identity for each in raised})
        rows = {}
        for each in raised:
            state = states[each.profile_key]
            state.take_raise(each.moment)
            rows[each.profile_key] = ProfileRow(each.profile_key, each.identity, each.partition, state)
        self._tell(list(rows.values()), now)
        save_profiles(self._rows, list(rows.values()))

    def _states(self, wanted: Mapping[bytes, ProfileId], before: int | None = None) -> dict[bytes, ProfileState]:
        known = self._cache.profiles
        unknown = {key: identity for key, identity in wanted.items() if key not in known}
        if unknown:
            known.update(load_profiles(self._rows, unknown, before))
        return known

    def _tell(self, changed: Sequence[ProfileRow], at: int) -> None:
        messages: dict[int, list[Message]] = defaultdict(list)
        for each in changed:
            each.state.tell(at)
            event_id, body = encode_profile_event(profile_data(each, self._configurations), each.state.changed_at)
            messages[each.partition].append(
                Message(exchange=JOURNEYS, routing_key=AUDIENCE_PROFILE, body=body, message_id=event_id, optional=True)
            )
        for partition, of_partition in messages.items():
            self._outbox.add(of_partition, partition=partition)


def profile_data(row: ProfileRow, configurations: Configurations) -> AudienceProfileData:
    """What is told of a profile."""
    identity, state = row.identity, row.state
    last = state.moment
    return audience_profile_data(
        configuration=(identity.configuration, configurations.get(identity.configuration)),
        profile=(identity.id_type, identity.profile),
        version=state.version,
        times=(state.first_seen, state.last[0]),
        last_signal=(state.last_type, state.last[2], state.last[3], state.last_site),
        attributes=state.visible(),
        last_moment=None if last is None else (last.moment_id, last.name, last.type, last.raise_id, last.raised_at),
        counts=(state.signals, state.raises),
    )


def _row(arrival: Arrival, states: Mapping[bytes, ProfileState]) -> ProfileRow:
    return ProfileRow(arrival.profile_key, arrival.profile, arrival.partition, states[arrival.profile_key])
