"""The installed Chromium that the browser tests drive; Playwright's own builds are not used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")

# Nothing but the pages under test is asked for; a browser left alone looks for updates and accounts.
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program() -> Path | None:
    """Where the browser is."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None


def available() -> str | None:
    """None when a browser can be started here, else what is missing."""
    if program() is None:
        return "Chromium is not installed (Debian package chromium)"
    return None


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser without a window. Root may not use its sandbox."""
    path = program()
    if path is None:
        raise RuntimeError(available())
    unboxed = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_QUIET, *unboxed])
        try:
            yield browser
        finally:
            browser.close()
