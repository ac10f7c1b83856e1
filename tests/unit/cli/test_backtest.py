"""`moments backtest` as it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli.backtest import backtest

HEADER = "event_time,event_type,product_id,price,user_id,user_session"
LEFT = "2022-10-01 00:00:00 UTC,cart,1,2.50,7,s"
BOUGHT = ["2022-10-01 00:01:00 UTC,cart,2,4.00,8,t", "2022-10-01 00:02:00 UTC,purchase,2,4.00,8,t"]


def run(path: Path, *arguments: str) -> tuple[int, list[Any]]:
    """Exit code, and the lines of JSON."""
    given = [str(path), "--format", "rees46", "--json", *arguments]
    ended = CliRunner().invoke(backtest, given, catch_exceptions=False)
    return ended.exit_code, [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([HEADER, LEFT, *BOUGHT]) + "\n")
    return path


def test_each_raise_is_one_line_and_the_summary_is_the_last(log: Path) -> None:
    code, (raised, summary) = run(log, "--template", "cart_abandon", "--set", "duration=PT10M")

    assert code == 0
    assert raised["raisedAt"] == "2022-10-01T00:10:00.000Z"
    assert raised["profile"] == {"idType": "external", "id": "7"}
    assert raised["process"] == {"kind": "cart", "id": "s"}
    assert raised["content"]["items"] == [{"productId": "1", "quantity": 1, "price": 2.5}]
    assert (summary["raises"], summary["profiles"], summary["signals"]) == (1, 1, 3)


def test_a_bad_row_is_counted_and_ends_with_1(log: Path) -> None:
    log.write_text(log.read_text() + "never,cart,1,1,1,1\n")

    code, lines = run(log, "--template", "cart_abandon")

    assert code == 1
    assert sum(lines[-1]["unreadable"].values()) == 1
    assert lines[-1]["signals"] == 3


def test_a_signal_that_ingestion_would_refuse_is_counted_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    bad = {"id": "a", "time": "2026-11-23T10:00:00Z", "data": {"signal": "cart/add", "email": "nobody"}}
    path.write_text(json.dumps(bad) + "\n")

    ended = CliRunner().invoke(backtest, [str(path), "--format", "jsonl", "--template", "cart_abandon", "--json"])

    assert ended.exit_code == 1
    assert "/data/email" in next(iter(json.loads(ended.stdout)["unreadable"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--template", "cart"], "cart_abandon"),
        (["--template", "cart_abandon", "--set", "duration=10"], "PT10M"),
        (["--template", "cart_abandon", "--set", "duration"], "name=value"),
        (["--template", "cart_abandon", "--set", "speed=2"], "speed"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_is_right(log: Path, arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(backtest, [str(log), "--format", "rees46", *arguments])

    assert ended.exit_code == 2
    assert said in ended.stderr


def test_a_file_of_another_format_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,2\n")

    ended = CliRunner().invoke(backtest, [str(path), "--format", "rees46", "--template", "cart_abandon"])

    assert ended.exit_code == 1
    assert "rees46" in ended.stderr


@pytest.mark.parametrize(
    ("name", "template", "duration", "raises", "profiles"),
    [
        ("cosmetics_2022_oct.csv", "cart_abandon", "PT10M", 41, 36),
        ("cosmetics_2022_oct.csv", "cart_abandon", "PT5M", 56, 38),
        ("cosmetics_2022_oct.csv", "cart_abandon", "PT30M", 38, 36),
        ("cosmetics_2022_nov.csv", "cart_abandon", "PT10M", 57, 50),
        ("cosmetics_2022_nov.csv", "cart_abandon", "PT5M", 69, 51),
        ("cosmetics_2022_nov.csv", "cart_abandon", "PT30M", 53, 48),
        ("multi_category_2019_10_01.csv", "cart_abandon", "PT10M", 57, 55),
        ("cosmetics_2022_oct.csv", "browse_abandon", "PT10M", 88, 75),
        ("cosmetics_2022_nov.csv", "browse_abandon", "PT10M", 196, 139),
        ("multi_category_2019_10_01.csv", "browse_abandon", "PT10M", 4857, 4311),
    ],
)
def test_the_real_shop_logs_give_the_known_raises(
    sample_data: Path, name: str, template: str, duration: str, raises: int, profiles: int
) -> None:
    code, lines = run(sample_data / name, "--template", template, "--set", f"duration={duration}")

    assert code == 0
    assert (lines[-1]["raises"], lines[-1]["profiles"]) == (raises, profiles)
    assert len(lines) == raises + 1
    assert len({line["profile"]["id"] for line in lines[:-1]}) == profiles
