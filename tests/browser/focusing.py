"""Going through a page by keyboard, and what the focus looks like on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page

from tests.browser.watching import focused

_MOST = 400
_PARTS = 4
"""Of a field for a time or a date: Tab goes through them."""

_LOOK = """() => {
    const at = document.activeElement;
    if (!at || at === document.body || at === document.documentElement) return null;
    at.dataset.walked ??= String(++window.walked || (window.walked = 1));
    const lined = (element) => {
        if (!element) return false;
        const style = getComputedStyle(element);
        return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    };
    const label = at.labels?.[0];
    const box = at.getBoundingClientRect();
    const seen = [0.1, 0.5, 0.9].some((share) => {
        const over = document.elementFromPoint(box.x + box.width / 2, box.y + share * box.height);
        return over && (at.contains(over) || over.contains(at) || label?.contains(over));
    });
    const words = at.getAttribute("aria-label") || label?.textContent || at.innerText || at.title || "";
    return {
        key: at.dataset.walked,
        tag: at.tagName.toLowerCase(),
        words: words.trim().replace(/\\s+/g, " ").slice(0, 80),
        visible: lined(at) || lined(at.nextElementSibling) || lined(label) || lined(at.parentElement),
        covered: !seen,
    };
}"""


@dataclass(frozen=True, slots=True)
class Focus:
    """What had the focus. `covered`: something else lies over all of it, or it lies outside of the window."""

    key: str
    tag: str
    words: str
    visible: bool
    covered: bool


@dataclass(slots=True)
class Walk:
    """A way by Tab. `ended`: it left the page at its end, or came round to where it began."""

    stops: list[Focus] = field(default_factory=list)
    ended: bool = False


def walk_by_tab(page: Page) -> Walk:
    """Press Tab until the page is through."""
    walk, again = Walk(), list[str]()
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        found = page.evaluate(_LOOK)
        if found is None or (walk.stops and found["key"] == walk.stops[0].key):
            walk.ended = bool(walk.stops)
            break
        within = [each for each in walk.stops if each.key == found["key"]]
        if not within:
            walk.stops.append(Focus(**found))
        elif walk.stops[-1].key != found["key"] or len(again) > _PARTS:
            break
        again = [*again, found["key"]] if within else []
    return walk


def reach(page: Page, what: str) -> None:
    """Go on by Tab until this has the focus, as `focused` tells it."""
    seen = []
    for _ in range(_MOST):
        if focused(page) == what:
            return
        page.keyboard.press("Tab")
        seen.append(focused(page))
        if len(seen) > 3 and seen[-1] == "" == seen[-2]:
            break
    raise AssertionError(f"Tab never reaches {what!r}: {seen[:60]}")
