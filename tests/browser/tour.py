"""The pages of the app that are judged and pictured, and why the other routes are no pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.browser.furnishing import Furnished


@dataclass(frozen=True, slots=True)
class Stop:
    """A page: the name of its pictures, its route, its address in a furnished installation, and who looks at it."""

    name: str
    endpoint: str
    address: Callable[[Furnished], str]
    role: str | None = "admin"


CUSTOMER = "idType=email&id=ada%40example.com"


def ids(moments: tuple[str, ...]) -> str:
    """Moments as the part of an address that chooses them."""
    return "&".join(f"id={each}" for each in moments)


TOUR = (
    Stop("sign-in", "access.sign_in", lambda _: "/sign-in", role=None),
    Stop("welcome", "access.welcome", lambda found: found.invitation, role=None),
    Stop("account", "account_pages.account", lambda _: "/settings/account"),
    Stop("moments", "moment_pages.overview", lambda _: "/moments"),
    Stop("reporting", "reporting.reporting", lambda found: f"/moments/{found.raised}/reporting"),
    Stop("reporting-never-ran", "reporting.reporting", lambda found: f"/moments/{found.statuses['draft']}/reporting"),
    Stop("reporting-hostile", "reporting.reporting", lambda found: f"/moments/{found.hostile[0]}/reporting"),
    Stop("reporting-long", "reporting.reporting", lambda found: f"/moments/{found.hostile[2]}/reporting"),
    Stop("outcomes", "reporting.listed", lambda found: f"/moments/{found.raised}/events"),
    Stop("outcomes-none", "reporting.listed", lambda found: f"/moments/{found.raised}/contradictions"),
    Stop("waits-turned", "reporting.listed", lambda found: f"/moments/{found.hostile[1]}/waits"),
    Stop(
        "explanation", "explanation_pages.explanation", lambda found: f"/moments/{found.raised}/explanations?{CUSTOMER}"
    ),
    Stop(
        "explanation-hostile",
        "explanation_pages.explanation",
        lambda found: f"/moments/{found.hostile[0]}/explanations?{CUSTOMER}",
    ),
    Stop("explanation-nobody", "explanation_pages.explanation", lambda found: f"/moments/{found.raised}/explanations"),
    Stop(
        "explanation-unknown",
        "explanation_pages.explanation",
        lambda found: f"/moments/{found.raised}/explanations?idType=email&id=nobody%40example.com",
    ),
    Stop(
        "explanation-signals",
        "explanation_pages.signals",
        lambda found: f"/moments/{found.raised}/explanations/signals?{CUSTOMER}",
    ),
    Stop("panel", "property_pages.show", lambda found: f"/moments/{found.raised}"),
    Stop("panel-draft", "property_pages.show", lambda found: f"/moments/{found.statuses['draft']}"),
    Stop("panel-archived", "property_pages.show", lambda found: f"/moments/{found.statuses['archived']}"),
    Stop("panel-viewer", "property_pages.show", lambda found: f"/moments/{found.raised}", role="viewer"),
    Stop("panel-hostile", "property_pages.show", lambda found: f"/moments/{found.hostile[0]}"),
    Stop("panel-turned", "property_pages.show", lambda found: f"/moments/{found.hostile[1]}"),
    Stop("panel-long", "property_pages.show", lambda found: f"/moments/{found.hostile[2]}"),
    Stop("back-test", "property_pages.trial", lambda found: f"/moments/{found.raised}/backtests/{found.trial}"),
    Stop("signals", "signal_pages.live", lambda _: "/signals"),
    Stop("signal", "signal_pages.one", lambda found: f"/signals/{found.signals[0]}"),
    Stop("signal-hostile", "signal_pages.one", lambda found: f"/signals/{found.signals[-1]}"),
    Stop("signals-refused", "signal_pages.live", lambda _: "/signals?outcome=refused"),
    Stop("signal-refused", "signal_pages.one", lambda found: f"/signals/{found.refused}?outcome=refused"),
    Stop("replay-confirm", "replay_pages.confirm", lambda _: "/signals/replay?all=1"),
    Stop("replay", "replay_pages.progress", lambda found: f"/signals/replays/{found.replay}"),
    Stop("replays", "replay_pages.latest", lambda _: "/signals/replays"),
    Stop("new-moment", "new_moment_pages.choose", lambda _: "/moments/new"),
    Stop("new-moment-described", "new_moment_pages.describe", lambda _: "/moments/new/cart_abandon"),
    Stop(
        "list-stop",
        "moment_action_pages.confirm_status",
        lambda found: f"/moments/{found.hostile[2]}/status?to=stopped",
    ),
    Stop("delete", "moment_action_pages.confirm_deletion", lambda found: f"/moments/{found.statuses['draft']}/delete"),
    Stop("bulk", "moment_bulk_pages.confirm", lambda found: f"/moments/bulk?to=stopped&{ids(found.hostile)}"),
    Stop("audiences", "configuration_pages.overview", lambda _: "/configurations"),
    Stop("new-audience", "configuration_pages.new", lambda _: "/configurations/new"),
    Stop("audience", "configuration_pages.show", lambda found: f"/configurations/{found.shop.id}"),
    Stop("audience-hostile", "configuration_pages.show", lambda found: f"/configurations/{found.hostile_shop.id}"),
    Stop("audience-long", "configuration_pages.show", lambda found: f"/configurations/{found.long_shop.id}"),
    Stop(
        "new-key",
        "configuration_key_pages.ask_regeneration",
        lambda found: f"/configurations/{found.shop.id}/keys/server/regeneration",
    ),
    Stop("segment-events", "segment_event_pages.show", lambda found: f"/configurations/{found.shop.id}/segment"),
    Stop("key-limits", "key_limit_pages.ask", lambda found: f"/configurations/{found.shop.id}/keys/web/limits"),
    Stop(
        "suppressions",
        "suppression_pages.show",
        lambda found: f"/configurations/{found.hostile_shop.id}/suppressions?{CUSTOMER}",
    ),
    Stop(
        "suppressions-none",
        "suppression_pages.show",
        lambda found: f"/configurations/{found.long_shop.id}/suppressions",
    ),
    Stop(
        "suppress",
        "suppression_pages.confirm",
        lambda found: f"/configurations/{found.hostile_shop.id}/suppressions/new?{CUSTOMER}",
    ),
    Stop(
        "suppress-no-more",
        "suppression_pages.confirm_removal",
        lambda found: f"/configurations/{found.hostile_shop.id}/suppressions/{found.suppression}/removal",
    ),
    Stop(
        "audience-delete",
        "configuration_key_pages.ask_deletion",
        lambda found: f"/configurations/{found.long_shop.id}/deletion",
    ),
    Stop("journeys", "journey_pages.overview", lambda _: "/journeys"),
    Stop("new-webhook", "journey_pages.new", lambda _: "/journeys/webhooks/new"),
    Stop("webhook", "journey_pages.webhook", lambda found: f"/journeys/webhooks/{found.webhook}"),
    Stop("webhook-edit", "journey_pages.edit", lambda found: f"/journeys/webhooks/{found.webhook}/edit"),
    Stop(
        "webhook-secret", "journey_pages.confirm_rotation", lambda found: f"/journeys/webhooks/{found.webhook}/secret"
    ),
    Stop(
        "webhook-delete", "journey_pages.confirm_deletion", lambda found: f"/journeys/webhooks/{found.webhook}/delete"
    ),
    Stop("deliveries", "webhook_log_pages.log", lambda found: f"/journeys/webhooks/{found.webhook}/deliveries"),
    Stop(
        "delivery",
        "webhook_log_pages.delivery",
        lambda found: f"/journeys/webhooks/{found.webhook}/deliveries/{found.delivery}",
    ),
    Stop(
        "redeliver",
        "webhook_log_pages.confirm_redelivery",
        lambda found: f"/journeys/webhooks/{found.webhook}/redeliver",
    ),
    Stop("customers", "profile_pages.profiles", lambda _: "/profiles"),
    Stop("profiles", "profile_pages.profiles", lambda _: "/profiles?id=ada%40example.com"),
    Stop("visitor", "profile_pages.profiles", lambda _: "/profiles?idType=anonymous&id=anon-1"),
    Stop("erase", "erasure_pages.confirm", lambda found: f"/profiles/erasure?configuration={found.shop.id}&{CUSTOMER}"),
    Stop("receipts", "erasure_pages.receipts", lambda _: "/profiles/erasures"),
    Stop("receipt", "erasure_pages.receipt", lambda found: f"/profiles/erasures/{found.erasure}"),
    Stop("users", "user_pages.users", lambda _: "/settings/users"),
    Stop("user", "user_pages.user", lambda found: f"/settings/users/{found.person}"),
    Stop("invite", "user_pages.invitation", lambda _: "/settings/users/new"),
    Stop("tokens", "token_pages.tokens", lambda _: "/settings/tokens"),
    Stop("token", "token_pages.token", lambda found: f"/settings/tokens/{found.token}"),
    Stop("new-token", "token_pages.form", lambda _: "/settings/tokens/new"),
    Stop("audit", "audit_pages.audit", lambda _: "/settings/audit"),
)

SIGNED_IN = tuple(stop for stop in TOUR if stop.role is not None)

NO_PAGES: Mapping[str, str] = {
    "assets.file": "styles and scripts",
    "moment_pages.figures": "numbers for the rows of the list",
    "configuration_key_pages.tested": "tells an open page whether its test signal has arrived",
    "oidc.leave": "leads to the sign-in of the organisation",
    "oidc.come_back": "leads on from the sign-in of the organisation",
    "settings_pages.overview": "leads on to the users, or to one's own account",
    "signal_pages.news": "rows for an open list of signals",
    "reporting.figures": "what an open Reporting page loads again",
    "reporting.stream": "tells an open Reporting page of news",
    "moment_pages.home": "leads on to the list of moments",
}
"""Endpoint → why a browser shows nothing of it by itself."""
