"""`moments keys kinds` and `signing` with a config service behind a port, and what `moments send` does by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from contracts.signatures import signing_secret
from services.cli.keys import keys
from services.cli.send import send
from tests.support.configuring import Client, running_config
from tests.support.ingestion import PEPPER, configuration, configure, settings_for, start_ingestion
from tests.support.serving import served

CONFIGURATIONS = "/api/v1/audience-configurations"


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """The services of this process log elsewhere than where a command prints."""
    with capture_logs():
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_config(tmp_path_factory.mktemp("config"), start=False, MOMENTS_SECRET_PEPPER=PEPPER) as client:
        yield client


@pytest.fixture(scope="module")
def url(config: Client) -> Iterator[str]:
    with served(config.service.app) as port:
        yield f"http://127.0.0.1:{port}"


class Shop:
    """An audience configuration of its own, and the command line for its keys."""

    def __init__(self, config: Client, url: str) -> None:
        self._config, self._url = config, url
        made = config.make_configuration()
        self.id = made["id"]
        self.keys: dict[str, str] = {key["type"]: key["id"] for key in made["keys"]}

    def call(self, command: str, *more: str) -> Result:
        """One command on `moments keys`."""
        where = ["--url", self._url, "--token", self._config.token]
        return CliRunner().invoke(keys, [command, *more, *where], catch_exceptions=False)

    def key(self, type: str) -> dict[str, object]:
        """A key as config has it now."""
        found: list[dict[str, object]] = self._config.get(f"{CONFIGURATIONS}/{self.id}")["keys"]
        return next(each for each in found if each["type"] == type)


@pytest.fixture
def shop(config: Client, url: str) -> Shop:
    return Shop(config, url)


def test_a_key_is_limited_to_kinds_and_set_free_again(shop: Shop) -> None:
    web = shop.keys["web"]

    limited = shop.call("kinds", web, "cart/add", "page/view", "cart/add")
    shown = shop.call("kinds", web)
    kept = shop.key("web")["kinds"]
    listed = shop.call("list")
    free = shop.call("kinds", web, "--all", "--json")

    assert (limited.exit_code, shown.exit_code, free.exit_code) == (0, 0, 0)
    assert kept == ["cart/add", "page/view"]
    assert shown.stdout == limited.stdout
    assert shown.stdout.splitlines()[1:] == ["  cart/add", "  page/view"]
    assert "2 kinds" in next(line for line in listed.stdout.splitlines() if web in line)
    assert (json.loads(free.stdout)["id"], json.loads(free.stdout)["kinds"]) == (web, None)
    every = shop.call("kinds", web)
    assert "  cart/add" in every.stdout
    assert "order/ship" not in every.stdout


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["kinds", "web", "cart/ad"], 2, "did you mean cart/add"),
        (["kinds", "web", "xyz"], 2, "moments signals"),
        (["kinds", "web", "order/ship"], 2, "A web key never sends order/ship. It can send: cart/add"),
        (["kinds", "web", "cart/add", "--all"], 2, "not both"),
        (["kinds", "pk_nobody", "cart/add"], 1, "moments keys list"),
        (["signing", "web", "required"], 2, "Only server keys sign"),
        (["signing", "server", "yes"], 2, "required"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(shop: Shop, given: list[str], code: int, said: str) -> None:
    command, key, *more = given
    before = [shop.key(type) for type in shop.keys]

    ended = shop.call(command, shop.keys.get(key, key), *more)

    assert (ended.exit_code, said in ended.stderr) == (code, True), ended.stderr
    assert [shop.key(type) for type in shop.keys] == before


def test_signing_is_required_its_secret_told_and_let_go(shop: Shop, config: Client) -> None:
    server = shop.keys["server"]
    secret = signing_secret(PEPPER.encode(), server)

    before, required, shown = (shop.call("signing", server, *more) for more in ([], ["required"], []))
    signed = shop.key("server")["signed"]
    again = json.loads(shop.call("signing", f"{server}:its-secret", "required", "--json").stdout)
    listed = shop.call("list")
    off = shop.call("signing", server, "off")

    assert "none has to be signed" in before.stdout
    assert f"export MOMENTS_SIGNING_SECRET={secret}\n" in required.stdout
    assert server in required.stdout.partition("curl")[2]
    assert signed is True
    assert secret not in shown.stdout
    assert f"moments keys signing {server} required" in shown.stdout
    assert again["signingSecret"] == secret
    assert "all kinds, signed" in next(line for line in listed.stdout.splitlines() if server in line)
    assert (off.exit_code, shop.key("server")["signed"]) == (0, False)


def test_a_log_is_sent_signed_and_with_consent_to_an_ingestion_that_wants_both(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    data = {"signal": "cart/add", "email": "ada@example.com", "items": [{"productId": "p"}]}
    log.write_text(json.dumps({"id": "1", "time": "2026-11-23T10:15:30Z", "data": data}) + "\n")
    ingestion = start_ingestion(settings_for(tmp_path / "ingestion", MOMENTS_PARTITIONS="2"))
    *others, server = configuration().keys
    wanting = configuration(keys=(*others, msgspec.structs.replace(server, signed=True)), consent_required=True)
    configure(ingestion, wanting)

    with served(ingestion.app) as port:
        given = [str(log), "--format", "jsonl", "--key", "sk_1", "--url", f"http://127.0.0.1:{port}"]
        environment = {"MOMENTS_SIGNING_SECRET": signing_secret(PEPPER.encode(), "sk_1")}
        without = CliRunner().invoke(send, [*given, "--no-consent"], env=environment)
        done = CliRunner().invoke(send, [*given, "--consent", "--json"], env=environment)
    ingestion.close()

    assert (without.exit_code, "give --consent" in without.stdout) == (1, True), without.output
    assert (done.exit_code, json.loads(done.stdout)["accepted"]) == (0, 1), done.output
