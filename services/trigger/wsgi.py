"""Entry of gunicorn: `gunicorn 'services.trigger.wsgi:application()'`, with one worker of some threads."""

from __future__ import annotations

import os
import signal
from types import FrameType

from flask import Flask

from services.trigger.api.analytics_views import STREAMS
from services.trigger.api.streams import Streams
from services.trigger.wiring import create_app
from shared.logs import set_up_logs
from shared.settings import Settings


def application() -> Flask:
    """The service with the settings of the environment."""
    settings = Settings.from_environment(os.environ)
    set_up_logs("trigger", settings.log_level)
    app = create_app(settings)
    _end_at_signals(app.extensions[STREAMS])
    return app


def _end_at_signals(streams: Streams) -> None:
    """A stream holds its thread for minutes, and gunicorn waits for its threads: end them when it is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        before = signal.getsignal(number)

        def stop(signum: int, frame: FrameType | None, before: object = before) -> None:
            streams.close()
            if callable(before):
                before(signum, frame)

        signal.signal(number, stop)
