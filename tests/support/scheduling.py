"""Which tests go together to one of the processes that run side by side, and which begin first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_TOGETHER = ("tests/browser",)
"""Folders whose tests share an installation and a browser: each process that ran one of them would start its own."""

_FIRST = (
    "tests/browser/",
    "tests/acceptance/test_shop_log.py",
    "tests/integration/test_client_libraries.py",
    "tests/acceptance/",
    "tests/simulation/",
    "tests/contract/",
    "tests/integration/test_trigger_faults.py",
    "tests/fuzz/",
    "tests/property/",
    "tests/integration/",
)
"""Files and folders of few and long tests, the longest first: what is short fills the processes at the end."""


class Scheduling(LoadScopeScheduling):
    """A file, or a folder of `_TOGETHER`, to a process, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """The file or folder that a test goes along with."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in _TOGETHER if file.startswith(f"{folder}/")), file)


def in_order(nodeids: Sequence[str]) -> list[int]:
    """The places of tests in the order in which they are to begin; within a folder it stays as it was."""
    return sorted(range(len(nodeids)), key=lambda place: _rank(nodeids[place]))


def _rank(nodeid: str) -> int:
    return next((rank for rank, folder in enumerate(_FIRST) if nodeid.startswith(folder)), len(_FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """By file, where that is asked for; see `Scheduling`."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first."""
    items[:] = [items[place] for place in in_order([item.nodeid for item in items])]
