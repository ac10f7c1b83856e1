"""What a marketer is told about a setting that cannot be used, and the normal form of one that can (DOMAIN §4)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.templates import templates, validate_settings

DOMAINS = ("shop.example.com", "*.example.net")
DURATION = "Duration: write a duration as in PT10M, PT2H or P2D."
MONEY = 'Minimum value: write an amount and a currency, as in {"amount": 50, "currency": "EUR"}.'
AMOUNT = "Minimum value: the amount is a number from 0 to 1,000,000,000,000."
QUIET = 'Quiet hours: write a zone and two times, as {"zone": "Europe/Paris", "from": "22:00", "to": "08:00"}.'
TEXT = "Categories: a text of 1 to 200 characters is needed."
NIGHT = {"zone": "Europe/Paris", "from": "22:00", "to": "08:00"}


def money(amount: Any = 50, currency: Any = "EUR") -> dict[str, Any]:
    """A minimum value."""
    return {"minimumValue": {"amount": amount, "currency": currency}}


def night(**fields: Any) -> dict[str, Any]:
    """Quiet hours."""
    return {"quietHours": {**NIGHT, **fields}}


WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"color": "red"}, [("/color", "Cart Abandon has no setting of this name.")]),
    ({"minimumViews": 3}, [("/minimumViews", "Cart Abandon has no setting of this name.")]),
    ({"duration": None}, [("/duration", "Duration is needed.")]),
    ({"repeat": None}, [("/repeat", "Repeat is needed.")]),
    *[
        ({"duration": each}, [("/duration", DURATION)])
        for each in ("", "2 hours", "PT", "P1M", "-PT1H", "PT1.5H", 7200)
    ],
    ({"duration": "PT0S"}, [("/duration", "Duration: at least 1 second.")]),
    ({"duration": "P90DT1S"}, [("/duration", "Duration: at most 90 days.")]),
    ({"maximumWait": "PT0S"}, [("/maximumWait", "Maximum wait: at least 1 second.")]),
    ({"coolDown": "PT0S"}, [("/coolDown", "Cool-down: at least 1 second.")]),
    ({"coolDown": "P91D"}, [("/coolDown", "Cool-down: at most 90 days.")]),
    ({"repeat": "often"}, [("/repeat", "Repeat: choose one of on_change, once.")]),
    ({"repeat": ["once"]}, [("/repeat", "Repeat: choose one of on_change, once.")]),
    *[
        ({"minimumValue": each}, [("/minimumValue", MONEY)])
        for each in (50, "50 EUR", {"amount": 50}, {**money(), "x": 1})
    ],
    *[(money(each), [("/minimumValue/amount", AMOUNT)]) for each in (-1, "50", True, None, 1e12 + 1)],
    *[
        (
            money(currency=each),
            [
                (
                    "/minimumValue/currency",
                    f"Minimum value: {each} is no currency; write its code of three letters, as EUR or USD.",
                )
            ],
        )
        for each in ("EURO", "€", "XYZ", "E")
    ],
    (
        money(-1, ""),
        [
            ("/minimumValue/amount", AMOUNT),
            (
                "/minimumValue/currency",
                "Minimum value: a currency is needed; write its code of three letters, as EUR or USD.",
            ),
        ],
    ),
    *[
        ({"categories": each}, [("/categories", "Categories: a list of 1 to 100 entries is needed.")])
        for each in ([], "mugs", [str(n) for n in range(101)])
    ],
    (
        {"categories": ["mugs", " ", 7, "x" * 201]},
        [("/categories/1", TEXT), ("/categories/2", TEXT), ("/categories/3", TEXT)],
    ),
    ({"sites": []}, [("/sites", "Sites: a list of 1 to 100 entries is needed.")]),
    (
        {"sites": ["shop.example.com", "other.example.org"]},
        [("/sites/1", "Sites: other.example.org is no domain of the audience configuration.")],
    ),
    (
        {"sites": ["sub.example.net"]},
        [("/sites/0", "Sites: sub.example.net is no domain of the audience configuration.")],
    ),
    *[
        ({"quietHours": each}, [("/quietHours", QUIET)])
        for each in ("at night", {"zone": "Europe/Paris"}, {**NIGHT, "x": 1})
    ],
    (
        night(zone="Mars/Base"),
        [
            (
                "/quietHours/zone",
                "Quiet hours: there is no time zone Mars/Base; choose one such as Europe/Paris or America/New_York.",
            )
        ],
    ),
    *[
        (night(zone=each), [("/quietHours/zone", "Quiet hours: choose one such as Europe/Paris or America/New_York.")])
        for each in ("", 1, None)
    ],
    *[
        (night(to=each), [("/quietHours/to", "Quiet hours: write a time of the day as 22:00.")])
        for each in ("24:00", "8:00", "08:60", "08:00:00", 8, "٠٨:٠٠")
    ],
    (night(to="22:00"), [("/quietHours", "Quiet hours: the two times must differ.")]),
    (
        {"duration": "soon", **night(zone="../../etc/passwd", **{"from": ""})},
        [
            ("/duration", DURATION),
            (
                "/quietHours/zone",
                "Quiet hours: there is no time zone ../../etc/passwd;"
                " choose one such as Europe/Paris or America/New_York.",
            ),
            ("/quietHours/from", "Quiet hours: write a time of the day as 22:00."),
        ],
    ),
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=lambda value: str(value)[:60])
def test_every_fault_is_named_where_it_is_and_in_plain_words(
    given: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    _, faults = validate_settings(templates()["cart_abandon"], given, DOMAINS)

    assert sorted((fault.pointer, fault.reason) for fault in faults) == sorted(expected)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ({"duration": "PT120M"}, {"duration": "PT2H"}),
        ({"duration": "PT48H", "maximumWait": "PT1H"}, {"duration": "P2D", "maximumWait": "PT1H"}),
        ({"coolDown": "P90D"}, {"coolDown": "P90D"}),
        (money(0), money(0)),
        (money(0.1, " eur "), money(0.1, "EUR")),
        ({"categories": [" mugs", "lamps", "mugs"]}, {"categories": ["mugs", "lamps"]}),
        ({"sites": ["Shop.Example.com", "shop.example.com."]}, {"sites": ["shop.example.com"]}),
        ({"sites": ["*.example.net"]}, {"sites": ["*.example.net"]}),
        (night(), night()),
        (night(zone="UTC", **{"from": "00:00", "to": "23:59"}), night(zone="UTC", **{"from": "00:00", "to": "23:59"})),
        ({"coolDown": None, "sites": None}, {}),
    ],
)
def test_a_setting_that_can_be_used_is_kept_in_its_normal_form(given: dict[str, Any], normal: dict[str, Any]) -> None:
    """A maximum wait shorter than the duration is no fault: it then bounds every wait."""
    settings, faults = validate_settings(templates()["cart_abandon"], given, DOMAINS)

    assert faults == []
    assert settings == {"duration": "PT2H", "repeat": "on_change", **normal}


def test_what_is_in_normal_form_stays_as_it_is() -> None:
    given = {
        "duration": "PT90M",
        "maximumWait": "P1D",
        "coolDown": "PT1S",
        "repeat": "once",
        "categories": ["mugs"],
        "sites": ["*.example.net"],
        **money(12.5, "usd"),
        **night(),
    }
    once, _ = validate_settings(templates()["cart_abandon"], given, DOMAINS)

    assert validate_settings(templates()["cart_abandon"], once, DOMAINS) == (once, [])
