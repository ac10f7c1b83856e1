"""The readers of recorded logs."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest

from contracts.times import from_rfc3339
from services.cli.formats import UnreadableLog, UnreadableRow, read_jsonl, read_rees46

HEADER = "event_time,event_type,product_id,price,user_id,user_session"
LONG_HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"


def test_each_kind_of_row_becomes_its_signal() -> None:
    rows = [
        HEADER,
        "2022-10-01 00:00:00 UTC,view,1,2.62,7,s",
        "2022-10-01 00:00:01 UTC,cart,1,2.62,7,s",
        "2022-10-01 00:00:02 UTC,remove_from_cart,1,2.62,7,s",
        "2022-10-01 00:00:03 UTC,purchase,1,2.62,7,s",
    ]

    records = list(read_rees46(rows, name="log.csv"))

    kinds = [record.envelope["data"]["signal"] for record in records]
    assert kinds == ["product/view", "cart/add", "cart/remove", "cart/purchase"]
    assert [record.row for record in records] == [1, 2, 3, 4]


def test_a_cart_row_carries_profile_cart_session_item_and_time() -> None:
    rows = [LONG_HEADER, "2019-10-01 00:00:05 UTC,cart,44600062,2103,home.lamp,shiseido,35.79,541,abc"]

    (record,) = read_rees46(rows, name="log.csv")

    assert record.time == from_rfc3339("2019-10-01T00:00:05Z")
    assert record.envelope["time"] == "2019-10-01T00:00:05.000Z"
    assert record.envelope["data"] == {
        "signal": "cart/add",
        "idType": "external",
        "customerId": "541",
        "sessionId": "abc",
        "cartId": "abc",
        "items": [{"productId": "44600062", "price": 35.79, "category": "home.lamp", "quantity": 1}],
    }


def test_identical_rows_are_distinct_signals_with_ids_of_file_and_row() -> None:
    row = "2022-10-01 00:00:00 UTC,cart,1,2.62,7,s"

    first, second = read_rees46([HEADER, row, row], name="log.csv")

    assert first.envelope["id"] == str(uuid.uuid5(uuid.NAMESPACE_URL, "log.csv:1"))
    assert second.envelope["id"] != first.envelope["id"]


def test_a_run_has_ids_of_its_own_and_the_same_run_the_same_ids() -> None:
    def ids(run: str) -> list[str]:
        rows = [HEADER, "2022-10-01 00:00:00 UTC,cart,1,2.62,7,s"]
        return [record.envelope["id"] for record in read_rees46(rows, name="log.csv", run=run)]

    assert ids("monday") == ids("monday")
    assert len({*ids(""), *ids("monday"), *ids("tuesday")}) == 3


def test_a_row_without_session_has_neither_cart_nor_session_id() -> None:
    (record,) = read_rees46([HEADER, "2022-10-01 00:00:00 UTC,cart,1,2.62,7,"], name="log.csv")

    assert not {"cartId", "sessionId"} & set(record.envelope["data"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2022-10-01 00:00:00 UTC,wish,1,2.62,7,s", "event_type"),
        ("yesterday,cart,1,2.62,7,s", "event_time"),
        ("2022-10-01 00:00:00,cart,1,2.62,7,s", "event_time"),
        ("2022-10-01 00:00:00 UTC,cart,1,cheap,7,s", "price"),
        ("2022-10-01 00:00:00 UTC,cart,,2.62,7,s", "product_id"),
        ("2022-10-01 00:00:00 UTC,cart,1,2.62", "user_id"),
    ],
)
def test_a_bad_row_is_told_by_its_number_and_the_rest_is_read(row: str, reason: str) -> None:
    good = "2022-10-01 00:00:00 UTC,cart,1,2.62,7,s"
    faults: list[UnreadableRow] = []

    records = list(read_rees46([HEADER, good, row, good], name="log.csv", on_fault=faults.append))

    assert [record.row for record in records] == [1, 3]
    assert [fault.row for fault in faults] == [2]
    assert reason in faults[0].reason


def test_another_file_is_refused_by_its_header() -> None:
    with pytest.raises(UnreadableLog, match="user_session"):
        list(read_rees46(["a,b,c", "1,2,3"], name="log.csv"))


def test_a_line_of_json_is_kept_as_it_is() -> None:
    envelope = {"id": "a", "time": "2026-11-23T10:15:30Z", "data": {"signal": "cart/add", "email": "ada@example.com"}}

    (record,) = read_jsonl(["", json.dumps(envelope)], name="log.jsonl")

    assert record.envelope == envelope
    assert record.time == from_rfc3339("2026-11-23T10:15:30Z")
    assert record.row == 2


def test_a_line_with_an_id_gets_another_for_each_run() -> None:
    line = json.dumps({"id": "a", "time": "2026-11-23T10:15:30Z", "data": {"signal": "cart/add"}})

    (plain,) = read_jsonl([line], name="log.jsonl")
    (named,) = read_jsonl([line], name="log.jsonl", run="monday")

    assert plain.envelope["id"] == "a"
    assert named.envelope["id"] not in ("a", "")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"id": "a", "time": "2026-11-23T10:15:30Z"}',
        '{"id": "a", "time": "2026-11-23T10:15:30", "data": {"signal": "cart/add"}}',
        '{"id": "a", "data": {"signal": "cart/add"}}',
        '{"id": "a", "time": "2026-11-23T10:15:30Z", "data": {"signal": "cart/eat"}}',
        '{"id": "a", "time": 5, "data": {"signal": ["cart/add"]}}',
    ],
)
def test_a_line_that_is_no_signal_is_a_fault(line: str) -> None:
    with pytest.raises(UnreadableRow):
        list(read_jsonl([line], name="log.jsonl"))


@pytest.mark.skipif("MOMENTS_SAMPLE_DATA" not in os.environ, reason="MOMENTS_SAMPLE_DATA names no folder of shop logs")
@pytest.mark.parametrize("name", ["cosmetics_2022_oct.csv", "multi_category_2019_10_01.csv"])
def test_a_real_shop_log_is_read_whole(name: str) -> None:
    path = Path(os.environ["MOMENTS_SAMPLE_DATA"]) / name

    with path.open(encoding="utf-8", newline="") as lines:
        records = list(read_rees46(lines, name=name))

    assert len(records) == len(path.read_text(encoding="utf-8").splitlines()) - 1
    assert len({record.envelope["id"] for record in records}) == len(records)
