"""Entry of gunicorn: `gunicorn 'services.trigger.wsgi:application()'`, with one worker of some threads."""

from __future__ import annotations

import os

from flask import Flask

from services.trigger.api.analytics_views import STREAMS
from services.trigger.api.streams import Streams
from services.trigger.wiring import create_app
from shared.listeners import end_at_signals
from shared.logs import set_up_logs
from shared.settings import Settings


def application() -> Flask:
    """The service with the settings of the environment."""
    settings = Settings.from_environment(os.environ)
    set_up_logs("trigger", settings.log_level)
    app = create_app(settings)
    streams: Streams = app.extensions[STREAMS]
    end_at_signals(streams.close)
    return app
