"""The page of explanations over the real application, and over trigger's REST API with what a worker really did."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from contracts.signals import Item
from contracts.times import MINUTE
from services.config.states import configuration_state
from services.trigger.store import records
from shared.store import connected
from tests.integration.explained_rig import Explained, explained_rig
from tests.support.browsing import Browser, make_user
from tests.support.configuring import running_config

HOSTILE = '<script>alert("x")</script>\u202eمرحبا 🛒' + "x" * 120
ADA = "ada@example.com"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explained")


@pytest.fixture(scope="module")
def lived(folder: Path) -> Iterator[Explained]:
    """An installation in which customers have done this and that; nothing changes it any more."""
    mug = [Item(product_id="mug", price=12.5, currency="EUR")]
    with explained_rig(folder, minimumValue={"amount": 5, "currency": "EUR"}) as rig:
        rig.do(ADA, (1, "cart/add"), (125, "cart/add"), items=mug)
        rig.do(ADA, (106, "cart/purchase"), items=mug)
        rig.do("bob@example.com", (1, "cart/add"), items=mug)
        rig.wait(200)
        rig.do("bob@example.com", (1, "cart/purchase"))
        rig.do("poor@example.com", (1, "cart/add"), items=[Item(product_id="p", price=1.0, currency="EUR")])
        rig.do("many@example.com", *((1, "cart/add") for _ in range(300)), items=mug)
        rig.wait(121)
        rig.do("hostile@example.com", (1, "cart/add"), items=mug, cart=HOSTILE)
        rig.do("gone@example.com", (1, "cart/purchase"))
        rig.do("waits@example.com", (1, "cart/add"), (2, "cart/add"), items=mug)
        yield rig


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    main = page[page.index("<main") : page.index("</main>")] if "<main" in page else page
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", main)))


def headline(page: str) -> str:
    found = re.search(r'<h2 id="answer">(.*?)</h2>', page)
    assert found, page
    return unescape(found[1])


def test_the_deciding_line_of_each_customer_stands_at_the_top(lived: Explained) -> None:
    lines = {name: headline(lived.page(f"{name}@example.com")) for name in ("ada", "bob", "poor", "gone")}

    assert lines == {
        "ada": "Not raised: bought 14 minutes before it was due.",
        "bob": "Raised, and recovered: bought 1 hour 21 minutes after it was due.",
        "poor": "Not raised: worth 1.00 EUR, less than the 5.00 EUR asked for.",
        "gone": "Never waited: signals came that end a wait, and there was none.",
    }


def test_the_story_is_told_in_words_and_the_drawing_is_no_news_to_a_screen_reader(lived: Explained) -> None:
    page = lived.page(ADA)

    rows = re.findall(r'<li class="story-row.*?</li>', page, re.DOTALL)
    told = [text_of(row) for row in rows]
    assert "Added to the cart" in told[0]
    assert "Begins a wait until" in told[0]
    assert "Bought" in told[-1]
    assert "Ends the wait." in told[-1]
    pictures = re.findall(r"<svg class=\"tl-(?:row|axis)\"[^>]*>", page)
    assert len(pictures) == len(rows) + 1
    assert all('aria-hidden="true"' in picture for picture in pictures)


def test_the_newest_occurrence_is_open_and_any_other_can_be(lived: Explained) -> None:
    page = lived.page(ADA)

    assert re.findall(r'aria-expanded="(\w+)"', page) == ["true", "false"]
    older = unescape(re.findall(r'<h3><a href="([^"]+)"', page)[1])
    answer = lived.browser.get(older)
    assert answer.status_code == 200
    assert re.findall(r'aria-expanded="(\w+)"', answer.text) == ["false", "true"]
    assert "Raised" in text_of(answer.text)


def test_hundreds_of_signals_are_one_row_with_a_way_to_all_of_them(lived: Explained) -> None:
    page = lived.page("many@example.com")

    assert len(page) < 100_000
    assert "299 × Added to the cart" in text_of(page)
    everything = lived.browser.get(unescape(re.findall(r'href="([^"]+/signals\?[^"]+)"', page)[0]))
    assert everything.status_code == 200
    assert everything.text.count("<tr>") - 1 == 100
    assert "1–100 of 299" in text_of(everything.text)
    last = lived.browser.get(unescape(re.findall(r'href="([^"]+)" rel="next"', everything.text)[0]))
    assert "101–200 of 299" in text_of(last.text)


def test_what_waits_counts_down_and_is_loaded_again_as_a_part(lived: Explained) -> None:
    page = lived.page("waits@example.com")

    assert "data-countdown=" in page
    found = re.search(r'data-fragment="([^"]+)" data-every="5"', page)
    assert found
    part = lived.browser.get(unescape(found[1]), X_Requested_With="fragment")
    assert part.status_code == 200
    assert "<main" not in part.text
    assert headline(part.text) == headline(page)
    assert 'data-every="15"' in lived.page(ADA)


@pytest.mark.parametrize("process", ["", "k", "no-such"])
def test_one_process_can_be_asked_for_alone(lived: Explained, process: str) -> None:
    page = lived.page(ADA, process=process)

    assert ("<article" in page) == (process != "no-such")
    if process == "no-such":
        assert headline(page) == "This customer is known, but nothing of theirs has the id that was asked for."
    assert ('class="chip"' in page) == bool(process)
    assert f'value="{process or "k"}"' not in page  # the next customer has other ids


def test_an_id_is_recognised_by_its_look_and_normalised(lived: Explained) -> None:
    assert headline(lived.page("  ADA@Example.com ")) == headline(lived.page(ADA))
    assert headline(lived.page(ADA, idType="email")) == headline(lived.page(ADA))
    for unknown, others in (("+49 30 123456", 3), ("customer-7", 2), ("nobody@example.com", 3)):
        page = lived.page(unknown)
        assert headline(page) == "No signal of this customer has been received."
        assert page.count("Try it as:") == others  # the kinds of id that it can be


def test_what_is_no_id_of_its_kind_is_a_fault_of_the_form_and_stays_typed(lived: Explained) -> None:
    page = lived.page("not an address", status=422, idType="email")

    assert 'value="not an address"' in page
    assert 'aria-invalid="true"' in page
    assert "must be an e-mail address" in text_of(page)


@pytest.mark.parametrize(
    "query",
    [
        {"id": "a\0b"},
        {"id": "x" * 5_000},
        {"id": ADA, "before": "-3"},
        {"id": ADA, "before": "99999999999999999999999"},
        {"id": ADA, "before": "many"},
        {"id": ADA, "open": HOSTILE},
        {"id": ADA, "process": "\0"},
        {"id": ADA, "idType": "shoe-size"},
        {"id": HOSTILE},
    ],
)
def test_strange_addresses_are_answered_plainly(lived: Explained, query: dict[str, str]) -> None:
    for path in (lived.path, f"{lived.path}/signals"):
        answer = lived.browser.client.get(path, query_string=query, base_url=lived.browser.base)
        assert answer.status_code in (200, 422), answer.text
        assert "<script>alert" not in answer.text


def test_a_customer_is_found_over_all_moments_and_led_to_each_explanation(lived: Explained) -> None:
    page = lived.browser.client.get("/profiles", query_string={"id": " ADA@example.com"}, base_url=lived.browser.base)

    assert page.status_code == 200
    told = text_of(page.text)
    assert "Cart reminder" in told
    assert "Shop" in told
    led = lived.browser.get(unescape(re.findall(r'href="(/moments/[^"]+/explanations[^"]+)"', page.text)[0]))
    assert headline(led.text) == headline(lived.page(ADA))
    for nobody in ("nobody@example.com", HOSTILE, "a\0b", "x" * 4000):
        answer = lived.browser.client.get("/profiles", query_string={"id": nobody}, base_url=lived.browser.base)
        assert answer.status_code == 200
        assert "Nobody is known by that" in answer.text
        assert "<script>alert" not in answer.text
    other_type = lived.browser.get(f"/profiles?id={ADA}&idType=deviceId")
    assert "Nobody is known by that" in other_type.text


def test_the_latest_customers_are_listed_and_led_to(lived: Explained) -> None:
    listed = lived.browser.get("/profiles")

    led = [unescape(each) for each in re.findall(r'href="(/profiles\?idType[^"]+)"', listed.text)]
    assert "Lately seen" in listed.text
    assert any("Cart reminder" in text_of(lived.browser.get(each).text) for each in led)


def test_an_audience_whose_id_fits_into_no_address_hides_nobody_of_another(lived: Explained) -> None:
    made = lived.config.make_configuration(audience={"id": "/<b>/", "name": "VIP", "idTypes": ["email"]})
    with lived.config.service.store.reading():
        other = lived.config.service.store.configuration(made["id"])
    assert other is not None
    with connected(lived.desk.database):
        records.save_configuration(lived.desk.rows, configuration_state(other))

    assert "Cart reminder" in lived.browser.get(f"/profiles?id={ADA}").text


def test_hostile_names_are_text(lived: Explained) -> None:
    page = lived.page("hostile@example.com")

    assert "<script>alert" not in page
    assert HOSTILE in unescape(page)


def test_without_a_customer_the_page_asks_for_one(lived: Explained) -> None:
    page = lived.page()

    assert "Whom do you ask about?" in page
    assert "data-fragment" not in page


def test_a_viewer_may_look_and_nobody_else(lived: Explained) -> None:
    viewer = make_user(lived.config.service, "viewer", "vera@example.com")
    stranger = Browser(lived.config.service)

    assert viewer.get(f"{lived.path}?id={ADA}").status_code == 200
    assert stranger.get(f"{lived.path}?id={ADA}").status_code == 302
    assert stranger.get(f"{lived.path}?id={ADA}", X_Requested_With="fragment").status_code == 401


def test_a_moment_that_never_ran_and_one_that_does_not_exist(lived: Explained) -> None:
    draft = lived.config.make_moment(lived.configuration, name=HOSTILE)

    answer = lived.browser.get(f"/moments/{draft['id']}/explanations?id={ADA}")
    gone = lived.browser.get(f"/moments/{'0' * 8}-0000-4000-8000-{'0' * 12}/explanations?id={ADA}")

    assert answer.status_code == 200
    assert "Nothing happened yet" in text_of(answer.text)
    assert gone.status_code == 404


def test_a_customer_is_in_no_log_line(lived: Explained, capfd: pytest.CaptureFixture[str]) -> None:
    lived.browser.get(f"{lived.path}?id=secret-person%40example.com&process=secret-cart")
    lived.browser.get(f"{lived.path}/signals?id=secret-person%40example.com")

    told = capfd.readouterr()
    ours = [line for line in (told.out + told.err).splitlines() if "HTTP/1." not in line]  # werkzeug's of the rig
    assert ours
    assert not [line for line in ours if "secret-" in line]


def test_when_trigger_is_away_the_page_says_so_and_can_be_tried_again(tmp_path: Path) -> None:
    from tests.support.browsing import make_administrator

    with running_config(tmp_path, start=False, MOMENTS_TRIGGER_URL="http://127.0.0.1:9") as config:
        moment = config.make_moment(config.make_configuration()["id"])
        browser = make_administrator(config.service)

        answer = browser.get(f"/moments/{moment['id']}/explanations?id={ADA}")

    assert answer.status_code == 200
    assert "No explanation at the moment" in answer.text
    assert f'href="/moments/{moment["id"]}/explanations?id=' in answer.text
    assert f'value="{ADA}"' in answer.text


def test_time_passes_under_the_eyes_of_who_looks(tmp_path: Path) -> None:
    with explained_rig(tmp_path) as rig:
        rig.do(ADA, (1, "cart/add"))
        assert headline(rig.page(ADA)).startswith("Waiting until ")

        rig.clock.advance(120 * MINUTE)
        assert headline(rig.page(ADA)) == "It is due, and being decided now."

        rig.wait(0.1)
        assert headline(rig.page(ADA)).startswith("Raised at ")
