"""Entry of gunicorn: `gunicorn 'services.trigger.wsgi:application()'`, with one worker of four threads."""

from __future__ import annotations

import os

from flask import Flask

from services.trigger.wiring import create_app
from shared.logs import set_up_logs
from shared.settings import Settings


def application() -> Flask:
    """The service with the settings of the environment."""
    settings = Settings.from_environment(os.environ)
    set_up_logs("trigger", settings.log_level)
    return create_app(settings)
