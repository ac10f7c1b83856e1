"""Folding signals into the content of a process, from its snapshot on."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.processes import ContentState, empty_content
from contracts.signals import Signal
from services.trigger.engine.state import Process


def fold(process: Process, kind: str, signals: Iterable[Signal]) -> ContentState:
    """The content after the snapshot and these signals of the process, which come in order."""
    content = copy_content(process.snapshot.content) if process.snapshot is not None else empty_content(kind)
    for signal in signals:
        content.apply(signal)
    return content


def copy_content(content: ContentState) -> ContentState:
    """Contents replace their collections instead of changing them, so a shallow copy is independent."""
    return type(content)(**{name: getattr(content, name) for name in content.__struct_fields__})
