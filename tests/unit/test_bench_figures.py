"""How a figure is shown, and which figures are chosen."""

from __future__ import annotations

import json

from benchmarks.figures import Figure, percentile
from benchmarks.run import _chosen, _names

FIGURE = Figure(name="trigger x y", value=5_000.0, unit="signals/s", limit=20_000.0, floor=10_000.0)


def test_json_holds_the_promised_fields_and_the_ratio_to_the_limit() -> None:
    assert json.loads(FIGURE.as_json()) == {
        "name": "trigger x y",
        "value": 5000.0,
        "unit": "signals/s",
        "limit": 20000.0,
        "promised": 10000.0,
        "met": False,
        "ratio": 0.25,
    }


def test_a_row_says_when_a_floor_is_missed() -> None:
    lag = Figure(name="lag", value=0.4, unit="s", limit=0.1, floor=1.0, at_most=True)

    assert FIGURE.as_row().endswith(">= 10,000  MISSED")
    assert lag.as_row().endswith("<= 1  met")


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_figures_of_a_missing_server_are_left_out_and_a_part_of_the_name_chooses() -> None:
    everything, alone = _names({}), _names({"rabbitmq": "not installed", "postgresql": "not installed"})

    assert len(everything) == len(set(everything)) == 14
    assert alone == [
        "trigger embedded sqlite",
        "http single embedded",
        "http latency embedded",
        "http batch embedded",
        "fire lag embedded sqlite",
        "backtest sqlite",
    ]
    assert _chosen(everything, ["batch"]) == {"http batch embedded", "http batch rabbitmq"}
