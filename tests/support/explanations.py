"""Reading an explanation as a stranger would: from its JSON alone, what became of the waits (DOMAIN §6.12)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

WaitName = tuple[str, str, int]

DID_NOT_OPEN = {
    "leaves_empty",
    "after_end",
    "visit_closed",
    "bought_before",
    "expired",
    "not_running",
    "other_site",
    "other_kind",
    "decided",
    "before_decided",
    "too_old",
}


@dataclass
class Derived:
    """What follows from the changes in an explanation, and from nothing else."""

    opened: int = 0
    pending: set[WaitName] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    raised: list[tuple[str, str]] = field(default_factory=list)
    suppressed: list[tuple[str, str]] = field(default_factory=list)
    contradicted: set[tuple[str, str]] = field(default_factory=set)
    recovered: list[str] = field(default_factory=list)


def derive_from(document: dict[str, Any]) -> Derived:
    """Read the document as a stranger would: JSON, in the order of its entries."""
    found, known = Derived(), set()
    for entry in document["entries"]:
        for change in entry["changes"]:
            wait = (change["process"]["kind"], change["process"]["id"], change["wait"])
            effect = change["effect"]
            if effect == "opened":
                assert wait not in known, "a wait is opened once"
                known.add(wait)
                found.pending.add(wait)
                found.opened += 1
                continue
            if effect in ("contradicted", "recovered"):
                assert wait in known
                assert wait not in found.pending
                if effect == "contradicted":
                    found.contradicted.add((entry["signal"]["source"], entry["signal"]["id"]))
                else:
                    found.recovered.append(change["raiseId"])
                continue
            assert wait in found.pending, f"{effect} happens to a pending wait"
            if effect in ("ended", "raised", "suppressed"):
                found.pending.remove(wait)
            if effect == "ended":
                found.ended[change["reason"]] += 1
            elif effect == "raised":
                found.raised.append((change["raiseId"], change["dueAt"]))
            elif effect == "suppressed":
                found.suppressed.append((change["reason"], change["dueAt"]))
    return found
