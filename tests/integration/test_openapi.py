"""Every operation of every service, held to its own description by requests that schemathesis makes up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31

from contracts.signals import KINDS
from contracts.times import HOUR
from services.trigger.store.records import note_worker
from services.trigger.wiring import Trigger
from shared.store import connected
from tests.support.configuring import running_config
from tests.support.desk import Desk
from tests.support.ingestion import configuration, configure, settings_for, start_ingestion

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
)
FEW, SOME, MANY = 4, 10, 100
"""Requests of an operation and mode: in what runs always; in the long run, of what is left out there; of the others."""

NOT_EXPLORED: Mapping[str, str] = {
    "GET /api/v1/moments/{moment_id}/stream": "never ends: held by test_trigger_streams.py",
    "POST /api/v1/webhooks/{webhook_id}/test": "asks a host outside: held by test_webhook_rest.py, with a host inside",
    **{
        f"POST /v1/signals/{kind.name}": "the same view as cart/add, with a schema that test_signal_schemas.py holds"
        for kind in KINDS
        if kind.name not in ("cart/add", "booking/start", "page/view")
    },
    **{f"POST /v1/{short}": "the same view as its long path" for short in "tpsigab"},
}
"""Operation → why it is left out of what runs always."""

NEVER_EXPLORED = tuple(name for name in NOT_EXPLORED if name.endswith(("/stream", "/test")))
"""What is left out of the long run, too."""

WRONG_BUT_TAKEN: Mapping[str, str] = {
    **dict.fromkeys(
        ("POST /v1/signals", *(f"POST /v1/signals/{kind.name}" for kind in KINDS)),
        "a batch is answered with 200 and a result for each of its signals, and 413 is the answer to what is too large",
    ),
    **{
        f"POST /v1/{call}": "as Segment's: single calls that are wrong are counted or told of in an answer of 200"
        for call in ("track", "page", "screen", "identify", "group", "alias", "batch", *"tpsigab")
    },
}
"""Operation → why a request that breaks its description may be answered with something else than a refusal."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service to be asked. `known`: parameter of a path → what is there. `alone`: what it cannot do alone → why."""

    app: Flask
    headers: Mapping[str, str]
    known: Mapping[str, str]
    alone: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, case: Any) -> None:
        """Lead some requests to what is there, in its present version."""
        if case.method == "DELETE":
            return
        case.path_parameters.update({name: self.known[name] for name in case.path_parameters if name in self.known})
        if "If-Match" in case.headers:
            case.headers["If-Match"] = "*" if (tag := self._version(case)) is None else tag

    def _version(self, case: Any) -> str | None:
        path = case.formatted_path.removesuffix("/preview").removesuffix("/status").removesuffix("/rotate-secret")
        answer = self.app.test_client().get(path.partition("/keys/")[0], headers=dict(self.headers))
        return answer.headers.get("ETag")


@contextmanager
def config(folder: Path, database_url: str) -> Iterator[Service]:
    with running_config(folder, database_url, start=False) as client:
        made = client.make_configuration()
        moment = client.make_moment(made["id"])
        person = {"email": "ada@example.com", "name": "Ada", "role": "editor"}
        user = client.call("POST", "/api/v1/users", person).document["user"]
        known = {"configuration_id": made["id"], "moment_id": moment["id"], "user_id": user["id"], "key": "web"}
        alone = {"POST /api/v1/moments/{moment_id}/preview": "asks trigger: held by test_preview_api.py, with trigger"}
        yield Service(client.service.app, {"Authorization": f"Bearer {client.token}"}, known, alone)


@contextmanager
def ingestion(folder: Path, database_url: str) -> Iterator[Service]:
    unlimited = {f"MOMENTS_LIMIT_{what}": "0" for what in ("KEY", "ADDRESS", "PROFILE")}
    started = start_ingestion(settings_for(folder, MOMENTS_INGESTION_DATABASE_URL=database_url, **unlimited))
    configure(started, configuration())
    yield Service(started.app, {"X-Api-Key": "sk_1:secret"}, {})
    started.close()


@contextmanager
def trigger(folder: Path, database_url: str) -> Iterator[Service]:
    settings = settings_for(folder, MOMENTS_TRIGGER_DATABASE_URL=database_url)
    desk = Desk(database_url)
    desk.run(duration="PT2H")
    desk.add("ada@example.com", "bob@example.com")
    desk.clock.advance(3 * HOUR)
    assert desk.fire() == 2
    desk.add("ada@example.com", kind="cart/purchase")
    with connected(desk.database):
        note_worker(desk.rows, "trigger-1", desk.now, [0])
    service = Trigger(settings, desk.clock)
    service.start()
    headers = {"Authorization": f"Bearer {settings.admin_token}"}
    webhook = {"name": "Mail", "url": "https://journeys.example.com/in", "patterns": ["moment.*"]}
    made = service.app.test_client().post("/api/v1/webhooks", json=webhook, headers=headers)
    assert made.status_code == 201, made.get_data()
    yield Service(service.app, headers, {"moment_id": "m1", "webhook_id": made.json["id"], "audience_id": "a"})
    service.close()
    desk.close()


Running = Callable[[Path, str], AbstractContextManager[Service]]
SERVICES = pytest.mark.parametrize("running", [config, ingestion, trigger], ids=lambda each: each.__name__)


POSTGRESQL = pytest.mark.postgresql


@pytest.mark.parametrize(
    ("running", "database_url"),
    [
        pytest.param(config, "postgresql", marks=POSTGRESQL),  # the stricter of the two about texts and numbers
        pytest.param(ingestion, "sqlite"),  # it asks its database nothing for a request
        pytest.param(trigger, "postgresql", marks=POSTGRESQL),
    ],
    indirect=["database_url"],
    ids=["config", "ingestion", "trigger"],
)
def test_every_service_keeps_to_its_description(running: Running, database_url: str, tmp_path: Path) -> None:
    with running(tmp_path, database_url) as service:
        statuses = explored(service, FEW, NOT_EXPLORED)

    assert sum(statuses.values()) > 100
    assert statuses[200] > 30
    assert statuses[401] > 0


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@SERVICES
def test_every_service_keeps_to_its_description_for_long(running: Running, database_url: str, tmp_path: Path) -> None:
    """To make up a hundred requests of a kind of signal takes a minute, and there are thirty with one view."""
    with running(tmp_path, database_url) as service:
        statuses = explored(service, MANY, NEVER_EXPLORED, fewer=NOT_EXPLORED)

    assert sum(statuses.values()) > 2_000


@SERVICES
def test_every_description_is_valid_and_every_exception_names_an_operation(running: Running, tmp_path: Path) -> None:
    with running(tmp_path, f"sqlite:///{tmp_path}/test.db") as service:
        document = service.app.test_client().get("/openapi.json").get_json()

    jsonschema.Draft202012Validator(OPENAPI_31).validate(document)
    if running is ingestion:
        described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
        mine = {name for name in {*NOT_EXPLORED, *WRONG_BUT_TAKEN} if " /v1/" in name}
        assert mine <= described


def explored(
    service: Service,
    examples: int,
    left_out: Mapping[str, str] | tuple[str, ...],
    fewer: Mapping[str, str] = MappingProxyType({}),
) -> Counter[int]:
    """Ask every operation what its description allows, and what it does not; how often each status was the answer.

    `fewer`: operations of which `SOME` are enough.
    """
    schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app)
    # What a query has beside what is described is not looked at, as everywhere: tags that mail programs add.
    schema.config.generation.allow_extra_parameters = False
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.label in left_out or operation.label in service.alone:
            continue
        number = SOME if operation.label in fewer else examples
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            explore(service, operation, mode, number, statuses)
    return statuses


def explore(service: Service, operation: Any, mode: GenerationMode, examples: int, statuses: Counter[int]) -> None:
    """So many requests; always the same ones."""
    checks = list(CHECKS)
    if mode is GenerationMode.NEGATIVE and operation.label not in WRONG_BUT_TAKEN:
        checks.append(negative_data_rejection)

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
        phases=[Phase.generate],
    )
    def hold(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            service.prepare(case)
        answer = case.call_and_validate(headers=dict(service.headers), checks=checks)
        statuses[answer.status_code] += 1
        if mode is GenerationMode.POSITIVE and answer.status_code in (400, 422):
            # Rules that no schema can say (a text without control characters, a cursor of ours) are told one by one.
            document = answer.json()
            assert document["errors"], document
            assert all(fault["reason"] for fault in document["errors"])

    try:
        hold()
    except Unsatisfiable:
        if mode is GenerationMode.POSITIVE:
            raise  # a description that no request can break is no fault
