"""`moments backtest --moment …`: a back-test of an installation, as a job of its trigger."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import sleep
from typing import Any

import click

from contracts.times import DAY, to_rfc3339
from services.cli.administering import admin_token, config_service, is_id, moment_named
from services.cli.failures import Failed, Unreachable
from services.cli.options import environment, settings_from
from services.cli.rest import Administration, administration
from services.cli.serve import port_of, url_of
from shared.clock import SystemClock

_PATH = "/api/v1/backtests"
_ASK_EVERY = 0.3
_ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the installation is, as the options say."""

    url: str | None
    token: str | None
    data: str | None

    def trigger(self) -> Administration:
        """Its trigger's API."""
        settings = settings_from(environment(self.data))
        port = port_of("trigger", settings.port_base)
        assert port is not None
        url = self.url or url_of(settings.host, port)
        return administration(url, admin_token(self.token, settings), name="trigger")

    def moment(self, moment: str) -> str:
        """The id of a moment, which may be named by its name where config is reached, too."""
        if self.url is not None or is_id(moment):
            return moment
        return moment_named(moment, config_service(None, self.token, self.data))


def run_job(place: Place, request: Mapping[str, Any], days: int | None, as_json: bool) -> None:
    """Ask for a back-test, show its progress, print its result. Ctrl-C cancels it."""
    api = place.trigger()
    since = {} if days is None else {"from": to_rfc3339(SystemClock().now() - days * DAY)}
    job = api.post(_PATH, {**request, **since})
    try:
        job = _follow(api, job)
    except BaseException:
        with suppress(Failed, Unreachable):
            api.post(f"{_PATH}/{job['id']}/cancel")
        raise
    if job["state"] != "done":
        raise Failed(f"The back-test {job['id']} is {job['state']}. {job['reason'] or ''}".strip())
    if as_json:
        click.echo(json.dumps(job, ensure_ascii=False, separators=(",", ":")))
    else:
        _print(job)


def _follow(api: Administration, job: dict[str, Any]) -> dict[str, Any]:
    """Ask for the job until it has ended. Reading and replaying are half of the bar each."""
    shown = 0
    with click.progressbar(length=1000, label="Back-test", file=sys.stderr, item_show_func=_rate) as bar:
        while True:
            job = api.get(f"{_PATH}/{job['id']}")
            progress = job["progress"]
            part = 1000 if job["state"] == "done" else _part(progress)
            bar.update(max(0, part - shown), progress)
            shown = max(shown, part)
            if job["state"] in _ENDED:
                return job
            sleep(_ASK_EVERY)


def _part(progress: Mapping[str, int]) -> int:
    return 500 * (progress["read"] + progress["replayed"]) // max(1, progress["total"])


def _rate(progress: Mapping[str, int] | None) -> str | None:
    return None if not progress else f"{progress['replayed']:,} of {progress['total']:,}, {progress['rate']:,}/s"


def _print(job: Mapping[str, Any]) -> None:
    result, request = job["result"], job["request"]
    click.echo(
        f"{request['type']}, {result['period']['from']} to {result['period']['to']}, signals: {result['signals']:,}"
    )
    columns = [result["base"], *([result["compared"]] if result["compared"] else [])]
    if result["compared"]:
        click.echo(f"  {'':<32}{'first':>14}{'second':>14}   (second: with --compare)")
    for title, values in _lines(columns):
        click.echo(f"  {title:<32}" + "".join(f"{value:>14}" for value in values))
    if result["comparison"]:
        found = result["comparison"]
        click.echo(
            f"{found['inBoth']:,} raises in both ({found['inBothAtAnotherTime']:,} at another time), "
            f"{found['onlyInBase']:,} only in the first, {found['onlyInCompared']:,} only in the second"
        )
    if result["agreement"]:
        found = result["agreement"]
        click.echo(f"{found['equal']:,} of {found['recorded']:,} recorded decisions are the same again")


def _lines(columns: list[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Title and one value for each column."""
    lines = [(name, [f"{column[name]:,}" for column in columns]) for name in ("opened", "raised", "pending")]
    for group in ("ended", "suppressed"):
        for reason in sorted({reason for column in columns for reason in column[group]}):
            lines.append((f"{group}: {reason}", [f"{column[group].get(reason, 0):,}" for column in columns]))
    shares = [column["recoveredShare"] for column in columns]
    lines.append(("profiles with a raise", [f"{column['profiles']['raised']:,}" for column in columns]))
    lines.append(("recovered", [f"{column['recovered']:,}" for column in columns]))
    lines.append(("recovered share", ["-" if share is None else f"{share:.1%}" for share in shares]))
    days = sorted({day["day"] for column in columns for day in column["days"]})
    for day in days:
        raised = [next((each["raised"] for each in column["days"] if each["day"] == day), 0) for column in columns]
        lines.append((f"raised on {day}", [f"{value:,}" for value in raised]))
    return lines
