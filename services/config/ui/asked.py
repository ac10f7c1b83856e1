"""Which part of the list of moments is looked at: filters, order and page, as they stand in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from contracts.moments import STATUSES
from services.config.resources import Listing

PATH = "/moments"
PAGE_SIZE = 20
FILTERS = ("search", "status", "type", "configuration")
NUMBERS = ("raised", "waiting")
_LONGEST_SEARCH = 200
_MOST_PAGES = 1_000_000
_MOST_DIGITS = 8
_LATEST = "-updated"
_COLUMNS = {
    "name": "name",
    "type": "type",
    "configuration": "configuration",
    "status": "standing",
    "updated": "updated_at",
    **{name: name for name in NUMBERS},
}
_SORTS = frozenset(f"{sign}{name}" for name in _COLUMNS for sign in ("", "-"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. `sort`: a column, `-` before it for the greatest first."""

    search: str = ""
    status: str = ""
    type: str = ""
    configuration: str = ""
    sort: str = _LATEST
    page: int = 1

    @property
    def listing(self) -> Listing:
        """The page as the store is asked for it."""
        sign, column = ("-", self.sort[1:]) if self.sort.startswith("-") else ("", self.sort)
        return Listing(page=self.page, page_size=PAGE_SIZE, search=self.search, sort=sign + _COLUMNS[column])

    @property
    def filters(self) -> dict[str, str]:
        """Columns and the values that they must have."""
        wanted = {"status": self.status, "type": self.type, "configuration_id": self.configuration}
        return {column: value for column, value in wanted.items() if value}

    @property
    def by_number(self) -> bool:
        """Whether the order is by a number that only trigger knows."""
        return self.sort.removeprefix("-") in NUMBERS

    @property
    def filtered(self) -> tuple[str, ...]:
        """The names of the filters that are on."""
        return tuple(name for name in FILTERS if getattr(self, name))

    def but(self, page: int = 1, **changes: Any) -> Asked:
        """The same with changes; another filter or order begins at the first page."""
        return replace(self, page=page, **changes)

    def without(self, name: str) -> Asked:
        """The same without one filter."""
        dropped: dict[str, Any] = {name: ""}
        return self.but(**dropped)

    @property
    def given(self) -> dict[str, str]:
        """What is asked for but for the usual, as the arguments of an address."""
        usual = Asked()
        names = (name for name in (*FILTERS, "sort", "page") if getattr(self, name) != getattr(usual, name))
        return {name: str(getattr(self, name)) for name in names}

    def url(self, path: str = PATH, **more: str | int) -> str:
        """A page of the app from which the list is found again as it is."""
        query = urlencode({**self.given, **more})
        return f"{path}?{query}" if query else path


def asked_of(arguments: Mapping[str, str]) -> Asked:
    """What the arguments of an address ask for; what makes no sense is as if it were not there."""
    status, sort = arguments.get("status", ""), arguments.get("sort", _LATEST)
    return Asked(
        search=searched(arguments),
        status=status if status in STATUSES else "",
        type=_name(arguments.get("type", "")),
        configuration=_name(arguments.get("configuration", "")),
        sort=sort if sort in _SORTS else _LATEST,
        page=page_number(arguments),
    )


def page_number(arguments: Mapping[str, str]) -> int:
    """The page of a list that an address asks for; the first one where it makes no sense."""
    given = arguments.get("page", "")
    is_number = given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS
    return min(max(int(given), 1), _MOST_PAGES) if is_number else 1


def searched(arguments: Mapping[str, str]) -> str:
    """What an address searches a list for, its words apart by one space."""
    return " ".join(arguments.get("search", "").replace("\0", " ").split())[:_LONGEST_SEARCH]


def _name(text: str) -> str:
    """A type or an id, whatever it names."""
    return text if len(text) <= 64 and text.isascii() and text.isprintable() else ""
