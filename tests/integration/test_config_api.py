"""Guards over config's whole API: authentication, documents, and hostile input that schemathesis makes up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from services.config.access.viewer import needed_role, why_public
from shared.http import PUBLIC
from tests.support.configuring import Client, running_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for tests that only look at it."""
    with running_config(tmp_path_factory.mktemp("config"), start=False) as client:
        yield client


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield path, method, item[method]


def is_page(app: Flask, endpoint: str) -> bool:
    """Whether a route is for people; its view declares whom."""
    return endpoint.partition(".")[0] in {page.name for page in app.extensions["moments-pages"].blueprints}


def test_every_route_needs_the_token_or_says_why_not(config: Client) -> None:
    app = config.service.app
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if is_page(app, rule.endpoint):
            view = app.view_functions[rule.endpoint]
            assert needed_role(view) or why_public(view), rule.rule
            continue
        path = rule.rule.replace("<uuid:configuration_id>", "0" * 32).replace("<uuid:moment_id>", "0" * 32)
        if rule.endpoint == "static":
            continue
        for method in rule.methods or ():
            answer = client.open(path.replace("<key>", "web"), method=method)
            if rule.rule in PUBLIC:
                assert PUBLIC[rule.rule]
                assert answer.status_code == 200
            elif "uuid:" not in rule.rule:
                assert answer.status_code == 401, rule.rule


def test_every_operation_declares_what_it_takes_and_gives(config: Client) -> None:
    document = config.get("/openapi.json")

    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"].endswith("."), where
        success = [status for status in operation["responses"] if status.startswith("2")]
        assert success, where
        assert success == ["204"] or all("content" in operation["responses"][status] for status in success), where
        assert "requestBody" in operation or method in ("get", "delete"), where
        assert "default" in operation["responses"], where
        if method == "patch" and "{key}" not in path:
            assert {"412", "428"} <= set(operation["responses"]), where


def test_every_route_is_in_the_document(config: Client) -> None:
    documented = set(config.get("/openapi.json")["paths"])

    for rule in config.service.app.url_map.iter_rules():
        if rule.endpoint in ("static", "docs", "api-docs.openapi_json") or is_page(config.service.app, rule.endpoint):
            continue
        path = rule.rule.replace("<uuid:", "{").replace("<", "{").replace(">", "}")
        assert path in documented


def test_the_document_says_how_long_a_secret_is_seen(config: Client, tmp_path: Path) -> None:
    key = config.get("/openapi.json")["components"]["schemas"]["Key"]

    assert "only in the answer" in key["properties"]["secret"]["description"]
    assert key["properties"]["secret"]["readOnly"] is True
