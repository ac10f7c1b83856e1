"""What an export tells of refused signals."""

from __future__ import annotations

from pathlib import Path

from contracts.wire import SignalRefused
from services.trigger.engine.application import ProfileId
from services.trigger.store.exporting import REFUSED_PAGE, pages, refusals
from services.trigger.store.refused import keep_refusals
from shared.store import connected
from tests.support.desk import START, Desk

ADA = ProfileId("c1", "email", "ada@example.com")


def refused(number: int, sent: str = "") -> SignalRefused:
    """One of Ada's."""
    return SignalRefused(
        id=f"r-{number}",
        at=START + number,
        time=START,
        status=403,
        code="foreign_origin",
        reason="no",
        configuration=ADA.configuration,
        id_type=ADA.id_type,
        profile=ADA.profile,
        sent=sent,
    )


def test_refused_signals_are_exported_page_by_page_with_their_content_and_readable_times(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:///{tmp_path / 'trigger.db'}")
    with connected(desk.database), desk.transaction() as rows:
        keep_refusals(rows, [refused(number) for number in range(REFUSED_PAGE)])
        keep_refusals(rows, [refused(REFUSED_PAGE, '{"data": {"note": "hers"}}')])
        found = list(pages(refusals, ADA, lambda read: read(rows)))
    desk.close()
    assert [each["id"] for each in found] == [f"r-{number}" for number in range(REFUSED_PAGE + 1)]
    assert [each["sent"] for each in found if "sent" in each] == [{"data": {"note": "hers"}}]
    assert (found[-1]["at"], found[-1]["time"]) == ("2026-09-21T14:13:20.000050Z", "2026-09-21T14:13:20.000Z")
