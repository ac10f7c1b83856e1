"""How pages of the web send signals: the methods of the web SDK, and the lines that bring it into a page."""

from __future__ import annotations

import json

from contracts.signals.catalogue import KINDS, SignalKind

SCRIPT = "/sdk/signals.js"
_NAMES = {"cart/add": "addToCart", "cart/remove": "removeFromCart"}


def web_kinds() -> tuple[SignalKind, ...]:
    """The kinds that the web may send, as the catalogue has them."""
    return tuple(kind for kind in KINDS if "web" in kind.touchpoints)


def method_of(kind: SignalKind) -> str:
    """The method that sends a kind: `addToCart`, `viewProduct`, `signupNewsletter`."""
    return _NAMES.get(kind.name, f"{kind.verb}{kind.group.title()}")


def snippet(url: str, key: str, *, consent_required: bool = False) -> str:
    """The lines for a page's head: calls are kept until the script has come, also when it never comes.

    `consent_required`: nothing is kept or sent before `Signals.setConsent(true)`.
    The syntax is ES5, all that Google Tag Manager takes in a custom HTML tag.
    """
    consent = ", consentRequired: true" if consent_required else ""
    return (
        "<script>\n"
        "  window.Signals = window.Signals || new Proxy({ q: [] }, {\n"
        "    get: function (stub, name) {\n"
        "      return name in stub ? stub[name] : function () {\n"
        "        stub.q.push([name, [].slice.call(arguments), Date.now()]);\n"
        "      };\n"
        "    }\n"
        "  });\n"
        f"  Signals.setApiKey({_quoted(key)}, {{ endpoint: {_quoted(url)}{consent} }});\n"
        "</script>\n"
        f'<script async src="{url}{SCRIPT}"></script>'
    )


def _quoted(text: str) -> str:
    """A text in a script inside HTML, which it cannot leave."""
    return json.dumps(text).replace("<", "\\u003c")
