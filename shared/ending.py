"""Ending the parts of a program one after the other, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Callable

import structlog

_log = structlog.get_logger("ending")


def end_each(*ends: Callable[[], object]) -> None:
    """Call every one, in order; one that fails leaves a line in the log and keeps none of the others from it."""
    for end in ends:
        try:
            end()
        except Exception:
            _log.exception("ending.failed", what=getattr(end, "__qualname__", repr(end)))
