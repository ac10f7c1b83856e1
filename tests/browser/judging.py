"""How good a page is: accessibility by axe-core, fitting a narrow screen, weight, speed, steadiness; its picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support import axe

_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_TALLEST = 6_000
_GRAVE = ("serious", "critical")

MOST_BYTES = 100_000
"""HTML, CSS and JavaScript of a page that was never seen before, as transferred (the app's promise)."""
INTERACTIVE_MS = 1_000
FIRST_PAINT_MS = 300
MOST_SHIFT = 0.02
"""Of the cumulative layout shift; 0.1 is what the web calls good."""


def load_axe(page: Page) -> None:
    """Put axe-core into a page through the debugger, which no content policy forbids."""
    if not _evaluate(page, "typeof axe !== 'undefined'"):
        _evaluate(page, axe.script() + "\n;true")


ALL: Mapping[str, Any] = {
    "runOnly": {"type": "tag", "values": _TAGS},
    "rules": {"target-size": {"enabled": True}},
}
"""What axe-core is to look for: faults of WCAG 2.2 AA and of best practice."""
COLOURS: Mapping[str, Any] = {"runOnly": {"type": "rule", "values": ("color-contrast", "link-in-text-block")}}
"""The part of `ALL` that another colour scheme can change."""


def accessibility_faults(page: Page, sought: Mapping[str, Any] = ALL) -> list[str]:
    """The serious and critical faults that axe-core finds, each with its rule and places."""
    load_axe(page)
    options = {**sought, "resultTypes": ["violations"]}
    found = _evaluate(page, f"axe.run(document, {json.dumps(options)}).then((found) => found.violations)")
    return [_told(fault) for fault in found if fault["impact"] in _GRAVE]


def assert_accessible(page: Page, sought: Mapping[str, Any] = ALL) -> None:
    """No serious or critical fault of what is sought."""
    faults = accessibility_faults(page, sought)
    assert not faults, f"{page.url}\n" + "\n".join(faults)


def assert_outlined(page: Page) -> None:
    """A title, a language, one first heading, one main landmark."""
    assert page.title()
    assert page.locator("html[lang]").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1, f"{page.url} has not exactly one h1"
    assert page.get_by_role("main").count() == 1


def assert_fits(page: Page) -> None:
    """Nothing makes the page scroll sideways."""
    wide: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            const edge = (element) => element.getBoundingClientRect().right + window.scrollX;
            if (document.documentElement.scrollWidth <= width) return [];
            return [...document.body.querySelectorAll("*")]
                .filter((element) => edge(element) > width + 1)
                .map((element) => `${element.tagName.toLowerCase()}.${element.className}: ${edge(element)} > ${width}`);
        }"""
    )
    assert not wide, f"{page.url} scrolls sideways:\n" + "\n".join(wide[:12])


def screenshot(page: Page, name: str, look: str) -> None:
    """A picture of the whole page as `<name>-<look>.png`, in the folder of MOMENTS_SCREENSHOTS; none where it is unset.

    A picture proves nothing by itself, and takes as long as a judgement: it is taken for who wants to look at it.
    """
    folder = os.environ.get("MOMENTS_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    size = page.viewport_size
    assert size is not None
    # What is fixed to the window belongs to its edges, also in a picture that is longer than the window.
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], min(height, _TALLEST))})
    page.screenshot(path=Path(folder) / f"{name}-{look}.png", animations="disabled", caret="hide")
    page.set_viewport_size(size)


@dataclass(frozen=True, slots=True)
class Cost:
    """What opening a page took: bytes as transferred by kind, milliseconds since the request, layout shift."""

    html: int
    css: int
    javascript: int
    first_paint: float
    interactive: float
    shift: float

    @property
    def weight(self) -> int:
        """The bytes that count."""
        return self.html + self.css + self.javascript

    def __str__(self) -> str:
        kinds = f"{self.html} HTML + {self.css} CSS + {self.javascript} JS"
        times = f"first paint {self.first_paint:.0f} ms, interactive {self.interactive:.0f} ms"
        return f"{self.weight} bytes ({kinds}), {times}, shift {self.shift:.3f}"


def cost(page: Page) -> Cost:
    """What opening the present page took; exact when its context had seen no page before.

    Interactive is when the page's modules have run, which is before DOMContentLoaded ends.
    """
    read: dict[str, Any] = page.evaluate(
        """async () => {
            const [navigation] = performance.getEntriesByType("navigation");
            const paint = await new Promise((resolve) => {
                new PerformanceObserver((list, seen) => {
                    const [entry] = list.getEntriesByName("first-contentful-paint");
                    if (entry) { seen.disconnect(); resolve(entry); }
                }).observe({ type: "paint", buffered: true });
                setTimeout(resolve, 5000);
            });
            const sum = (test) => performance.getEntriesByType("resource")
                .filter((entry) => test(new URL(entry.name).pathname))
                .reduce((total, entry) => total + entry.encodedBodySize, 0);
            const shifts = await new Promise((resolve) => {
                let total = 0;
                const seen = new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) if (!entry.hadRecentInput) total += entry.value;
                });
                seen.observe({ type: "layout-shift", buffered: true });
                setTimeout(() => { seen.disconnect(); resolve(total); }, 50);
            });
            return {
                html: navigation.encodedBodySize,
                css: sum((path) => path.endsWith(".css")),
                javascript: sum((path) => path.endsWith(".js") || path.endsWith(".mjs")),
                first_paint: paint ? paint.startTime : -1,
                interactive: navigation.domContentLoadedEventEnd,
                shift: shifts,
            };
        }"""
    )
    return Cost(**read)


def assert_light(found: Cost, leeway: float = 10.0) -> None:
    """Within the app's promises, whose times are stretched by `leeway` and by what else the machine has to do."""
    leeway += 3.0 * os.getloadavg()[0] / (os.cpu_count() or 1)
    assert found.weight < MOST_BYTES, str(found)
    assert 0 <= found.first_paint < FIRST_PAINT_MS * leeway, str(found)
    assert found.interactive < INTERACTIVE_MS * leeway, str(found)
    assert found.shift <= MOST_SHIFT, str(found)


def _evaluate(page: Page, expression: str) -> Any:
    session = page.context.new_cdp_session(page)
    try:
        answer = session.send(
            "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True}
        )
    finally:
        session.detach()
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")


def _told(fault: dict[str, Any]) -> str:
    nodes: Sequence[dict[str, Any]] = fault["nodes"]
    places = "".join(f"\n    {node['html'][:160]}\n      {node['failureSummary'][:300]}" for node in nodes[:4])
    return f"{fault['impact']}: {fault['id']}: {fault['help']} ({len(nodes)} places){places}"
