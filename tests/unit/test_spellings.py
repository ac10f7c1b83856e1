"""Where kept bytes that nobody has read hold a customer's value, and where they hold a part of somebody else's."""

from __future__ import annotations

import pytest

from services.trigger.store.spellings import Kept, spelling_of

EMAIL = "bob@example.com"


@pytest.mark.parametrize(
    ("id_type", "value", "body"),
    [
        ("email", EMAIL, '{"email":"  BOB@Example.com "}'),
        ("email", EMAIL, '{"note":"first\\nbob@example.com. Call him"}'),
        ("email", EMAIL, '{"note":"\\u003cbob@example.com\\u003e"}'),
        ("email", EMAIL, '{"url":"https://shop.example.com/?mail=%3Cbob@example.com%3E&x=1"}'),
        ("email", EMAIL, '{"url":"mailto:bob@example.com"}'),
        ("email", "ädam@example.com", '{"email":"ÄDAM@example.com"}'),
        ("phone", "+4930123456", '{"phone":"+49 (30) 123-456"}'),
        ("external", EMAIL, '{"email":"bob@example.com"}'),
        ("external", "2026", '{"customerId":2026,"x":1}'),
        ("external", "2026", '{"data":{"user_id": "2026"}}'),
        ("external", "2026", '{"customerId":2026.0}'),
        ("external", "A/7", '{"profile":{"idType":"external","id":"a/7"}}'),
        ("external", 'say "x"', '{"customerId":"say \\"x\\""}'),
        ("anonymous", "a-1", '{"data":{"idType":"anonymous","anonymousId":"A-1"}}'),
        ("anonymous", "a-1", '{"profile":{"idType":"anonymous","id":"a-1"}}'),
        ("anonymous", "7", '{"anonymous_id": 7}'),
    ],
)
def test_a_value_is_found_in_whatever_spelling(id_type: str, value: str, body: str) -> None:
    assert spelling_of(id_type, value)(Kept(body.encode()))


@pytest.mark.parametrize(
    ("id_type", "value", "body"),
    [
        ("email", EMAIL, '{"email":"jimbob@example.com"}'),
        ("email", EMAIL, '{"email":"jim.bob@example.com"}'),
        ("email", EMAIL, '{"email":"bob@example.com.au"}'),
        ("email", EMAIL, '{"email":"bob@example.community"}'),
        ("email", EMAIL, '{"email":"ébob@example.com"}'),
        ("phone", "+4930123456", '{"phone":"+49 30 223456"}'),
        ("external", "2026", '{"time":"2026-11-26T15:48:55Z","price":2026,"cartId":"2026"}'),
        ("external", "2026", '{"customerId":20261}'),
        ("external", "2026", '{"customerId":"12026"}'),
        ("external", "cart/add", '{"signal":"cart/add","customerId":"7"}'),
        ("external", "email", '{"email":"ada@example.com","idType":"email"}'),
        ("anonymous", "a-1", '{"customerId":"a-1"}'),
        ("anonymous", "a-1", '{"anonymousId":"a-12"}'),
        ("anonymous", "a@b.example", '{"email":"a@b.example"}'),
        ("external", "a-1", '{"anonymousId":"a-1"}'),
    ],
)
def test_a_part_of_something_else_is_not_the_value(id_type: str, value: str, body: str) -> None:
    assert not spelling_of(id_type, value)(Kept(body.encode()))
