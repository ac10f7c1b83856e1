"""A trigger's database with the worker's steps over it, in one process and without a broker; time is the test's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from contracts.configurations import AudienceState, ConfigurationState
from contracts.events import AUDIENCE_PROFILE, AudienceProfileEvent
from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.signals.event import encode_signal
from contracts.times import DAY, from_rfc3339, to_datetime
from contracts.topology import partition_of
from services.trigger.audit import Difference, differences
from services.trigger.engine.application import profile_of
from services.trigger.engine.membership import membership_of
from services.trigger.engine.profile import ProfileState
from services.trigger.firing import fire
from services.trigger.housekeeping import DUTIES, Duty, House
from services.trigger.intake import apply_batch
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache
from services.trigger.store.keys import profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.profiles import load_profiles
from services.trigger.store.records import make_partitions, save_moment
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.settings import Settings
from shared.store import close_database, migrate, open_database

T0 = from_rfc3339("2026-03-01T12:00:00Z")
CONFIGURATION = ConfigurationState(id="c1", version=1, name="Shop", audience=AudienceState(id="a", name="Customers"))
PARTITIONS = 4
RUN = T0 - DAY
"""Since when the moments have been running."""


def moment(moment_id: str, type: str = "cart_abandon", **settings: Any) -> MomentState:
    """A moment that runs."""
    version = SettingsVersion(version=1, since=RUN, settings=settings)
    return MomentState(
        id=moment_id,
        version=1,
        type=type,
        name=f"Moment {moment_id}",
        configuration_id="c1",
        status="running",
        running_since=RUN,
        history=(version,),
    )


CART = moment("m1", duration="PT1H")


class Shop:
    """A worker over a database. `settings`: spans that differ from the defaults, µs."""

    def __init__(self, url: str, *, moments: Sequence[MomentState] = (CART,), **settings: int) -> None:
        given = Settings.from_environment({"MOMENTS_DATA": "/nowhere", "MOMENTS_PARTITIONS": str(PARTITIONS)})
        self.settings = replace(given, **settings)  # type: ignore[arg-type]
        self.database = open_database(url, schema="moments_trigger")
        migrate(self.database, MIGRATIONS)
        self.database.connect()
        self.rows = Rows(self.database)
        self.clock = ManualClock(T0)
        self.outbox = Outbox(self.database, self.clock)
        self.registry = Registry(self.settings.expiry, attribution=self.settings.attribution)
        self.registry.put_configuration(CONFIGURATION)
        self.cache = Cache()
        self.told = 0
        with self.database.atomic():
            make_partitions(self.rows, PARTITIONS)
            for state in moments:
                self.registry.put_moment(state)
                save_moment(self.rows, state)

    def close(self) -> None:
        """Give the database back."""
        self.database.close()
        close_database(self.database)

    def apply(self, *signals: Signal, now: int | None = None) -> list[AudienceProfileEvent]:
        """Apply a batch; what it told the audience."""
        if now is not None:
            self.clock.set(now)
        arrivals = [
            Arrival(place_of(each), each, body_of(each), profile_of(each), membership_of(each)) for each in signals
        ]
        with self.database.atomic():
            apply_batch(self.rows, self.outbox, arrivals, self.registry, self.clock.now(), self.cache)
        return self.news()

    def fire(self, now: int) -> list[AudienceProfileEvent]:
        """Decide everything that is due; what it told the audience."""
        self.clock.set(now)
        more = True
        while more:
            with self.database.atomic():
                credits = dict.fromkeys(range(PARTITIONS), now)
                more = fire(self.rows, self.outbox, self.registry, credits, now, self.cache).more
        return self.news()

    def keep_house(self, now: int, duties: Sequence[Duty] = DUTIES, owned: Sequence[int] = range(PARTITIONS)) -> None:
        """A whole round of housekeeping, without its rests."""
        self.clock.set(now)
        house = House(self.rows, owned, self.cache, self.registry, self.settings, now)
        for duty in duties:
            steps, going = duty.forget(house), True
            while going:
                with self.database.atomic():
                    going = next(steps, None) is not None

    def news(self) -> list[AudienceProfileEvent]:
        """The audience's messages that came to the outbox since they were looked at."""
        found = self.rows.execute(
            "SELECT id, message_id, body, optional, partition FROM outbox WHERE routing_key = ? AND id > ? ORDER BY id",
            (AUDIENCE_PROFILE, self.told),
        )
        events = [msgspec.json.decode(bytes(row[2]), type=AudienceProfileEvent) for row in found]
        for event, row in zip(events, found, strict=True):
            data = event.data
            name = (data.audience_configuration["id"], data.profile["idType"], data.profile["id"])
            assert event.id == row[1]
            assert (row[3], row[4]) == (1, partition_of(*name, PARTITIONS))
            self.told = row[0]
        return events

    def restart(self) -> None:
        """Forget what is only in memory."""
        self.cache.clear()

    def state(self, profile: str = "ada@example.com") -> ProfileState:
        """What is known of a profile now."""
        identity = profile_of(signal(profile=profile))
        key = profile_key(identity)
        return load_profiles(self.rows, {key: identity})[key]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.rows.execute(f"SELECT count(*) FROM {table}")[0][0])

    def ledger(self) -> dict[tuple[str, str], int]:
        """(moment, counter) → value."""
        found = self.rows.execute("SELECT moment_id, counter, sum(value) FROM ledger GROUP BY moment_id, counter")
        return {(moment_id, counter): int(value) for moment_id, counter, value in found}

    def differences(self) -> list[Difference]:
        """What the audit finds; but nothing is published here, so nothing is known of when it was sent."""
        found = differences(self.rows, self.settings.expiry, self.clock.now())
        return [each for each in found if each.rule != "raises sent = latenesses counted"]


def place_of(made: Signal) -> int:
    """The partition of a signal."""
    return partition_of(made.configuration, made.id_type, made.profile, PARTITIONS)


_numbers = iter(range(10**9))


def signal(
    time: int = T0,
    profile: str = "ada@example.com",
    kind: str = "cart/add",
    *,
    id: str = "",
    configuration: str = "c1",
    received: int | None = None,
    cart: str | None = "k",
    session: str | None = None,
    **attributes: Any,
) -> Signal:
    """A signal of a cart."""
    data = SignalData(
        signal=kind,
        audience_configuration=Reference(configuration, "Shop"),
        audience=Reference("a", "Customers"),
        profile=ProfileReference("email", profile),
        received_at=to_datetime(max(time, T0) if received is None else received),
        touchpoint="web",
        site="shop.example.com",
        cart_id=cart,
        session_id=session,
        product_id="p1" if kind == "product/view" else None,
        order_id="o" if kind.startswith("order/") else None,
        items=(Item(product_id="p1", price=2.5, currency="EUR"),) if kind == "cart/add" else (),
        attributes=attributes,
    )
    return make_signal(id=id or f"s{next(_numbers)}", source="shop", time=time, data=data)


def body_of(made: Signal) -> bytes:
    """The bytes of a signal, as they travel."""
    return encode_signal(id=made.id, source=made.source, time=made.time, data=made.data)
