"""Programs that use a broker and are meant to be killed: `python -m tests.support.broker_programs NAME URL QUEUE`.

Each prints one line per event, flushed, so that a test can act on what has really happened.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import structlog

from shared.broker import Message, connect_broker
from shared.clock import SystemClock

ROOT = Path(__file__).parents[2]


def start(name: str, url: str, queue: str) -> subprocess.Popen[str]:
    """Start a program of this module; its caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.broker_programs", name, url, queue],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def hold(url: str, queue: str) -> None:
    """Receive for ever and acknowledge nothing; prints the message ids."""
    consumer = connect_broker(url, SystemClock()).consumer([queue])
    while True:
        for delivery in consumer.receive(100, 1.0):
            _say(delivery.message_id)


def publish(url: str, queue: str) -> None:
    """Publish 0, 1, 2, … straight to the queue, a hundred at a time; prints each once it is confirmed."""
    publisher = connect_broker(url, SystemClock()).publisher()
    number = 0
    while True:
        batch = [
            Message(exchange="", routing_key=queue, body=b"%d" % each, message_id=str(each))
            for each in range(number, number + 100)
        ]
        for future in publisher.publish_all(batch):
            future.result(60)
            _say(number)
            number += 1


def fork(url: str, queue: str) -> None:
    """Make the publisher before a fork, as a server that preloads does, and publish in parent and child."""
    broker = connect_broker(url, SystemClock())
    publisher = broker.publisher()
    child = os.fork()
    name = "child" if child == 0 else "parent"
    publisher.publish(Message(exchange="", routing_key=queue, body=b"", message_id=name)).result(60)
    broker.close()
    if child:
        os.waitpid(child, 0)
        _say("done")


def overfill(url: str, queue: str) -> None:
    """Publish what does not fit on the disk, for which a limit on the size of files stands; prints what came of it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    message = Message(exchange="", routing_key=queue, body=b"x" * 1_000_000, message_id="too large")
    error = connect_broker(url, SystemClock()).publisher().publish(message).exception(60)
    _say(type(error).__name__)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    {"hold": hold, "publish": publish, "fork": fork, "overfill": overfill}[sys.argv[1]](*sys.argv[2:])
