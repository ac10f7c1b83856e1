"""API tokens: made once, kept as a hash, bound to a scope, and revoked everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.times import to_rfc3339
from services.config.keys import is_well_formed
from services.trigger.wiring import Trigger
from shared.clock import ManualClock
from tests.integration.trigger_rig import PARTITIONS, STACKS, running_rig, wait_until
from tests.support.configuring import CONFIGURATIONS, MOMENTS, SHOP, Client, running_config
from tests.support.processes import stretched

NOON = 1_790_000_000_000_000
SECOND = 1_000_000
TOKENS = "/api/v1/tokens"
NOTHING = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def config(tmp_path: Path, database_url: str, clock: ManualClock) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, clock=clock, start=False) as client:
        yield client


def make_token(config: Client, scope: str = "read", **fields: Any) -> dict[str, Any]:
    """The answer that shows a new token."""
    answer = config.call("POST", TOKENS, {"name": f"For {scope}", "scope": scope, **fields})
    assert answer.status == 201, answer.document
    made: dict[str, Any] = answer.document
    return made


def status(config: Client, token: str, method: str, path: str, document: Any = None, **headers: str) -> int:
    """The status of a request by a token."""
    return config.call(method, path, document, Authorization=f"Bearer {token}", **headers).status


def test_a_token_is_shown_once_and_kept_as_a_hash(config: Client) -> None:
    made = make_token(config)

    assert made["token"].startswith(f"{made['made']['beginning']}")
    assert made["token"].startswith("mat_")
    assert len(made["token"]) == 4 + 32 + 6
    assert is_well_formed(made["token"])
    (listed,) = config.get(TOKENS)["items"]
    assert listed == made["made"]
    stored = config.service.store.access
    with config.service.store.reading():
        (row,) = stored.tokens()
    assert made["token"] not in str(row)
    log = config.get("/api/v1/audit?kind=token")["items"]
    assert [(each["action"], each["actor"]) for each in log] == [("create", "admin token")]
    assert made["token"] not in str(log)
    assert row.hash not in str(log)


@pytest.mark.parametrize(
    ("method", "path", "document", "needed"),
    [
        ("GET", CONFIGURATIONS, None, "read"),
        ("GET", MOMENTS, None, "read"),
        ("GET", "/api/v1/templates", None, "read"),
        ("POST", f"{MOMENTS}/{NOTHING}/preview", {}, "read"),
        ("POST", CONFIGURATIONS, SHOP, "edit"),
        ("DELETE", f"{MOMENTS}/{NOTHING}", None, "edit"),
        ("POST", f"{MOMENTS}/{NOTHING}/status", {"status": "running"}, "edit"),
        ("GET", "/api/v1/users", None, "admin"),
        ("POST", "/api/v1/users", {"name": "B", "email": "b@example.com", "role": "admin"}, "admin"),
        ("POST", "/api/v1/users/first-link", {}, "admin"),
        ("GET", TOKENS, None, "admin"),
        ("POST", TOKENS, {"name": "more", "scope": "admin"}, "admin"),
        ("DELETE", f"{TOKENS}/{NOTHING}", None, "admin"),
        ("GET", "/api/v1/audit", None, "admin"),
    ],
)
def test_a_scope_allows_what_is_within_it(tmp_path: Path, method: str, path: str, document: Any, needed: str) -> None:
    with running_config(tmp_path, start=False) as config:
        scopes = ("read", "edit", "admin")
        for scope in scopes:
            token = make_token(config, scope)["token"]
            answer = config.call(method, path, document, Authorization=f"Bearer {token}")
            if scopes.index(scope) < scopes.index(needed):
                assert answer.status == 403
                assert needed in answer.document["detail"]
            else:
                assert answer.status not in (401, 403)


def test_every_route_that_changes_something_is_closed_to_reading(config: Client) -> None:
    token = make_token(config)["token"]
    looked_at = 0
    for rule in config.service.app.url_map.iter_rules():
        if not rule.rule.startswith("/api/") or rule.rule.endswith("/preview"):
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<uuid:{name}>", NOTHING).replace(f"<{name}>", "web")
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            assert status(config, token, method, path, {}) == 403, (method, path)
            looked_at += 1
    assert looked_at > 10


def test_a_revoked_token_and_one_that_looks_like_it_are_refused(config: Client) -> None:
    made = make_token(config)
    token = made["token"]
    assert status(config, token, "GET", MOMENTS) == 200
    for wrong in (token[:-1], token + "x", token.swapcase(), "mat_", "mat_é", ""):
        assert status(config, wrong, "GET", MOMENTS) == 401

    assert config.call("DELETE", f"{TOKENS}/{made['made']['id']}").status == 204
    assert config.call("DELETE", f"{TOKENS}/{made['made']['id']}").status == 204

    assert status(config, token, "GET", MOMENTS) == 401
    (listed,) = config.get(TOKENS)["items"]
    assert listed["revokedAt"] is not None
    assert [each["action"] for each in config.get("/api/v1/audit?kind=token")["items"]] == ["revoke", "create"]
    make_token(config)


def test_a_token_expires_at_its_instant(config: Client, clock: ManualClock) -> None:
    token = make_token(config, expiresAt=to_rfc3339(NOON + 60 * SECOND))["token"]

    clock.advance(60 * SECOND - 1)
    assert status(config, token, "GET", MOMENTS) == 200
    clock.advance(1)
    assert status(config, token, "GET", MOMENTS) == 401


def test_a_token_that_has_no_use_is_not_made(config: Client) -> None:
    make_token(config)

    for wrong, expected in (
        ({"name": "For read", "scope": "edit"}, 409),
        ({"name": "x", "scope": "read", "expiresAt": to_rfc3339(NOON)}, 422),
        ({"name": "x", "scope": "read", "expiresAt": "tomorrow"}, 422),
        ({"name": "x", "scope": "root"}, 422),
        ({"name": "", "scope": "read"}, 422),
        ({"scope": "read"}, 422),
    ):
        assert config.call("POST", TOKENS, wrong).status == expected, wrong


def test_the_use_of_a_token_is_noted_once_a_minute(config: Client, clock: ManualClock) -> None:
    token = make_token(config)["token"]

    def noted() -> str | None:
        found: str | None = config.get(TOKENS)["items"][0]["lastUsedAt"]
        return found

    assert noted() is None
    for seconds, expected in ((0, 0), (59, 0), (1, 60)):
        clock.advance(seconds * SECOND)
        assert status(config, token, "GET", MOMENTS) == 200
        assert noted() == to_rfc3339(NOON + expected * SECOND)


def test_what_a_token_does_is_written_down_under_its_name(config: Client) -> None:
    token = make_token(config, "edit", name="Deployment")["token"]

    made = config.call("POST", CONFIGURATIONS, SHOP, Authorization=f"Bearer {token}").document

    assert made["updatedBy"] == "token:Deployment"
    (entry,) = config.get(f"/api/v1/audit?resourceId={made['id']}")["items"]
    assert entry["actor"] == "token:Deployment"


@pytest.mark.parametrize("stack", STACKS)
def test_trigger_takes_a_token_within_its_scope_and_refuses_it_two_seconds_after_it_was_revoked(
    request: pytest.FixtureRequest, tmp_path: Path, stack: str
) -> None:
    with running_rig(request, tmp_path, stack) as rig:
        variables = {"MOMENTS_PARTITIONS": str(PARTITIONS), "MOMENTS_ADMIN_TOKEN": "a-token-for-the-tests"}
        with running_config(tmp_path, broker_url=rig.settings.broker_url, **variables) as config:
            early = make_token(config, "admin")  # before the worker's first start: it learns by a snapshot
            rig.started()
            trigger = Trigger(rig.settings, rig.clock)
            trigger.start()
            try:
                client = trigger.app.test_client()

                def answers(token: str, method: str = "GET", path: str = "/api/v1/webhooks") -> int:
                    headers = {"Authorization": f"Bearer {token}"}
                    return client.open(
                        path, method=method, headers=headers, json=None if method == "GET" else {}
                    ).status_code

                made = make_token(config, "read")
                wait_until(lambda: answers(made["token"]) == 200, "trigger to know the token", 10)
                wait_until(lambda: answers(early["token"]) == 200, "trigger to know the earlier token", 10)
                assert answers(made["token"], "POST") == 403
                assert answers(made["token"], "POST", "/api/v1/moments/m1/preview") not in (401, 403)
                assert answers(early["token"], "POST") == 422
                assert answers("mat_unknown") == 401

                began = time.monotonic()
                config.call("DELETE", f"{TOKENS}/{made['made']['id']}")
                wait_until(lambda: answers(made["token"]) == 401, "trigger to refuse the token", 10)
                assert time.monotonic() - began < stretched(2)
                assert answers(early["token"]) == 200
            finally:
                trigger.close()


def test_an_older_state_does_not_bring_a_revoked_token_back(tmp_path: Path) -> None:
    from contracts.tokens import TokenState
    from services.trigger.store.migrations import MIGRATIONS
    from services.trigger.store.rows import Rows
    from services.trigger.store.tokens import find_token, save_token
    from shared.store import close_database, connected, migrate, open_database

    database = open_database(f"sqlite://{tmp_path}/trigger.db", schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows = Rows(database)
    state: Callable[..., TokenState] = lambda version, deleted: TokenState(  # noqa: E731
        id="t", version=version, name="T", hash="h", deleted=deleted
    )
    with connected(database), database.atomic():
        save_token(rows, state(2, True))
        save_token(rows, state(1, False))

    assert find_token(rows, "h") is None
    close_database(database)
