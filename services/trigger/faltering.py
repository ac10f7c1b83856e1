"""An erasure that cannot be gone on with: why, for those who look, and when it is tried again."""

from __future__ import annotations

import traceback

from contracts.times import MINUTE
from services.trigger.store.erasures import Erasure, note_failure
from services.trigger.store.rows import Rows

FIRST_PAUSE = 5 * MINUTE
"""Longer than a backlog usually takes."""
LONGEST_PAUSE = 60 * MINUTE
"""So long after its cause is gone an erasure goes on at the latest."""
_OURS = ("services.", "shared.", "contracts.")
_ANYBODYS = ("services.trigger.store.rows",)


def pause_after(failures: int) -> int:
    """How long (µs) to wait after so many failures in a row."""
    return int(min(FIRST_PAUSE * 2 ** min(max(failures - 1, 0), 16), LONGEST_PAUSE))


def put_off(rows: Rows, erasure: Erasure, error: Exception, now: int) -> None:
    """Note that an erasure failed, and when it is tried again; in the caller's transaction, not the one that failed."""
    note_failure(rows, erasure.id, now, reason_of(error), now + pause_after(erasure.failures + 1))


def reason_of(error: Exception) -> str:
    """What went wrong, and where; not the text of the error, which may name the customer."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_OURS) and module not in _ANYBODYS:
            return f"{type(error).__name__} in {module}.{frame.f_code.co_name}"
    return type(error).__name__
