"""What can be done with moments from the list: statuses, several at once, copies, deletion; and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.moments import STATUSES, TRANSITIONS
from shared.clock import ManualClock
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import CONFIGURATIONS, MOMENTS, Client, running_config
from tests.support.trigger_stand_in import TriggerStandIn, standing_in

NOON = 1_790_000_000_000_000
TO = {"draft": (), "running": ("running",), "stopped": ("running", "stopped"), "archived": ("running", "archived")}


@pytest.fixture
def trigger() -> Iterator[TriggerStandIn]:
    """What answers in trigger's place."""
    with standing_in(NOON) as stand_in:
        yield stand_in


@pytest.fixture
def config(tmp_path: Path, trigger: TriggerStandIn) -> Iterator[Client]:
    """The service, under a clock that stands."""
    with running_config(tmp_path, clock=ManualClock(NOON), start=False, MOMENTS_TRIGGER_URL=trigger.url) as client:
        yield client


@pytest.fixture
def editor(config: Client) -> Browser:
    """The browser of somebody who may change moments."""
    make_administrator(config.service)
    return make_user(config.service, "editor", "grace@example.com", "Grace")


def make(config: Client, *statuses: str, **fields: Any) -> str:
    """A moment brought through the statuses."""
    moment = str(config.make_moment(config.make_configuration()["id"], **fields)["id"])
    config.set_status(moment, *statuses)
    return moment


def now(config: Client, moment: str) -> dict[str, Any]:
    """A moment as it is."""
    found: dict[str, Any] = config.get(f"{MOMENTS}/{moment}")
    return found


def words(answer: Any) -> str:
    """What a page says."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


@pytest.mark.parametrize("status", STATUSES)
def test_only_allowed_statuses_are_offered_and_taken(config: Client, editor: Browser, status: str) -> None:
    moment = make(config, *TO[status])
    menu = editor.get("/moments").text.split('<details class="menu status-menu"')[1].split("</details>")[0]
    offered = re.findall(r'name="to" value="(\w+)"|/status\?to=(\w+)"', menu)

    assert {one or two for one, two in offered} == set(TRANSITIONS[status])
    for wanted in STATUSES:
        answer = editor.post(f"/moments/{moment}/status", {"to": wanted})
        if wanted in (*TRANSITIONS[status], status):
            assert answer.status_code == 303
            config.set_status(moment, *_back(now(config, moment)["status"], status))
        else:
            assert answer.status_code == 409
            assert f"It is: {status.capitalize()}. From there it can become:" in words(answer)
            assert now(config, moment)["status"] == status


def _back(status: str, wanted: str) -> list[str]:
    """A way from one status to another."""
    ways: list[list[str]] = [[]]
    for way in ways:
        at = way[-1] if way else status
        if at == wanted:
            return way
        ways += [[*way, following] for following in TRANSITIONS[at]]  # type: ignore[index]
    raise AssertionError


def test_a_change_of_status_leads_back_to_the_same_list_and_can_be_taken_back(config: Client, editor: Browser) -> None:
    moment = make(config, "running")

    answer = editor.post(f"/moments/{moment}/status?status=running&sort=name&page=2", {"to": "stopped", "version": "2"})

    assert answer.location == f"/moments?status=running&sort=name&page=2&done=moment_stopped&of={moment}"
    page = editor.get(f"/moments?done=moment_stopped&of={moment}")
    assert "Stopped. Nothing is raised until it is started again. Start again" in words(page)
    assert f'formaction="/moments/{moment}/status?version=3"' in page.text
    assert editor.post(f"/moments/{moment}/status?version=3", {"to": "running"}).status_code == 303
    assert "Start again" not in editor.get(f"/moments?done=moment_stopped&of={moment}").text


@pytest.mark.parametrize("wanted", ["stopped", "archived"])
def test_what_ends_waits_is_confirmed_with_their_number(
    config: Client, editor: Browser, trigger: TriggerStandIn, wanted: str
) -> None:
    moment = make(config, "running", name="<b>Cart</b>")
    path = f"/moments/{moment}/status"
    for waiting, told in ((0, "Nobody is waiting"), (1, "One wait is suppressed"), (1234, "1234 waits are suppressed")):
        trigger.numbers = {moment: ([0] * 24, waiting)}
        page = editor.get(f"{path}?to={wanted}&search=cart")
        assert told in words(page)
        assert "<b>Cart</b>?" in words(page)
    assert now(config, moment)["status"] == "running"

    trigger.refuses = 503
    page = editor.get(f"{path}?to={wanted}&search=cart")
    assert "not known: trigger does not answer" in words(page)
    assert f'action="{path}?search=cart"' in page.text
    assert editor.post(f"{path}?search=cart", {"to": wanted, "version": "2"}).status_code == 303
    assert now(config, moment)["status"] == wanted


def test_a_confirmation_that_makes_no_sense_leads_to_the_list(config: Client, editor: Browser) -> None:
    moment = make(config)

    assert editor.get(f"/moments/{moment}/status?to=stopped").location == "/moments"
    assert editor.get(f"/moments/{moment}/status?to=running").location == "/moments"
    assert editor.get(f"/moments/{moment}/status?to=<b>&search=x").location == "/moments?search=x"
    assert editor.post(f"/moments/{moment}/status", {"to": "nonsense"}).location == "/moments"
    assert editor.get("/moments/9f6e4c1e-0000-4000-8000-000000000000/status?to=stopped").status_code == 404


def test_why_a_moment_cannot_run_is_told_with_the_way_out(config: Client, editor: Browser) -> None:
    shop = config.make_configuration()
    lost = str(config.make_moment(shop["id"], name="lost")["id"])
    config.call("DELETE", f"{CONFIGURATIONS}/{shop['id']}")
    other = config.make_configuration()
    limited = str(config.make_moment(other["id"], settings={"sites": ["shop.example.com"]})["id"])
    config.call("PATCH", f"{CONFIGURATIONS}/{other['id']}", {"domains": ["else.example.com"]}, if_match="*")

    without = editor.post(f"/moments/{lost}/status?search=x", {"to": "running"})
    wrong = editor.post(f"/moments/{limited}/status", {"to": "running"})

    assert without.status_code == wrong.status_code == 409
    assert "lost was not started It has no audience configuration. Give it one first." in words(without)
    assert f'href="/moments/{lost}?search=x" data-panel' in without.text
    assert re.search(r"Cart was not started Sites: .*shop\.example\.com", words(wrong))


def test_two_editors_at_once_are_told_who_was_quicker_and_nothing_is_lost(config: Client, editor: Browser) -> None:
    moment = make(config)
    other = make_user(config.service, "editor", "ada2@example.com", "Ada")
    seen = now(config, moment)["version"]
    other.post(f"/moments/{moment}/status", {"to": "running"})
    config.call("PATCH", f"{MOMENTS}/{moment}", {"description": "changed"}, if_match="*")

    late = editor.post(f"/moments/{moment}/status?search=cart&version={seen}", {"to": "archived"})

    assert late.status_code == 412
    assert "Admin token changed it meanwhile. Its status is now: Running. Nothing was done." in words(late)
    assert now(config, moment)["status"] == "running"
    again = re.search(r'formaction="([^"]*)" name="to" value="archived" class="button small"', late.text)
    assert again
    assert editor.post(unescape(again[1]), {"to": "archived"}).location.startswith("/moments?search=cart&done=")
    assert now(config, moment)["status"] == "archived"


def test_pressing_a_button_twice_does_it_once(config: Client, editor: Browser) -> None:
    moment = make(config)

    answers = [editor.post(f"/moments/{moment}/status?version=1", {"to": "running"}) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {303}
    assert now(config, moment)["version"] == 2


def test_a_copy_is_a_draft_of_its_own(config: Client, editor: Browser) -> None:
    moment = make(config, "running", name="Cart", description="For all", settings={"duration": "PT3H"})

    first = editor.post(f"/moments/{moment}/duplicate?search=ca")
    second = editor.post(f"/moments/{moment}/duplicate")

    copies = {each["name"]: each for each in config.get(MOMENTS)["items"]}
    assert set(copies) == {"Cart", "Copy of Cart", "Copy of Cart 2"}
    copy = copies["Copy of Cart"]
    assert first.location == f"/moments/{copy['id']}?search=ca&done=moment_duplicated"
    assert second.status_code == 303
    assert (copy["status"], copy["hasRun"], copy["runningSince"], copy["version"]) == ("draft", False, None, 1)
    assert (copy["description"], copy["settings"]["duration"]) == ("For all", "PT3H")
    assert copy["updatedBy"] == "user:grace@example.com"
    config.set_status(copy["id"], "running")


def test_the_longest_name_and_a_lost_audience_can_be_copied(config: Client, editor: Browser) -> None:
    shop = config.make_configuration()
    moment = str(config.make_moment(shop["id"], name="x" * 200)["id"])
    config.call("DELETE", f"{CONFIGURATIONS}/{shop['id']}")

    for _ in range(3):
        assert editor.post(f"/moments/{moment}/duplicate").status_code == 303

    copies = [each for each in config.get(MOMENTS)["items"] if each["id"] != moment]
    assert len({each["name"] for each in copies}) == 3
    assert max(len(each["name"]) for each in copies) <= 200
    assert all(each["audienceConfigurationId"] is None for each in copies)


def test_only_drafts_and_archived_moments_are_deleted(config: Client, editor: Browser) -> None:
    running, draft = make(config, "running"), make(config, name="<i>")

    assert "Only drafts and archived moments can be deleted" in words(editor.get(f"/moments/{running}/delete"))
    assert f"/moments/{running}/delete" not in editor.get("/moments").text
    assert editor.post(f"/moments/{running}/delete").status_code == 409
    page = editor.get(f"/moments/{draft}/delete?search=x")
    assert "Delete <i>?" in words(page)
    assert f'action="/moments/{draft}/delete?search=x"' in page.text
    assert editor.post(f"/moments/{draft}/delete?search=x", {"version": "7"}).status_code == 412
    assert editor.post(f"/moments/{draft}/delete?search=x", {"version": "1"}).location == (
        "/moments?search=x&done=moment_deleted"
    )
    assert editor.get(f"/moments/{draft}/delete").status_code == 404
    assert [each["id"] for each in config.get(MOMENTS)["items"]] == [running]


def test_several_are_confirmed_one_by_one_and_done_as_far_as_possible(
    config: Client, editor: Browser, trigger: TriggerStandIn
) -> None:
    one, two, draft = (
        make(config, "running", name="one"),
        make(config, "running", name="two"),
        make(config, name="three"),
    )
    trigger.numbers = {one: ([0] * 24, 5), two: ([0] * 24, 0)}
    query = "&".join(f"id={each}" for each in (one, two, draft, "gone"))

    page = editor.get(f"/moments/bulk?to=stopped&{query}&search=o")

    assert "Stop 3 moments?" in words(page)
    assert "one Running 5 waits are suppressed." in words(page)
    assert "three Draft It is: Draft. From there it can become: Running." in words(page)
    items = re.findall(r'name="item" value="([^"]*)"', page.text)
    assert items == [f"{one}@2", f"{two}@2"]
    config.call("PATCH", f"{MOMENTS}/{two}", {"description": "changed"}, if_match="*")
    done = editor.client.post(
        "/moments/bulk?search=o",
        data={"csrf": editor.token(), "to": "stopped", "item": [*items, f"{draft}@1", "gone@1"]},
        base_url=editor.base,
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert "One moment is stopped." in words(done)
    assert "two : Admin token changed it meanwhile. Its status is now: Running." in words(done)
    assert "three : It is: Draft." in words(done)
    assert "It was deleted meanwhile." in words(done)
    assert 'data-address="/moments?search=o"' in done.text
    assert [now(config, each)["status"] for each in (one, two, draft)] == ["stopped", "running", "draft"]


def test_nothing_chosen_and_nonsense_lead_back_to_the_list(config: Client, editor: Browser) -> None:
    make(config)

    assert editor.get("/moments/bulk?to=stopped&search=x").location == "/moments?search=x&done=none_chosen"
    assert editor.get("/moments/bulk").status_code == 302
    assert editor.post("/moments/bulk", {"to": "running", "item": "x@1"}).location == "/moments"
