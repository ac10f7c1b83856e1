"""Lines ready to be pasted that send signals by the keys of an audience configuration. Pure but for what is offered."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.configurations import KeyType
from contracts.signals.web import SCRIPT as SDK_PATH
from contracts.signals.web import snippet
from contracts.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.config.resources import AudienceConfiguration, Key

SEGMENT_PATH = "/v1/batch"
SECRET = "YOUR_SECRET"  # noqa: S105 - stands for one
SIGNING_SECRET = "YOUR_SIGNING_SECRET"  # noqa: S105 - stands for one

_ITEM = {"productId": "mug", "name": "Blue mug", "quantity": 1, "price": 12.5, "currency": "EUR"}
_EMAIL = "ada@example.com"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines for one way of sending. `name`: `web`, `fetch`, `server`, `signed` or `segment`; `key`: the key in it."""

    name: str
    key: KeyType
    text: str
    language: str


def offered(serves: Callable[[str], bool | None]) -> tuple[str, ...]:
    """The ways of sending that this installation's ingestion has. `serves`: whether it has a path; None: not known."""
    web = ("web",) if serves(SDK_PATH) else ("fetch",)
    return (*web, "server", *(("segment",) if serves(SEGMENT_PATH) else ()))


def snippets(
    configuration: AudienceConfiguration, url: str, names: tuple[str, ...], secret: str = "", signing: str = ""
) -> list[Snippet]:
    """The lines for some ways, with the real keys; the secrets only while they are known.

    A key that needs signed requests has lines that sign, and none for clients that cannot.
    """
    server = current_key(configuration, "server")
    if server is not None and server.signed:
        names = tuple("signed" if name == "server" else name for name in names if name != "segment")
    keys = {key.type: key.id for key in configuration.keys if key.expires_at is None}
    site = site_of(configuration) or "shop.example.com"
    pair = f"{keys.get('server', '')}:{secret or SECRET}"
    consent = configuration.consent_required
    made = {
        "web": Snippet("web", "web", _sdk(keys.get("web", ""), url, consent), "html"),
        "fetch": Snippet("fetch", "web", _fetch(keys.get("web", ""), url, site, consent), "html"),
        "server": Snippet("server", "server", _curl(pair, url, None, site, consent), "sh"),
        "signed": Snippet("signed", "server", _signed(pair.partition(":")[0], url, site, signing, consent), "sh"),
        "segment": Snippet("segment", "server", _segment(pair, url, consent), "js"),
    }
    return [made[name] for name in names]


def site_of(configuration: AudienceConfiguration) -> str:
    """A host from which the configuration takes signals: of a wildcard a sub-domain; empty without domains."""
    first = next(iter(configuration.domains), "")
    return f"www{first[1:]}" if first.startswith("*.") else first


def curl_of_web_key(configuration: AudienceConfiguration, url: str) -> str:
    """A line that sends a signal as a web page of the first domain would; it needs no secret."""
    key = current_key(configuration, "web")
    site = site_of(configuration)
    return _curl(key.id if key else "", url, f"https://{site}", site, configuration.consent_required)


def pretty(document: Any) -> str:
    """JSON for people."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _sdk(key: str, url: str, consent: bool) -> str:
    asked = "  // once the visitor consents:\n  Signals.setConsent(true);\n" if consent else ""
    return f"""{snippet(url, key, consent_required=consent)}
<script>
{asked}  // at log-in, once:
  Signals.identify({{ email: {_script(_EMAIL)} }});
  // when something is put into the cart:
  Signals.addToCart({{ items: [{_script(_ITEM)}] }});
</script>"""


def _fetch(key: str, url: str, site: str, consent: bool) -> str:
    said = "\n      consent: true," if consent else ""
    data = {"email": _EMAIL, "site": site, "items": [_ITEM]}
    return f"""<script>
  // when something is put into the cart:
  fetch({_script(f"{url}/v1/signals/cart/add")}, {{
    method: "POST",
    headers: {{ "Content-Type": "application/json", "X-Api-Key": {_script(key)} }},
    body: JSON.stringify({{
      id: crypto.randomUUID(),
      time: new Date().toISOString(),{said}
      data: {_script(data)}
    }})
  }});
</script>"""


def _curl(key: str, url: str, origin: str | None, site: str, consent: bool) -> str:
    named = f" \\\n  -H {shlex.quote(f'Origin: {origin}')}" if origin else ""
    return (
        f"curl {shlex.quote(f'{url}/v1/signals/cart/add')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -H {shlex.quote(f'X-Api-Key: {key}')}{named} \\\n"
        f"  -d {_body(site, consent)}"
    )


def _body(site: str, consent: bool) -> str:
    """A signal as a word of a shell, which fills in id and time."""
    said = '"consent":true,' if consent else ""
    data = json.dumps({"email": _EMAIL, "site": site, "items": [_ITEM]}, separators=(",", ":"))
    return f"""'{{"id":"'$(date +%s)-$RANDOM'","time":"'$(date -u +%FT%TZ)'",{said}"data":{data}}}'"""


def _signed(key: str, url: str, site: str, signing: str, consent: bool) -> str:
    path = "/v1/signals/cart/add"
    return f"""body={_body(site, consent)}
timestamp=$(date +%s)
signature=$(printf %s "$timestamp.{path}.$body" |
  openssl dgst -sha256 -hmac {shlex.quote(signing or SIGNING_SECRET)} -r | cut -d ' ' -f 1)
curl {shlex.quote(f"{url}{path}")} \\
  -H 'Content-Type: application/json' \\
  -H {shlex.quote(f"X-Api-Key: {key}")} \\
  -H "{TIMESTAMP_HEADER}: $timestamp" \\
  --data-binary "$body" \\
  -H "{SIGNATURE_HEADER}: v1=$signature"
""".strip()


def _segment(pair: str, url: str, consent: bool) -> str:
    said = "\n  context: { consent: true }," if consent else ""
    return f"""import {{ Analytics }} from "@segment/analytics-node";

const analytics = new Analytics({{ writeKey: {_script(pair)}, host: {_script(url)} }});
analytics.track({{
  userId: {_script(_EMAIL)},
  event: "Product Added",{said}
  properties: {{ product_id: "mug", name: "Blue mug", quantity: 1, price: 12.5, currency: "EUR" }}
}});"""


def _script(value: Any) -> str:
    """A value in a script: no text in it ends the script."""
    return json.dumps(value).replace("</", "<\\/")


def current_key(configuration: AudienceConfiguration, type: KeyType) -> Key | None:
    """The key of a type that is not being replaced."""
    return next((key for key in configuration.keys if key.type == type and key.expires_at is None), None)
