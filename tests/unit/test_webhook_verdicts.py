"""What an answer means: the schedule of attempts, Retry-After, giving up; and signatures."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from standardwebhooks import Webhook

from contracts.times import DAY, HOUR, MINUTE, SECOND
from services.trigger.webhooks.patterns import matches, pattern_fault
from services.trigger.webhooks.resources import Answer
from services.trigger.webhooks.signatures import new_secret, signed_headers, webhook_id
from services.trigger.webhooks.verdicts import DELAYS, LONGEST_RETRY_AFTER, judge
from shared.clock import SystemClock

NOW = 1_790_000_000 * SECOND


def failed(status: int | None = 500, retry_after: str | None = None) -> Answer:
    return Answer(status=status, error="it failed", seconds=0.1, retry_after=retry_after)


def pause(attempts: int, answer: Answer | None = None, *, factor: float = 1.0, chance: float = 0.5) -> int:
    verdict = judge(answer or failed(), attempts, NOW, factor, chance)
    assert verdict.next_at is not None
    return verdict.next_at - NOW


def test_a_success_is_the_end() -> None:
    verdict = judge(Answer(status=204, error="", seconds=0.1), 1, NOW, 1.0, 0.5)

    assert (verdict.state, verdict.next_at, verdict.gone) == ("delivered", None, False)


def test_the_pauses_grow_to_about_three_days_and_then_it_is_dead() -> None:
    pauses = [pause(n) for n in range(1, len(DELAYS) + 1)]

    assert pauses[:6] == [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR]
    assert pauses == sorted(pauses)
    assert 3 * DAY <= sum(pauses) <= 3.5 * DAY
    assert judge(failed(), len(DELAYS) + 1, NOW, 1.0, 0.5).state == "dead"


def test_the_pauses_are_scattered_by_a_fifth_and_stretched_by_the_factor() -> None:
    assert [pause(1, chance=chance) for chance in (0.0, 1.0)] == [4 * SECOND, 6 * SECOND]
    assert pause(1, factor=0.001) == 5_000


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_in_seconds_and_as_a_date(status: int) -> None:
    assert pause(1, failed(status, "120")) == 2 * MINUTE
    assert pause(1, failed(status, formatdate(NOW / SECOND + 300, usegmt=True))) == 5 * MINUTE
    assert judge(failed(status, "120"), 1, NOW, 1.0, 0.5).pause_until == NOW + 2 * MINUTE


@pytest.mark.parametrize("text", ["999999999999999999999", formatdate(NOW / SECOND + 9e6, usegmt=True)])
def test_retry_after_is_capped(text: str) -> None:
    assert pause(1, failed(503, text)) == LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5", "٣", "1.5", "0", "Wed, 99 Foo 2026 99:99:99 GMT", f"Thu, 01 Jan {10**30} 00:00:00 GMT"],
)
def test_a_retry_after_that_says_nothing_leaves_the_schedule(text: str) -> None:
    assert pause(1, failed(503, text)) == 5 * SECOND


def test_a_short_retry_after_does_not_shorten_the_pause_and_a_past_date_is_none() -> None:
    assert pause(3, failed(429, "1")) == 2 * MINUTE
    assert pause(1, failed(429, formatdate(NOW / SECOND - 300, usegmt=True))) == 5 * SECOND


def test_retry_after_means_nothing_with_another_status() -> None:
    assert pause(1, failed(500, "3600")) == 5 * SECOND
    assert judge(failed(500, "3600"), 1, NOW, 1.0, 0.5).pause_until is None


def test_gone_is_given_up_at_once() -> None:
    verdict = judge(failed(410), 1, NOW, 1.0, 0.5)

    assert (verdict.state, verdict.gone, verdict.next_at) == ("dead", True, None)


@pytest.mark.parametrize("status", [None, 301, 400, 401, 404, 500, 502])
def test_everything_else_is_tried_again(status: int | None) -> None:
    assert judge(failed(status), 1, NOW, 1.0, 0.5).state == "pending"


def test_the_package_of_the_standard_verifies_every_secret_that_signed() -> None:
    secrets = [new_secret(), new_secret()]
    body = '{"name": "Zoë", "x": 1}'.encode()

    headers = signed_headers("0e9c-1", SystemClock().now(), body, secrets)

    for secret in secrets:
        assert Webhook(secret).verify(body, headers) == {"name": "Zoë", "x": 1}
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert all(secret.startswith("whsec_") for secret in secrets)
    assert secrets[0] != secrets[1]


@pytest.mark.parametrize("event_id", ["a.b", "a b", "ä", "x\r\ny: z", "", "a" * 201])
def test_an_id_that_a_header_cannot_carry_is_replaced_by_a_stable_one(event_id: str) -> None:
    replaced = webhook_id(event_id)

    assert replaced == webhook_id(event_id)
    assert replaced.startswith("evt_")
    assert replaced.isascii()
    assert webhook_id("7b1f0d1e-5c1a-5a5e-9d51-8a4e2f1f0001") == "7b1f0d1e-5c1a-5a5e-9d51-8a4e2f1f0001"


@pytest.mark.parametrize("pattern", ["moment.*", "moment.#", "#", "*", "signal.survey.start", "moment.cart_abandon"])
def test_a_pattern_is_that_of_a_topic(pattern: str) -> None:
    assert pattern_fault(pattern) == ""


@pytest.mark.parametrize("pattern", ["", ".", "moment.", ".moment", "moment..x", "mo*", "a b", "ä", "#x", "a" * 256])
def test_a_pattern_that_could_never_match_is_refused_in_words(pattern: str) -> None:
    assert pattern_fault(pattern).startswith("A pattern ")


def test_one_pattern_that_matches_is_enough() -> None:
    assert matches(["signal.#", "moment.*"], "moment.cart_abandon")
    assert not matches(["signal.#", "moment.*"], "moment.cart_abandon.recovered")
