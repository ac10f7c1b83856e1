"""Entry of gunicorn: `gunicorn 'services.config.wsgi:application()'`, with exactly one worker."""

from __future__ import annotations

import os

from flask import Flask

from services.config.program import EXTENSION, Program
from services.config.wiring import create_app
from shared.listeners import end_at_signals
from shared.logs import set_up_logs
from shared.settings import Settings


def application() -> Flask:
    """The service with the settings of the environment."""
    settings = Settings.from_environment(os.environ)
    set_up_logs("config", settings.log_level)
    app = create_app(settings)
    parts: Program = app.extensions[EXTENSION]
    end_at_signals(parts.live.close)
    return app
