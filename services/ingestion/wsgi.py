"""What gunicorn starts: `services.ingestion.wsgi:application()`, once in each worker process."""

from __future__ import annotations

import atexit
import gc
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
    _collect_garbage_seldom()
    return ingestion.app


def _collect_garbage_seldom() -> None:
    """A batch makes ten thousands of objects that die with it, none in cycles: a fifth of the time went to looking."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
