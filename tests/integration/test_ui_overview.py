"""The list of moments, over the real application: what it shows, to whom, in which order, and what is missing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from services.config.ui.asked import Asked, asked_of
from shared.clock import ManualClock, stopwatch
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config
from tests.support.processes import stretched
from tests.support.trigger_stand_in import TriggerStandIn, standing_in

NOON = 1_790_000_000_000_000
SECOND = 1_000_000
HOSTILE = '<script>alert("1")</script> & \u202eمرحبا 🎉'


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def trigger() -> Iterator[TriggerStandIn]:
    """What answers in trigger's place."""
    with standing_in(NOON) as stand_in:
        yield stand_in


@pytest.fixture
def config(tmp_path: Path, database_url: str, clock: ManualClock, trigger: TriggerStandIn) -> Iterator[Client]:
    """The service on each database."""
    with running_config(tmp_path, database_url, clock=clock, start=False, MOMENTS_TRIGGER_URL=trigger.url) as client:
        yield client


@pytest.fixture
def quick(tmp_path: Path, clock: ManualClock, trigger: TriggerStandIn) -> Iterator[Client]:
    """The service on SQLite, for what does not concern the store."""
    with running_config(tmp_path, clock=clock, start=False, MOMENTS_TRIGGER_URL=trigger.url) as client:
        yield client


@pytest.fixture
def alone(tmp_path: Path, clock: ManualClock) -> Iterator[Client]:
    """The service where no trigger is."""
    with running_config(tmp_path, clock=clock, start=False, MOMENTS_TRIGGER_URL="http://127.0.0.1:9") as client:
        yield client


def editor_of(client: Client) -> Browser:
    """The browser of somebody who may change moments."""
    make_administrator(client.service)
    return make_user(client.service, "editor", "grace@example.com", "Grace Hopper")


def names(answer: Any) -> list[str]:
    """The moments of a page as they are listed."""
    assert answer.status_code == 200, answer.text
    return [unescape(each) for each in re.findall(r"<bdi>([^<]*)</bdi></a>", answer.text)]


def cell(answer: Any, id: str) -> str:
    """The words of the element of an id."""
    found = re.search(rf'id="{id}">(.*?)</span>\s*(?:</td>|\n)', answer.text, re.DOTALL)
    assert found, f"no {id}"
    return " ".join(unescape(re.sub(r"<title>.*?</title>|<[^>]*>", " ", found[1])).split())


def fill(client: Client, clock: ManualClock, *fields: dict[str, Any]) -> list[str]:
    """Moments made one second after another; their ids."""
    shop = client.make_configuration()
    made = []
    for each in fields:
        clock.advance(SECOND)
        made.append(str(client.make_moment(each.pop("configuration", shop["id"]), **each)["id"]))
    return made


def test_the_latest_update_comes_first_and_every_row_tells_who_made_it(config: Client, clock: ManualClock) -> None:
    first, second = fill(config, clock, {"name": "Baskets", "description": "Left behind"}, {"name": "Looks"})
    editor = editor_of(config)
    assert names(editor.get("/moments")) == ["Looks", "Baskets"]

    clock.advance(SECOND)
    editor.post(f"/moments/{first}/status", {"to": "running"})

    page = editor.get("/moments")
    assert names(page) == ["Baskets", "Looks"]
    assert "Left behind" in page.text
    assert re.findall(r"<bdi>(Grace Hopper|Admin token)</bdi>", page.text)[-2:] == ["Grace Hopper", "Admin token"]
    assert f'data-row="/moments/{second}"' in page.text


def test_filters_order_and_search_work_together_over_all_pages(config: Client, clock: ManualClock) -> None:
    other = config.make_configuration(name="another shop")
    ids = fill(
        config,
        clock,
        *({"name": f"Cart {number:02}"} for number in range(25)),
        {"name": "zebra", "type": "browse_abandon", "configuration": other["id"]},
        {"name": "Äpfel", "description": "cart things"},
    )
    config.set_status(ids[3], "running")
    config.set_status(ids[4], "running", "stopped")
    config.set_status(ids[5], "running", "archived")
    editor = editor_of(config)

    assert names(editor.get("/moments?sort=name"))[:2] == ["Cart 00", "Cart 01"]
    assert names(editor.get("/moments?sort=name&page=2"))[-2:] == ["zebra", "Äpfel"]
    assert names(editor.get("/moments?sort=name&page=99")) == names(editor.get("/moments?sort=name&page=2"))
    assert names(editor.get("/moments?sort=-name"))[0] == "Äpfel"
    assert names(editor.get("/moments?sort=status"))[:3] == ["Cart 03", "Cart 04", "Äpfel"]
    assert names(editor.get("/moments?sort=-status"))[0] == "Cart 05"
    assert names(editor.get("/moments?sort=configuration"))[0] == "zebra"
    assert names(editor.get("/moments?sort=type"))[0] == "zebra"
    assert names(editor.get("/moments?status=running")) == ["Cart 03"]
    assert names(editor.get("/moments?type=browse_abandon")) == ["zebra"]
    assert names(editor.get(f"/moments?configuration={other['id']}")) == ["zebra"]
    assert names(editor.get("/moments?search=CART+things")) == ["Äpfel"]
    assert names(editor.get("/moments?search=cart&status=stopped")) == ["Cart 04"]


def test_the_list_is_sorted_by_numbers_over_all_pages(
    config: Client, trigger: TriggerStandIn, clock: ManualClock
) -> None:
    ids = fill(config, clock, *({"name": f"Cart {number:02}"} for number in range(25)))
    trigger.numbers = {ids[2]: ([0] * 23 + [5], 1), ids[7]: ([9] + [0] * 23, 0), ids[24]: ([0] * 24, 4)}
    editor = editor_of(config)

    assert names(editor.get("/moments?sort=-raised"))[:3] == ["Cart 07", "Cart 02", "Cart 24"]
    assert names(editor.get("/moments?sort=raised&page=2"))[-2:] == ["Cart 02", "Cart 07"]
    assert names(editor.get("/moments?sort=-waiting"))[:3] == ["Cart 24", "Cart 02", "Cart 23"]


def test_numbers_are_those_of_trigger_on_one_scale(quick: Client, trigger: TriggerStandIn, clock: ManualClock) -> None:
    busy, calm, idle = fill(quick, clock, {"name": "busy"}, {"name": "calm"}, {"name": "idle"})
    for moment in (busy, calm):
        clock.advance(SECOND)
        quick.set_status(moment, "running")
    trigger.numbers = {busy: ([0] * 22 + [1000, 234], 56), calm: ([0] * 23 + [500], 0)}

    page = editor_of(quick).get("/moments")

    assert (cell(page, f"raised-{busy[:13]}"), cell(page, f"waiting-{busy[:13]}")) == ("1,234", "56")
    assert (cell(page, f"raised-{calm[:13]}"), cell(page, f"waiting-{calm[:13]}")) == ("500", "0")
    assert (cell(page, f"raised-{idle[:13]}"), cell(page, f"waiting-{idle[:13]}")) == ("0", "0")
    bars = re.findall(r'class="fill-raised" d="([^"]*)"', page.text)
    assert [re.findall(r"v-([\d.]+)", bar) for bar in bars] == [["12.5"], ["25", "5.85"]]
    assert trigger.asked == ["overview"]


def test_the_numbers_alone_can_be_asked_for(quick: Client, trigger: TriggerStandIn, clock: ManualClock) -> None:
    shown, other = fill(quick, clock, {"name": "shown"}, {"name": "other"})
    editor = editor_of(quick)
    trigger.numbers = {shown: ([0] * 23 + [7], 8)}

    part = editor.get("/moments/figures?search=shown", X_Requested_With="fragment")

    assert (cell(part, f"raised-{shown[:13]}"), cell(part, f"waiting-{shown[:13]}")) == ("7", "8")
    assert other not in part.text
    assert "<html" not in part.text


def test_a_list_that_others_have_changed_meanwhile_is_told_from_one_that_is_as_it_was(
    quick: Client, clock: ManualClock
) -> None:
    (moment,) = fill(quick, clock, {"name": "shoe"})
    editor = editor_of(quick)

    def is_other(url: str) -> bool:
        return "list-is-other" in editor.get(unescape(url)).text

    (url,) = re.findall(r'data-figures="([^"]*)"', editor.get("/moments?search=shoe").text)
    assert not is_other(url)
    fill(quick, clock, {"name": "boot"})
    assert not is_other(url)
    quick.set_status(moment, "running")
    assert is_other(url)


def test_without_trigger_numbers_are_unknown_and_the_list_is_of_use(alone: Client, clock: ManualClock) -> None:
    ran, new = fill(alone, clock, {"name": "ran"}, {"name": "new"})
    clock.advance(SECOND)
    alone.set_status(ran, "running")
    editor = editor_of(alone)

    page = editor.get("/moments?sort=-raised")

    assert names(page) == ["ran", "new"]
    assert (cell(page, f"raised-{ran[:13]}"), cell(page, f"waiting-{ran[:13]}")) == ("–", "–")
    assert cell(page, f"raised-{new[:13]}") == "0"
    assert "trigger does not answer" in page.text
    assert "cannot be sorted by a number that is not known" in page.text
    part = editor.get("/moments/figures", X_Requested_With="fragment")
    assert (cell(part, f"raised-{ran[:13]}"), cell(part, f"raised-{new[:13]}")) == ("–", "0")
    assert "trigger does not answer" in part.text
    assert editor.post(f"/moments/{new}/status", {"to": "running"}).status_code == 303


def test_a_slow_trigger_does_not_hold_the_page(quick: Client, trigger: TriggerStandIn, clock: ManualClock) -> None:
    (moment,) = fill(quick, clock, {"name": "busy"})
    quick.set_status(moment, "running")
    editor = editor_of(quick)
    trigger.hold = threading.Event()
    began = stopwatch()

    page = editor.get("/moments")

    assert stopwatch() - began < stretched(1.5)
    assert cell(page, f"raised-{moment[:13]}") == "–"
    trigger.hold.set()
    trigger.numbers = {moment: ([0] * 23 + [7], 8)}
    assert cell(editor.get("/moments/figures"), f"raised-{moment[:13]}") == "7"


def test_no_moment_and_no_audience_lead_to_the_first_step(quick: Client) -> None:
    editor = editor_of(quick)
    assert 'href="/configurations/new?next=/moments/new"' in editor.get("/moments").text

    quick.make_configuration()

    page = editor.get("/moments")
    assert "No moment yet" in page.text
    assert 'href="/moments/new"' in page.text
    assert "<table" not in page.text


def test_an_empty_search_tells_which_filters_to_drop(quick: Client, clock: ManualClock) -> None:
    fill(quick, clock, {"name": "Shoe one"}, {"name": "Shoe two"}, {"name": "other"})
    editor = editor_of(quick)

    page = editor.get("/moments?search=shoe&status=running")

    assert "In any status: 2 moments" in page.text
    assert 'href="/moments?search=shoe"' in page.text
    assert "Without the search" not in page.text
    assert "Not even one of the filters" in editor.get("/moments?search=shoe&status=running&type=goodbye").text


def test_filters_that_are_on_stand_as_chips_that_drop_them(quick: Client, clock: ManualClock) -> None:
    fill(quick, clock, {"name": "Cart"})
    editor = editor_of(quick)

    page = editor.get("/moments?search=ca&status=draft&type=cart_abandon&sort=name")

    assert re.findall(r'class="chip" href="([^"]*)"', page.text) == [
        "/moments?status=draft&amp;type=cart_abandon&amp;sort=name",
        "/moments?search=ca&amp;type=cart_abandon&amp;sort=name",
        "/moments?search=ca&amp;status=draft&amp;sort=name",
    ]
    assert 'aria-sort="ascending"' in page.text


def test_hostile_names_are_shown_and_do_nothing(config: Client, clock: ManualClock) -> None:
    fill(config, clock, {"name": HOSTILE, "description": HOSTILE * 3}, {"name": "x" * 200, "description": "y" * 2000})
    config.make_configuration(name=HOSTILE)
    editor = editor_of(config)

    page = editor.get("/moments", X_Requested_With="")

    assert names(page) == ["x" * 200, HOSTILE]
    assert "<script>alert" not in page.text
    found = editor.get(
        "/moments?search=%3Cscript%3E%22%27%26%00&status=%22%3E&type=%3Cb%3E&configuration=%3Ci%3E&page=-1"
    )
    assert "No moment meets all of this" in found.text
    assert not re.search(r"<script>|<b>|<i>", found.text)


def test_what_no_database_holds_breaks_no_page(config: Client) -> None:
    editor = editor_of(config)

    for path in (
        "/moments?done=moment_running&of=%00",
        "/moments/bulk?to=stopped&id=%00",
        "/configurations?search=%00",
        f"/configurations?page={'9' * 5000}",
    ):
        assert editor.get(path).status_code in (200, 302), path
    assert editor.post("/moments/bulk", {"to": "stopped", "item": "\0@1"}).status_code == 200
    assert Browser(config.service).sign_in("ada\0@example.com").status_code == 401


def test_who_may_only_look_sees_nothing_to_press(quick: Client, clock: ManualClock) -> None:
    (moment,) = fill(quick, clock, {"name": "Cart"})
    editor = editor_of(quick)
    looker = make_user(quick.service, "viewer", "vera@example.com")

    page = looker.get("/moments")

    assert names(page) == ["Cart"]
    assert not re.search(r'type="checkbox"|formaction|data-dialog|/moments/new|form="act"', page.text)
    assert f'href="/moments/{moment}/reporting"' in page.text
    for path in (
        f"/moments/{moment}/status",
        f"/moments/{moment}/delete",
        "/moments/bulk",
        f"/moments/{moment}/duplicate",
    ):
        assert looker.post(path, {"to": "running", "item": f"{moment}@1"}).status_code == 403
    assert looker.get("/moments/new").status_code == 403
    assert names(editor.get("/moments?status=draft")) == ["Cart"]


def test_what_makes_no_sense_in_an_address_is_as_if_it_were_not_there() -> None:
    assert asked_of({"status": "x", "sort": "-x", "page": "0", "type": "ü"}) == Asked()
    assert asked_of({"page": "٣"}).page == 1
    assert asked_of({"page": "9" * 30}).page == 1
    assert len(asked_of({"search": "x" * 999}).search) == 200
    assert (
        Asked(search="a&b=c #", page=3).url("/moments/1", done="x") == "/moments/1?search=a%26b%3Dc+%23&page=3&done=x"
    )
    assert Asked(page=3).but(sort="name") == Asked(sort="name")
