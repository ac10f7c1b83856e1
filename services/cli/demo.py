"""The demo's shop: an audience configuration with enabled keys and two running moments, made through the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.cli.administering import CONFIGURATIONS, pages_of, switch_key
from services.cli.rest import Administration
from services.cli.shoppers import SITE

__all__ = ["QUEUE", "SHOP_AFTER", "SHOP_SITE", "SITE", "Shop", "make_shop"]

QUEUE = "moments.demo"
SHOP_SITE = "shop.localhost"
"""Where browsers see the shop that the demo serves; every browser takes it for this machine."""
SHOP_AFTER = 3
"""The shop's port, counted from config's."""
_NAME = "Demo shop"
_MOMENTS = "/api/v1/moments"
_WANTED = (
    ("cart_abandon", "Demo: cart left behind", "PT10S", "Cart Abandon after 10 s"),
    ("browse_abandon", "Demo: looked and left", "PT20S", "Browse Abandon after 20 s"),
)


@dataclass(frozen=True, slots=True)
class Shop:
    """What the demo runs on."""

    web_key: str
    moments: tuple[str, ...]


def make_shop(api: Administration) -> Shop:
    """Make what is missing of the demo's shop; a second start finds it all there."""
    configuration = _named(api, CONFIGURATIONS, _NAME) or _new_configuration(api)
    for key in configuration["keys"]:
        if not key["enabled"]:
            switch_key(api, configuration["id"], key["id"], enabled=True)
    for type_, name, duration, _ in _WANTED:
        moment = _named(api, _MOMENTS, name) or _new_moment(api, configuration["id"], type_, name, duration)
        _run(api, moment)
    web = next(key["id"] for key in configuration["keys"] if key["type"] == "web")
    return Shop(web, tuple(words for *_, words in _WANTED))


def _named(api: Administration, path: str, name: str) -> dict[str, Any] | None:
    return next((each for each in pages_of(api, path) if each["name"] == name), None)


def _new_configuration(api: Administration) -> dict[str, Any]:
    document = {
        "name": _NAME,
        "description": "Made by `moments up --demo`.",
        "audience": {"id": "demo", "name": "Demo audience", "idTypes": ["email"]},
        "domains": [SITE, SHOP_SITE],
    }
    made: dict[str, Any] = api.post(CONFIGURATIONS, document)
    return made


def _new_moment(api: Administration, configuration: str, type_: str, name: str, duration: str) -> dict[str, Any]:
    document = {
        "type": type_,
        "name": name,
        "description": "Made by `moments up --demo`.",
        "audienceConfigurationId": configuration,
        "settings": {"duration": duration},
    }
    made: dict[str, Any] = api.post(_MOMENTS, document)
    return made


def _run(api: Administration, moment: dict[str, Any]) -> None:
    if moment["status"] in ("draft", "stopped"):
        api.post(f"{_MOMENTS}/{moment['id']}/status", {"status": "running"})
