"""What a browser sends of a form in a page: its controls that count, with the values that stand in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset(("button", "submit", "image", "reset", "file"))


@dataclass(slots=True)
class SentForm:
    """A form as it stands in a page. `buttons`: name and value of each that has one."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def values(self, **changes: str | list[str] | None) -> dict[str, list[str]]:
        """Name → texts, some of them changed (None: not sent); names with dots are given with `__`."""
        found: dict[str, list[str]] = {}
        for name, text in self.fields:
            found.setdefault(name, []).append(text)
        for name, text in changes.items():
            key = name.replace("__", ".")
            if text is None:
                found.pop(key, None)
            else:
                found[key] = text if isinstance(text, list) else [text]
        return found

    def value(self, name: str) -> str:
        """The text of a control."""
        return next(text for each, text in self.fields if each == name)


def form_in(page: str, id: str) -> SentForm:
    """The form of an id in a page; an AssertionError when there is none."""
    reader = _Reader(id)
    reader.feed(page)
    assert reader.found is not None, f"no form {id} in {page[:2000]}"
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, id: str) -> None:
        super().__init__()
        self.found: SentForm | None = None
        self._id = id
        self._inside = False
        self._area: tuple[str, list[str]] | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._option: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("id") == self._id:
            self.found, self._inside = SentForm(given.get("action", "")), True
        if not self._inside or self.found is None or ("disabled" in given and tag != "option"):
            return
        name = given.get("name", "")
        if tag == "input" and name and given.get("type", "text") not in _VOID:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.found.fields.append((name, _sent(given.get("value", ""))))
        elif tag == "button" and name:
            self.found.buttons.append((name, given.get("value", "")))
        elif tag == "textarea":
            self._area = (name, [])
        elif tag == "select":
            self._select = (name, [])
        elif tag == "option" and self._select is not None:
            self._close_option()
            self._select[1].append((given.get("value", "\0"), "selected" in given))
            self._option = []

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)
        if self._option is not None:
            self._option.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self.found is None:
            return
        if tag == "textarea" and self._area is not None:
            name, texts = self._area
            self.found.fields.append((name, _sent("".join(texts).removeprefix("\n"))))
            self._area = None
        elif tag == "option":
            self._close_option()
        elif tag == "select" and self._select is not None:
            self._close_option()
            name, options = self._select
            chosen = next((value for value, selected in options if selected), options[0][0] if options else None)
            if name and chosen is not None:
                self.found.fields.append((name, chosen))
            self._select = None
        elif tag == "form":
            self._inside = False

    def _close_option(self) -> None:
        """An option without a value has that of its text."""
        if self._option is not None and self._select is not None:
            value, selected = self._select[1][-1]
            if value == "\0":
                self._select[1][-1] = ("".join(self._option).strip(), selected)
        self._option = None


def _sent(text: str) -> str:
    """Line ends as forms send them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
