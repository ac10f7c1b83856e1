"""A worker's inner parts on a real database, under a clock that the test moves: intake, changes and firing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from contracts.moments import MomentState, SettingsVersion, Status
from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, decode_signal, encode_signal
from contracts.templates import templates
from contracts.times import DAY, to_datetime
from services.trigger.audit import differences
from services.trigger.changes import Changes
from services.trigger.engine.application import profile_of
from services.trigger.engine.membership import membership_of
from services.trigger.firing import fire
from services.trigger.intake import apply_batch
from services.trigger.preview import MOST, Preview, preview
from services.trigger.registry import Registry
from services.trigger.store import records
from services.trigger.store.cache import Cache
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.reading import moment_state, snapshot
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.store import close_database, connected, migrate, open_database

START = 1_790_000_000_000_000


class Killed(Exception):
    """The process ends here."""


class Desk:
    """One worker's place, with one partition.

    `lives`: how many transactions still commit before it is killed; None for any number.
    """

    def __init__(self, database_url: str, start: int = START, *, partition: int = 0) -> None:
        self.partition = partition
        self.database = open_database(database_url, schema="moments_trigger", busy=True)
        migrate(self.database, MIGRATIONS)
        self.rows = Rows(self.database)
        self.clock = ManualClock(start)
        self.state = MomentState(id="m1", version=0)
        self.lives: int | None = None
        self.commits = 0
        self._names = 0
        self.restart()

    def restart(self) -> None:
        """A new process: what was in memory is gone, what was kept is read."""
        self.registry = Registry(DAY)
        self.cache = Cache()
        self.changes = Changes(self.transaction, self.registry, self.cache)
        self.lives = None
        with connected(self.database):
            for state in records.load_moments(self.rows).values():
                self.registry.put_moment(state)

    @property
    def now(self) -> int:
        """The present instant."""
        return self.clock.now()

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One that is rolled back, with the process, when its life is over."""
        try:
            with self.database.atomic():
                yield self.rows
                if self.lives == 0:
                    raise Killed
                self.lives = None if self.lives is None else self.lives - 1
                self.commits += 1
        except BaseException:
            self.cache.clear()
            raise

    def run(self, since: int | None = None, type: str = "cart_abandon", **settings: Any) -> None:
        """The moment starts to run with these settings."""
        since = self.now if since is None else since
        version = SettingsVersion(version=1, since=since, settings={"repeat": "on_change", **settings})
        self.keep(
            MomentState(
                id="m1",
                version=1,
                type=type,
                name="Cart",
                configuration_id="c1",
                status="running",
                running_since=since,
                history=(version,),
            ),
            new_run=True,
        )

    def edited(self, **settings: Any) -> MomentState:
        """The next state, with other settings in force from now; None clears one. It is not yet known here."""
        state = self.state
        merged = {**state.history[-1].settings, **settings}
        values = {name: value for name, value in merged.items() if value is not None}
        version = SettingsVersion(version=state.version + 1, since=self.now, settings=values)
        self.state = msgspec.structs.replace(state, version=state.version + 1, history=(*state.history, version))
        return self.state

    def changed(self, **fields: Any) -> MomentState:
        """The next state with other fields."""
        self.state = msgspec.structs.replace(self.state, version=self.state.version + 1, **fields)
        return self.state

    def keep(self, state: MomentState, *, new_run: bool = False) -> None:
        """Learn of a state and settle it; may be killed in the midst of it."""
        self.state = state
        with connected(self.database):
            records.save_moment(self.rows, state)
            self.registry.put_moment(state)
            self.settle(new_run=new_run)

    def settle(self, *, new_run: bool = False) -> None:
        """Do what the newest state means, as a worker that takes the partition does."""
        moment = self.registry.moment(self.state.id)
        assert moment is not None
        with connected(self.database):
            self.changes.settle(moment, self.state.version, [self.partition], self.now, new_run=new_run)

    def add(self, *profiles: str, kind: str = "cart/add", **given: Any) -> list[Signal]:
        """Signals of carts, one of each profile, as of now; applied."""
        signals = [self.signal(profile, kind, **given) for profile in profiles]
        self.apply(signals)
        return signals

    def signal(
        self,
        profile: str,
        kind: str = "cart/add",
        *,
        at: int | None = None,
        received: int | None = None,
        items: Sequence[Item] = (Item(product_id="p", price=2.5, currency="EUR", category="mugs"),),
        cart: str = "k",
        configuration: str = "c1",
        site: str = "shop.example.com",
    ) -> Signal:
        """A signal, as of now."""
        received = self.now if received is None else received
        self._names += 1
        data = SignalData(
            signal=kind,
            audience_configuration=Reference(configuration, "Shop"),
            audience=Reference("a", "A"),
            profile=ProfileReference("email", profile),
            received_at=to_datetime(received),
            touchpoint="web",
            site=site,
            cart_id=cart,
            items=tuple(items),
        )
        body = encode_signal(id=f"s{self._names:06}", source="shop", time=received if at is None else at, data=data)
        return decode_signal(body)

    def apply(self, signals: Sequence[Signal]) -> None:
        """Take signals in, two thousand to a transaction."""
        with connected(self.database):
            for start in range(0, len(signals), 2000):
                arrivals = [_arrival(signal, self.partition) for signal in signals[start : start + 2000]]
                with self.transaction() as rows:
                    apply_batch(rows, Outbox(self.database, self.clock), arrivals, self.registry, self.now, self.cache)

    def preview(
        self, settings: dict[str, Any] | None = None, *, status: Status | None = None, most: int = MOST
    ) -> Preview:
        """What a change would do; null clears a setting."""
        merged = {**self.state.settings, **(settings or {})}
        wanted = {name: value for name, value in merged.items() if value is not None} if settings else None
        with connected(self.database), snapshot(self.database) as rows:
            state = moment_state(rows, self.state.id)
            assert state is not None
            return preview(rows, state, templates()[state.type], self.now, settings=wanted, status=status, most=most)

    def fire(self) -> int:
        """Decide everything that is ready; how many were raised."""
        raised = 0
        with connected(self.database):
            while True:
                with self.transaction() as rows:
                    outbox = Outbox(self.database, self.clock)
                    fired = fire(rows, outbox, self.registry, {self.partition: self.now}, self.now, self.cache)
                raised += fired.raised
                if not fired.more:
                    return raised

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        with connected(self.database):
            return self.rows.execute(sql, parameters)

    def dues(self) -> list[tuple[int, str]]:
        """The due index: (instant, profile), by instant."""
        sql = "SELECT w.due_at, p.profile FROM waits w JOIN processes p ON p.key = w.process_key ORDER BY 1, 2"
        return [(due, profile) for due, profile in self.read(sql)]

    def outcomes(self) -> list[tuple[str, bool, str, int]]:
        """What was decided: (profile, raised, reason, due), by due."""
        sql = (
            "SELECT p.profile, r.raised, r.reason, r.due_at FROM raises r JOIN processes p ON p.key = r.process_key"
            " ORDER BY r.due_at, p.profile"
        )
        return [(profile, bool(raised), reason, due) for profile, raised, reason, due in self.read(sql)]

    def differences(self) -> list[str]:
        """What the audit finds."""
        with connected(self.database):
            return [str(difference) for difference in differences(self.rows, DAY, self.now)]

    def close(self) -> None:
        """Give the database back."""
        close_database(self.database)


def _arrival(signal: Signal, partition: int) -> Arrival:
    body = encode_signal(id=signal.id, source=signal.source, time=signal.time, data=signal.data)
    return Arrival(partition, signal, body, profile_of(signal), membership_of(signal))
