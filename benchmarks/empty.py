"""An endpoint that publishes the body, waits for the confirm and does nothing else: the limit of the HTTP figures."""

from __future__ import annotations

import os
from itertools import count

from flask import Flask, Response, request

from benchmarks.workload import CONFIGURATION, SIZE
from contracts.topology import SIGNALS, moments_topology, partition_key, partition_of
from shared.broker import Message, connect_broker
from shared.clock import SystemClock
from shared.settings import Settings

_CONFIRMED_WITHIN = 5.0


def application() -> Flask:
    """What gunicorn starts. Each `SIZE` bytes of a body are a message, which goes where a signal goes."""
    app = Flask("empty")
    settings = Settings.from_environment(os.environ)
    topology = moments_topology(settings.partitions)
    publisher = connect_broker(settings.broker_url, SystemClock()).publisher(topology)
    numbers = count()

    def message(body: bytes) -> Message:
        number = str(next(numbers))
        partition = partition_of(CONFIGURATION, "email", number, settings.partitions)
        copies = (partition_key(partition),)
        return Message(
            exchange=SIGNALS, routing_key="signal.cart.add", body=body, message_id=number, hidden_copies=copies
        )

    @app.post("/<path:path>")
    def take(path: str) -> Response:  # noqa: ARG001 - Flask hands it over
        body = request.get_data(cache=False)
        parts = [body[at : at + SIZE] for at in range(0, max(1, len(body) - SIZE // 2), SIZE)]
        for future in publisher.publish_all([message(part) for part in parts]):
            future.result(_CONFIRMED_WITHIN)
        return Response(b"{}", 200, content_type="application/json")

    return app
