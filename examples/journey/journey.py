"""A journey that prints what it would do: `python -m examples.journey.journey amqp://user:password@host:5672/`.

It needs pika, msgspec and the folder `contracts/`, and nothing else of this repository. With a URL
`embedded:///path/to/.moments/broker.db` it reads the embedded broker of a `./moments up`; that needs the repository.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from contracts.journeys import PROFILES, RECOVERED, Event, Journey, moment_key, signal_key
from examples.journey.remembering import remembered

QUEUE = "example.journey"


def say(text: str) -> None:
    """One line; a real journey would send an e-mail, call an API, write a row."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def cart_left(event: Event) -> None:
    """A moment of Cart Abandon was raised, by whichever moment of that type."""
    content = event.data["content"]
    names = ", ".join(item.get("name") or item["productId"] for item in content["items"])
    say(f"remind {event.data['profile']['id']} of {names} (raise {event.id}, moment {event.data['moment']['name']})")


def won_back(event: Event) -> None:
    """What a raise was about was completed after all."""
    worth = ", ".join(f"{each['amount']:g} {each.get('currency', '')}".strip() for each in event.data["value"])
    say(f"thank {event.data['profile']['id']} for {worth or 'coming back'} (raise {event.data['raiseId']})")


def survey_begun(event: Event) -> None:
    """An accepted signal: a journey can start without a moment."""
    say(f"greet {event.data['profile']['id']} in the survey {event.data['surveyId']} (signal {event.id})")


def profile_changed(event: Event) -> None:
    """The audience's profile is to be updated; keep the greatest version."""
    say(f"update {event.data['profile']['id']} to version {event.data['version']}")


HANDLERS = {
    moment_key("cart_abandon"): cart_left,
    RECOVERED: won_back,
    signal_key("survey/start"): survey_begun,
    PROFILES: profile_changed,
}


def main() -> None:
    """Read the arguments and take events until Ctrl-C or SIGTERM; what is underway is finished first."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url", help="amqp://user:password@host:5672/ or embedded:///path/to/broker.db")
    arguments.add_argument("--queue", default=QUEUE, help=f"name of the journey's queue [default: {QUEUE}]")
    arguments.add_argument("--memory", type=Path, help="file of the events acted on, so that a restart knows them")
    given = arguments.parse_args()
    if not given.url.startswith(("amqp://", "amqps://", "embedded:")):
        arguments.error("the url begins with amqp://, amqps:// or embedded:")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with remembered(given.memory) as seen:
        run(given.url, Journey(HANDLERS, seen=seen), given.queue, list(HANDLERS), stopping)


def run(url: str, journey: Journey, queue: str, keys: list[str], stopping: threading.Event) -> None:
    """Take events from the broker of a URL until told to stop."""
    if url.startswith("embedded:"):
        from examples.journey import embedded

        embedded.run(url, journey, queue, keys, stopping)
    else:
        from examples.journey import rabbitmq

        rabbitmq.run(url, journey, queue, keys, stopping)


if __name__ == "__main__":
    main()
