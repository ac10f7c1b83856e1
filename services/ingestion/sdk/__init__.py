"""The web SDK: its script and its types, made from the catalogue."""

from __future__ import annotations

import gzip
import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from contracts.signals import SignalKind
from contracts.signals.web import method_of, web_kinds

_FOLDER = Path(__file__).parent
_NUMBERS = frozenset(("price", "quantity"))
_MIXED = frozenset(("step", "level"))


@cache
def script() -> str:
    """The script as it is served: without comments and indentation, with the methods of the catalogue."""
    source = (_FOLDER / "signals.js").read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines()]
    plain = "\n".join(line for line in lines if line and not line.startswith("//"))
    kinds = json.dumps({method_of(kind): kind.name for kind in web_kinds()}, separators=(",", ":"))
    made = plain.replace("__KINDS__", kinds)
    return made.replace("__VERSION__", _digest(made)) + "\n"


def version() -> str:
    """Twelve hex digits that change with the script."""
    source = script()
    return source[source.index('VERSION = "') + 11 :][:12]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


@cache
def packed() -> bytes:
    """The script as gzip."""
    return gzip.compress(script().encode(), 9, mtime=0)


@cache
def types() -> str:
    """The declaration file `signals.d.ts`."""
    methods = "\n".join(_method(kind) for kind in web_kinds())
    text = (_FOLDER / "signals.d.ts").read_text(encoding="utf-8")
    return text.replace("  // methods\n", f"{methods}\n")


def _method(kind: SignalKind) -> str:
    fields = list(dict.fromkeys((*((kind.id_field,) if kind.id_field else ()), *_ids(kind), *kind.fields)))
    needed = {*kind.required, *((kind.id_field,) if kind.id_required else ())}
    members = [f"{name}{'' if name in needed else '?'}: {_type(name)}" for name in fields]
    if kind.items:
        members.append(f"items{'' if kind.needs_item else '?'}: Item[]")
    optional = "" if needed or kind.needs_item else "?"
    body = "; ".join(members)
    return f"  /** {kind.summary} */\n  {method_of(kind)}(data{optional}: Free & {{ {body} }}): void;"


def _ids(kind: SignalKind) -> tuple[str, ...]:
    return ("sessionId",) if kind.process == "cart" else ()


def _type(name: str) -> str:
    if name in _NUMBERS:
        return "number"
    return "string | number" if name in _MIXED or name.endswith("Id") else "string"
