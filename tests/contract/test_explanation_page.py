"""docs/explanations.md lists every reason that the code can give, with its words (set MOMENTS_WRITE=1 to write it)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from services.ingestion.refusals import Code
from services.trigger.engine import filters
from services.trigger.engine.gate import EMPTIED
from services.trigger.engine.reasons import ENDS, SIGNAL_TEXTS, SUPPRESSIONS, VERDICTS, SignalCode, Verdict
from services.trigger.engine.waits import MERGED, VOID
from services.trigger.engine.walk import STOPPED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanations.md"
NOT_TOLD = {
    "missing_key",
    "unknown_key",
    "unavailable",
    "rate_limited",
    "suppressed",
    "not_json",
    "malformed",
    "no_consent",
}
"""Refusals that belong to no configuration or no profile, or hold no signal that could be read."""
REFUSALS = {
    "wrong_secret": "The secret of the server key is missing or wrong.",
    "missing_signature": "The key needs signed requests, and this one was not.",
    "wrong_signature": "The signature is not that of this path, body and time.",
    "stale_signature": "The request was signed too long before or after it came.",
    "expired_key": "The key has been replaced by a newer one.",
    "disabled_key": "The key is disabled.",
    "foreign_origin": "The page's origin is not a domain of the audience configuration.",
    "foreign_site": "The signal's site is not a domain of the audience configuration.",
    "kind_not_allowed": "This kind of signal is not taken from that touchpoint.",
    "kind_not_of_key": "The key is limited to other kinds of signals.",
    "unknown_kind": "The catalogue has no such kind of signal.",
    "invalid": "The signal is not valid; the faults are named.",
    "too_large": "The signal is too large.",
}


def table(texts: Mapping[str, str]) -> str:
    """A table of codes and words."""
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| `{code!s}` | {text} |" for code, text in texts.items())])


SECTIONS: dict[str, Mapping[str, str]] = {
    "verdicts": {str(code): text for code, text in VERDICTS.items()},
    "signals": {str(code): text for code, text in SIGNAL_TEXTS.items()},
    "ends": ENDS,
    "suppressions": SUPPRESSIONS,
    "refusals": REFUSALS,
}


def test_every_code_has_words() -> None:
    assert set(SIGNAL_TEXTS) == set(SignalCode)
    assert set(VERDICTS) == set(Verdict)
    judged = {value for name, value in vars(filters).items() if name.isupper() and isinstance(value, str)}
    assert judged | {STOPPED} <= set(SUPPRESSIONS)
    assert {EMPTIED, MERGED, VOID} <= set(ENDS)
    assert set(REFUSALS) | NOT_TOLD == set(get_args(Code))


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_lists_every_code(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    wanted = f"<!-- {name} -->\n{table(SECTIONS[name])}\n"

    if os.environ.get("MOMENTS_WRITE") == "1":
        page = re.sub(rf"<!-- {name} -->\n(\|.*\n)*", wanted, page)
        PAGE.write_text(page, encoding="utf-8")

    assert wanted in page, "write it anew with MOMENTS_WRITE=1"
