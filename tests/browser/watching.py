"""What goes wrong in a page unseen: errors of scripts, refused content, requests that fail."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError

# A page's own requests may be refused for what a person typed (409, 412, 422, 429); these say that the page is wrong.
_FAULTY = frozenset({400, 401, 403, 404, 405, 413, 415})
_TELLS_OF_A_RESPONSE = "Failed to load resource"
_REPORTS_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI} ${event.sourceFile} ${event.sample}`);
});
"""


@dataclass  # without slots: the driver notes its handlers in the instance
class Watch:
    """The faults seen in some contexts. `forgiven`: patterns of those that a test provokes."""

    faults: list[str] = field(default_factory=list)
    forgiven: list[re.Pattern[str]] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch every page of a context from now on."""
        context.add_init_script(_REPORTS_POLICY)
        context.on("console", self._said)
        context.on("weberror", self._threw)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def forgive(self, pattern: str) -> None:
        """Expect faults of which the pattern matches a part."""
        self.forgiven.append(re.compile(pattern))

    def unforgiven(self) -> list[str]:
        """The faults that no pattern matches."""
        return [fault for fault in self.faults if not any(pattern.search(fault) for pattern in self.forgiven)]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_TELLS_OF_A_RESPONSE):
            self.faults.append(f"console error: {message.text}")

    def _threw(self, error: WebError) -> None:
        self.faults.append(f"script error: {error.error}")

    def _failed(self, request: Request) -> None:
        # Leaving a page ends what it still asks for, a stream of live numbers above all.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        request = response.request
        wrong = response.status >= 500 or (response.status in _FAULTY and not request.is_navigation_request())
        if wrong:
            self.faults.append(f"answered {response.status}: {request.method} {request.url}")


def focused(page: Page) -> str:
    """What has the focus, as its tag and its words; empty when nothing has."""
    return str(
        page.evaluate(
            """() => {
                const at = document.activeElement;
                if (!at || at === document.body || at === document.documentElement) return "";
                const label = at.labels?.[0]?.textContent ?? "";
                const words = at.getAttribute("aria-label") || label || at.textContent || at.name || "";
                return `${at.tagName.toLowerCase()} ${words.trim().replace(/\\s+/g, " ")}`.trim();
            }"""
        )
    )
