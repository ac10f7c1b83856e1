"""Reads the signal log page by page and decodes every signal: what a back-test cannot do without."""

from __future__ import annotations

import os

from contracts.signals import decode_signal
from services.trigger.store import backtests
from services.trigger.store.rows import Rows
from shared.settings import Settings
from shared.store import connected, open_database

_PAGE = 5_000


def main() -> None:
    """Read the log of this environment."""
    settings = Settings.from_environment(os.environ)
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    with connected(database):
        rows = Rows(database)
        first, last = backtests.log_bounds(rows)
        before = first - 1
        while page := backtests.log_page(rows, before, last, _PAGE):
            for _, _, _, body in page:
                decode_signal(body)
            before = page[-1][0]


if __name__ == "__main__":
    main()
