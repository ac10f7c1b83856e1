"""`./moments up` as a person meets it: demo, refusals, crashes, the end."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from hashlib import blake2b
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.cli.rest import Client
from tests.acceptance.program import Up, run
from tests.support.processes import free_port_base, wait_until

MOMENT = re.compile(r"\d\d:\d\d:\d\d  (cart_abandon|browse_abandon) .* #(\d+)")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running demo, shared by the tests of this file; the last one stops it."""
    up = Up(tmp_path_factory.mktemp("demo") / "data", free_port_base(), ("--demo",))
    up.start()
    yield up
    up.stop()


def test_it_prints_the_urls_and_the_token_when_all_are_ready(demo: Up) -> None:
    printed = "\n".join(demo.seen)

    for service in ("config", "ingestion", "trigger"):
        assert demo.url(service) in printed
        demo.wait_until_ready(service)
    assert (demo.data / "admin-token").read_text().strip() in printed
    (link,) = re.findall(r"first user +(http://\S+/welcome/\S+)", printed)
    assert link.startswith(demo.url("config"))
    asking = Client(demo.url("config"), {"Connection": "close", "X-Forwarded-Proto": "https", "Path-Info": "/docs"})
    page = asking.call("GET", urlsplit(link).path)
    assert page.status == 200
    assert page.headers["set-cookie"].startswith(f"moments-browser-{demo.port_base}=")


def test_users_are_invited_listed_and_kept_out_by_the_command_line(demo: Up) -> None:
    where = ("--data", str(demo.data), "--url", demo.url("config"))

    invited = run("users", "invite", "Bo@example.com", "--name", "Bo", "--role", "editor", *where)
    assert invited.returncode == 0, invited.stderr
    assert run("users", "invite", "bo@EXAMPLE.com", *where).returncode == 1
    again = run("users", "reset", "bo@example.com", *where)
    links = [done.stdout.splitlines()[-1] for done in (invited, again)]
    asking = Client(demo.url("config"), {"Connection": "close"})
    assert [asking.call("GET", urlsplit(link).path).status for link in links] == [404, 200]
    assert run("users", "disable", "bo@example.com", *where).returncode == 0
    (user,) = json.loads(run("users", "list", "--json", *where).stdout)
    assert (user["email"], user["role"], user["status"]) == ("Bo@example.com", "editor", "disabled")
    assert "editor  disabled  Bo@example.com" in run("users", "list", *where).stdout


def test_the_first_moment_comes_within_a_minute_and_the_count_rises(demo: Up) -> None:
    first = demo.line(MOMENT.match, timeout=60)
    later = demo.line(MOMENT.match, timeout=60)

    numbers = [int(MOMENT.match(line)[2]) for line in (first, later)]  # type: ignore[index]
    assert numbers == [1, 2]


def test_a_second_start_on_the_same_folder_is_refused(demo: Up) -> None:
    done = run("up", "--data", str(demo.data), "--port-base", str(free_port_base()))

    assert done.returncode == 4
    assert "already runs on the data folder" in done.stderr
    assert str(demo.data) in done.stderr
    assert done.stdout == ""


def test_a_taken_port_is_told_before_anything_starts(demo: Up, tmp_path: Path) -> None:
    done = run("up", "--data", str(tmp_path), "--port-base", str(demo.port_base - 1))

    assert done.returncode == 4
    assert f"Port {demo.port_base} for ingestion" in done.stderr
    assert "--port-base" in done.stderr
    assert not (tmp_path / "logs").exists()


def test_keys_are_listed_and_switched(demo: Up) -> None:
    where = ("--data", str(demo.data), "--url", demo.url("config"))

    listed = json.loads(run("keys", "list", "--json", *where).stdout)
    app = next(key["id"] for key in listed if key["type"] == "app")
    switched = run("keys", "disable", app, *where)
    again = json.loads(run("keys", "list", "--json", *where).stdout)

    assert {key["type"] for key in listed} == {"web", "app", "server"}
    assert all(key["enabled"] for key in listed)
    assert switched.returncode == 0, switched.stderr
    assert [key["enabled"] for key in again if key["id"] == app] == [False]
    assert run("keys", "enable", "pk_unknown", *where).returncode == 1


def test_another_journey_sees_moments_too(demo: Up) -> None:
    done = run("watch", "--json", "--count", "2", "--for", "240", "--data", str(demo.data), timeout=300)

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len({event["id"] for event in events}) == 2
    assert all(event["type"] in ("moment.cart_abandon", "moment.browse_abandon") for event in events)


def test_neither_the_address_nor_the_browser_of_a_visitor_is_in_any_store_or_log(demo: Up) -> None:
    demo.line(MOMENT.match, timeout=60)  # its shop stands by now
    address, agent, whose = "127.77.66.55", "Mozilla/5.0 (Peculiar; rv:77.66)", "traceable@example.com"
    configuration = demo.client("config").call("GET", "/api/v1/audience-configurations").document["items"][0]
    key = next(each["id"] for each in configuration["keys"] if each["type"] == "web")
    site = configuration["domains"][0]

    def sent(path: str, key: str, **data: object) -> int:
        connection = HTTPConnection("127.0.0.1", demo.port_base + 1, source_address=(address, 0))
        body = {"id": path + key, "time": "2026-11-23T10:15:30Z", "data": {"email": whose, "site": site, **data}}
        headers = {"X-Api-Key": key, "Origin": f"https://{site}", "User-Agent": agent, "X-Forwarded-For": address}
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        with connection.getresponse() as answer:
            answer.read()
        connection.close()
        return answer.status

    def known(outcome: str) -> bool:
        path = f"/api/v1/signals/recent?profile={whose}&idType=email&outcome={outcome}"
        return bool(demo.client("trigger").call("GET", path).document["items"])

    assert sent("/v1/signals/page/view", key) == 200
    assert sent("/v1/signals/cart/add", key) == 422
    assert sent("/v1/signals/page/view", "pk_nobody") == 401
    wait_until(lambda: known("accepted") and known("refused"), "trigger to know both signals", 30)

    files = [path for path in demo.data.rglob("*") if path.is_file()]
    held = {path.name: path.read_bytes() for path in files}
    assert any(whose.encode() in content for content in held.values()), "the signals themselves are found like this"
    unkeyed = blake2b(f"address\0{address}".encode(), digest_size=8).digest()
    for trace in (address.encode(), b"Peculiar", unkeyed, unkeyed[::-1]):
        assert [name for name, content in held.items() if trace in content] == []
    assert address not in "\n".join(demo.seen)


def test_a_recorded_log_is_sent_in(demo: Up, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    data = {"signal": "cart/add", "email": "ada@example.com", "cartId": "c", "items": [{"productId": "p"}]}
    log.write_text(json.dumps({"id": "sent-1", "time": "2026-11-23T10:15:30Z", "data": data}) + "\n")
    configuration = demo.client("config").call("GET", "/api/v1/audience-configurations").document["items"][0]
    path = f"/api/v1/audience-configurations/{configuration['id']}/keys/server"
    keys = demo.client("config").call("POST", f"{path}/regenerate", {}).document["keys"]
    server = next(key for key in keys if key.get("secret"))
    demo.client("config").call("PATCH", path, {"enabled": True})

    given = (
        "--format",
        "jsonl",
        "--key",
        f"{server['id']}:{server['secret']}",
        "--url",
        demo.url("ingestion"),
        "--json",
    )
    done = run("send", str(log), *given)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == 1


@pytest.mark.parametrize("program", ["services.config.wsgi", "services.ingestion.wsgi", "services.trigger.worker"])
def test_a_killed_program_is_started_again(demo: Up, program: str) -> None:
    before = demo.processes(program)

    os.kill(before[0], signal.SIGKILL)
    demo.line(lambda line: "was killed (SIGKILL) and starts again in" in line)

    wait_until(lambda: set(demo.processes(program)) - set(before), f"{program} to run again")
    for service in ("config", "ingestion", "trigger"):
        demo.wait_until_ready(service)
    demo.line(MOMENT.match, timeout=60)


def test_the_ledger_balances_while_it_runs(demo: Up) -> None:
    done = run("audit", "--data", str(demo.data))

    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_leaves_nothing_behind_and_a_second_demo_finds_its_shop_again(demo: Up) -> None:
    code = demo.signal(signal.SIGINT)
    left = demo.processes()
    demo.start()
    names = [
        [each["name"] for each in demo.client("config").call("GET", path).document["items"]]
        for path in ("/api/v1/audience-configurations", "/api/v1/moments")
    ]

    assert code == 0
    assert left == []
    assert [len(found) for found in names] == [1, 2]


def test_when_the_supervisor_is_killed_nothing_goes_on_without_it(demo: Up) -> None:
    assert demo.processes("services.trigger.worker")

    demo.signal(signal.SIGKILL)

    wait_until(lambda: not demo.processes(), "all programs to end", timeout=20)
