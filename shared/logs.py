"""Structured logs: one JSON object per line on standard error, no personal data."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog

_NOISY = ("apscheduler", "pika", "peewee", "werkzeug")


class _Lines(structlog.WriteLogger):
    """Writes the lines of the logger of a name.

    One that cannot be written, as on a full disk, is lost: what it tells of must not fail for it.
    """

    def __init__(self, stream: Any, name: str) -> None:
        super().__init__(stream)
        self.name = name

    def msg(self, message: str) -> None:
        """Write a line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def set_up_logs(service: str, level: str, stream: Any = None) -> None:
    """Send our own log lines and those of the libraries to `stream` as JSON. Called once by a program, not by tests.

    Our own do not go through the standard library's loggers: there is one for each request.
    """
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _as_line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _as_line],
        logger_factory=lambda name: _Lines(stream, name),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def pseudonym(pepper: bytes, *parts: str) -> str:
    """A short keyed hash that stands for a profile in a log line."""
    return hmac.new(pepper, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:16]


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _as_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """One JSON object in ASCII; the fast encoder does what it can, which is nearly everything."""
    try:
        line = msgspec.json.encode(event).decode()
    except (TypeError, ValueError, OverflowError):
        return json.dumps(event, default=repr)
    return line if line.isascii() else json.dumps(event, default=repr)
