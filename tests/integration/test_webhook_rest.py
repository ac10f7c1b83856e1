"""REST of webhooks: documents, versions, refusals, the test call, hostile input; and the recipes of the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from contracts.events import MomentEvent
from services.trigger.api.cursors import cursor_text
from services.trigger.webhooks.program import MOST
from services.trigger.webhooks.signatures import new_secret, signed_headers
from shared.clock import SystemClock
from tests.integration.webhook_rig import WEBHOOKS_PATH, WebhookRig
from tests.support.endpoint import Endpoint, Reply, endpoint

URL = "https://journeys.example.com/moments"
NOBODY = "00000000-0000-0000-0000-000000000000"
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[WebhookRig]:
    """Without worker, on SQLite."""
    made = WebhookRig(tmp_path, f"embedded://{tmp_path}/broker.db", MOMENTS_WEBHOOK_PLAIN_HTTP="no")
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path, database_url: str) -> Iterator[WebhookRig]:
    """The same on each database, for what databases may see differently."""
    made = WebhookRig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url, MOMENTS_WEBHOOK_PLAIN_HTTP="no")
    yield made
    made.close()


@pytest.fixture
def journey() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def test_a_webhook_is_made_read_listed_changed_and_deleted(rig: WebhookRig) -> None:
    made = rig.subscribe(URL, "moment.*", "signal.survey.start", description="For Ada\nand Bob")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert (made["version"], made["enabled"], made["disabledReason"]) == (1, True, None)
    assert made["patterns"] == ["moment.*", "signal.survey.start"]

    read = rig.call("GET", f"/{made['id']}")
    assert read == {name: value for name, value in made.items() if name != "secret"}
    assert rig.call("GET") == {"items": [read], "next": None}

    changed = rig.call("PATCH", f"/{made['id']}", etag='"1"', name="Other", url=URL + "?x=1", patterns=["#"])
    assert (changed["name"], changed["url"], changed["patterns"]) == ("Other", URL + "?x=1", ["#"])
    assert (changed["version"], changed["description"]) == (2, "For Ada\nand Bob")
    assert rig.call("PATCH", f"/{made['id']}", etag='"2"', name="Other")["version"] == 2
    off = rig.call("PATCH", f"/{made['id']}", etag='"2"', enabled=False)
    assert (off["enabled"], off["disabledReason"]) == (False, "requested")
    assert off["disabledAt"] is not None

    rig.call("DELETE", f"/{made['id']}", 204, etag='"3"')
    rig.call("GET", f"/{made['id']}", 404)
    assert rig.call("GET") == {"items": [], "next": None}


def test_the_second_of_two_editors_overwrites_nothing(rig: WebhookRig) -> None:
    path = f"/{rig.subscribe(URL)['id']}"
    rig.call("PATCH", path, 428, name="x")
    rig.call("PATCH", path, etag='"1"', name="first")

    rig.call("PATCH", path, 412, etag='"1"', name="second")
    rig.call("DELETE", path, 412, etag='"1"')
    rig.call("POST", f"{path}/rotate-secret", 412, etag='"1"', overlapSeconds=0)
    assert rig.call("GET", path)["name"] == "first"


def test_a_secret_is_shown_by_the_call_that_made_it_only(sqlite: WebhookRig) -> None:
    made = sqlite.subscribe(URL)
    rotated = sqlite.call("POST", f"/{made['id']}/rotate-secret", 201, overlapSeconds=60)
    secrets = {made["secret"], rotated["secret"]}
    assert len(secrets) == 2

    changed = sqlite.call("PATCH", f"/{made['id']}", etag='"2"', name="x")
    shown = [changed, sqlite.call("GET", f"/{made['id']}"), sqlite.call("GET")]
    assert not any(secret in repr(each) for each in shown for secret in secrets)
    assert "secret" not in changed
    assert not any(secret in repr(sqlite.trigger.app.extensions) for secret in secrets)


def test_lists_are_read_page_by_page(rig: WebhookRig) -> None:
    made = [rig.subscribe(URL)["id"] for _ in range(5)]
    rig.take(made[0], *(f"e{n}" for n in range(5)))

    for path, expected in (("", set(made)), (f"/{made[0]}/deliveries", {f"e{n}" for n in range(5)})):
        found, page = [], rig.call("GET", f"{path}?limit=2")
        while True:
            assert len(page["items"]) <= 2
            found += [item.get("eventId", item["id"]) for item in page["items"]]
            if page["next"] is None:
                break
            page = rig.call("GET", f"{path}?limit=2&cursor={page['next']}")
        assert len(found) == 5
        assert set(found) == expected


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "http://journeys.example.com/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://[::1]/"}, "/url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url"),
        ({"url": "https://2130706433/"}, "/url"),
        ({"url": "https://user:word@journeys.example.com/"}, "/url"),
        ({"url": "https://journeys.example.com/\0"}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": 7}, "/url"),
        ({"patterns": []}, "/patterns"),
        ({"patterns": ["moment.*", "mo*"]}, "/patterns/1"),
        ({"patterns": "moment.*"}, "/patterns"),
        ({"patterns": ["moment.*"] * 51}, "/patterns"),
        ({"name": ""}, "/name"),
        ({"name": "a\0b"}, "/name"),
        ({"enabled": "yes"}, "/enabled"),
        ({"secret": "whsec_AAAA"}, "/secret"),
    ],
)
def test_a_wrong_field_is_named_whether_it_is_made_or_changed(
    sqlite: WebhookRig, fields: dict[str, Any], pointer: str
) -> None:
    good = {"name": "Journey", "url": URL, "patterns": ["moment.*"]}

    made = sqlite.call("POST", status=422, **{**good, **fields})
    path = f"/{sqlite.subscribe(URL)['id']}"
    changed = sqlite.call("PATCH", path, 422, etag='"1"', **fields)

    assert [each["pointer"] for each in made["errors"]] == [pointer]
    assert [each["pointer"] for each in changed["errors"]] == [pointer]
    assert made["errors"][0]["reason"].endswith(".")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{NOBODY}"),
        ("DELETE", f"/{NOBODY}"),
        ("POST", f"/{NOBODY}/rotate-secret"),
        ("POST", f"/{NOBODY}/test"),
        ("GET", f"/{NOBODY}/deliveries"),
        ("GET", f"/{NOBODY}/deliveries/1"),
        ("POST", f"/{NOBODY}/deliveries/1/redeliver"),
        ("POST", f"/{NOBODY}/redeliver"),
        ("GET", "/nonsense"),
    ],
)
def test_what_is_not_there_is_404(sqlite: WebhookRig, method: str, path: str) -> None:
    sqlite.call(method, path, 404)


def test_a_delivery_of_another_webhook_is_not_there(rig: WebhookRig) -> None:
    one, other = rig.subscribe(URL), rig.subscribe(URL)
    rig.take(one["id"], "e")
    (delivery,) = rig.log(one)

    rig.call("GET", f"/{other['id']}/deliveries/{delivery['id']}", 404)
    rig.call("POST", f"/{other['id']}/deliveries/{delivery['id']}/redeliver", 404)
    rig.call("GET", f"/{one['id']}/deliveries/{2**63 - 1}", 404)
    rig.call("GET", f"/{one['id']}/deliveries/{2**63}", 404)


@pytest.mark.parametrize("place", [(2**63, "id"), (1, "\0"), ("x",), (1,)])
def test_a_forged_cursor_is_never_an_error_of_the_service(rig: WebhookRig, place: Any) -> None:
    rig.call("GET", f"?cursor={cursor_text(place)}", 422)
    if place != (1,):
        rig.call("GET", f"/{rig.subscribe(URL)['id']}/deliveries?cursor={cursor_text(place)}", 422)


def test_there_may_be_so_many_and_no_more(sqlite: WebhookRig) -> None:
    for _ in range(MOST):
        sqlite.subscribe(URL)

    sqlite.call("POST", status=409, name="one more", url=URL, patterns=["#"])


def test_the_test_call_sends_a_signed_sample_and_tells_what_came_back(tmp_path: Path, journey: Endpoint) -> None:
    rig = WebhookRig(tmp_path, f"embedded://{tmp_path}/broker.db")
    try:
        webhook = rig.subscribe(journey.url, enabled=False)
        good = rig.call("POST", f"/{webhook['id']}/test")
        journey.answer = lambda _: Reply(500, body=b"\xffoops" * 1_000)
        bad = rig.call("POST", f"/{webhook['id']}/test")
        nowhere = rig.subscribe("http://127.0.0.1:1025/")
        lost = rig.call("POST", f"/{nowhere['id']}/test")
    finally:
        rig.close()

    received, _ = journey.received
    assert received.signed_with(webhook["secret"])
    assert received.webhook_id == received.event["id"] == good["eventId"]
    assert (good["delivered"], good["status"], good["error"], good["answer"]) == (True, 200, None, "thanks")
    assert good["milliseconds"] > 0
    assert (bad["delivered"], bad["status"], bad["error"]) == (False, 500, "HTTP 500 Internal Server Error")
    assert len(bad["answer"]) == 2_000
    assert (lost["delivered"], lost["status"], lost["error"]) == (False, None, "the connection was refused")
    assert received.event["type"] == "webhook.test"
    shape = msgspec.json.decode(received.body, type=MomentEvent)
    assert shape.data.moment["type"] == "cart_abandon"
    assert rig.clock.now() > 0


def test_every_route_needs_the_token(sqlite: WebhookRig) -> None:
    client = sqlite.trigger.app.test_client()
    rules = [rule for rule in sqlite.trigger.app.url_map.iter_rules() if rule.rule.startswith(WEBHOOKS_PATH)]
    assert len(rules) >= 8

    for rule in rules:
        path = re.sub(r"<uuid:[^>]*>", NOBODY, re.sub(r"<int[^>]*>", "1", rule.rule))
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            answer = client.open(path, method=method, headers={"Authorization": "Bearer wrong"})
            assert answer.status_code == 401, f"{method} {rule.rule}"


def test_the_document_is_valid_openapi_and_describes_every_route(sqlite: WebhookRig) -> None:
    document = sqlite.trigger.app.test_client().get("/openapi.json").get_json()

    jsonschema.Draft202012Validator(OPENAPI_31).validate(document)
    for rule in sqlite.trigger.app.url_map.iter_rules():
        if rule.rule.startswith(WEBHOOKS_PATH):
            path = re.sub(r"<(?:[^:>]*:)?([^>]*)>", r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
                operation = document["paths"][path][method.lower()]
                assert operation["summary"].endswith(".")
                assert "default" in operation["responses"]


def recipe(language: str) -> str:
    """The code of the page for a language."""
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


SECRET = new_secret()
BODY = '{"text": "é"}'.encode()


def cases() -> Iterator[tuple[bool, str, dict[str, str], str]]:
    """Valid, secret, headers, body: what a recipe must tell apart."""
    now = SystemClock().now()
    good = signed_headers("e-1", now, BODY, [new_secret(), SECRET])
    yield True, SECRET, good, BODY.decode()
    yield False, new_secret(), good, BODY.decode()
    yield False, SECRET, good, BODY.decode() + " "
    yield False, SECRET, {**good, "webhook-id": "e-2"}, BODY.decode()
    yield False, SECRET, signed_headers("e-1", now - 400_000_000, BODY, [SECRET]), BODY.decode()


def test_the_recipe_for_python_tells_true_from_false() -> None:
    program = recipe("python") + (
        "\nimport json, sys\n"
        "print(json.dumps([verify(s, h, b.encode()) for _, s, h, b in json.loads(sys.stdin.read())]))"
    )
    check_recipe([sys.executable, "-c", program])


def test_the_recipe_for_node_tells_true_from_false() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = recipe("javascript") + (
        'const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));'
        "console.log(JSON.stringify(cases.map(([_, s, h, b]) => verify(s, h, Buffer.from(b)))));"
    )
    check_recipe([node, "-e", program])


def check_recipe(command: list[str]) -> None:
    given_cases = list(cases())
    done = subprocess.run(command, input=msgspec.json.encode(given_cases), capture_output=True, check=True, timeout=30)
    assert msgspec.json.decode(done.stdout) == [valid for valid, *_ in given_cases]
