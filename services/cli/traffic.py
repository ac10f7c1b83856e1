"""Sends the invented visitors' signals over HTTP as a web page would: web key, Origin, one request each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from contracts.times import SECOND, to_rfc3339
from services.cli.options import Url
from services.cli.rest import Client, NoAnswer
from services.cli.shoppers import SITE, Action, Shoppers
from shared.clock import Clock, SystemClock

_TRIES = 20


@dataclass(slots=True)
class Traffic:
    """Plays visitors against ingestion at their own pace. `known`: ingestion has learned of the key."""

    client: Client
    clock: Clock
    pause: Callable[[float], None]
    say: Callable[[str], None]
    known: bool = False

    def play(self, shoppers: Shoppers) -> None:
        """Send until the process ends."""
        start = self.clock.now()
        for action in shoppers.actions():
            ahead = start + int(action.at * SECOND) - self.clock.now()
            if ahead > 0:
                self.pause(ahead / SECOND)
            self.send(action)

    def send(self, action: Action) -> None:
        """Send one signal; a page tries again for a while when ingestion does not answer, with the same id."""
        signal: dict[str, object] = {
            "specversion": "1.0",
            "type": "event.signal",
            "dataschema": "evt:signal/v1",
            "id": action.id,
            "time": to_rfc3339(self.clock.now()),
            "data": action.data,
        }
        for _ in range(_TRIES):
            reason = self._try(action.signal, signal)
            if reason is None:
                return
            self.say(f"not taken, trying again: {reason}")
            self.pause(1.0)

    def _try(self, kind: str, signal: dict[str, object]) -> str | None:
        """Why it is to be sent again, or None."""
        try:
            answer = self.client.call("POST", f"/v1/signals/{kind}", signal)
        except NoAnswer as error:
            return str(error)
        if answer.status in (429, 503) or (answer.status in (401, 403) and not self.known):
            return answer.reason()
        self.known = True
        if answer.status >= 400:
            self.say(f"{kind} was refused ({answer.status}): {answer.reason()}")
        return None


@click.command(name="demo-traffic", hidden=True)
@click.option("--url", type=Url(), required=True)
@click.option("--seed", type=int, default=1, show_default=True)
def demo_traffic(url: str, seed: int) -> None:
    """Send the demo's shop traffic; the web key comes in MOMENTS_DEMO_KEY."""
    key = os.environ.get("MOMENTS_DEMO_KEY")
    if not key:
        raise click.UsageError("MOMENTS_DEMO_KEY holds the web key.")
    clock = SystemClock()
    client = Client(url, {"X-Api-Key": key, "Origin": f"https://{SITE}"}, timeout=10.0)
    Traffic(client, clock, time.sleep, click.echo).play(Shoppers(seed, run=str(clock.now() // SECOND)))
