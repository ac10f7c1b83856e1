"""What gunicorn starts: `services.ingestion.wsgi:application()`, once in each worker process."""

from __future__ import annotations

import atexit
import os

from flask import Flask

from services.ingestion.wiring import create_ingestion
from shared.logs import set_up_logs
from shared.settings import Settings


def application() -> Flask:
    """The running service of this process."""
    settings = Settings.from_environment(os.environ)
    set_up_logs("ingestion", settings.log_level)
    ingestion = create_ingestion(settings)
    atexit.register(ingestion.close)
    ingestion.start()
    return ingestion.app
