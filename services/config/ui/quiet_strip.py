"""A day of 24 hours as a strip with its quiet hours, drawn as SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup

from services.config.ui.texts import t

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY = 24 * 60
_HEIGHT = 22


def minute_of(text: str) -> int | None:
    """The minute of the day of `22:00`; None of what is no time."""
    match = _TIME.fullmatch(text)
    return None if match is None else int(match[1]) * 60 + int(match[2])


def quiet_minutes(start: int, end: int) -> int:
    """How long the quiet hours are; they may go over midnight."""
    return (end - start) % _DAY


def is_quiet(start: int, end: int, minute: int) -> bool:
    """Whether a minute of the day lies in them; their end does not."""
    return (minute - start) % _DAY < quiet_minutes(start, end)


def quiet_strip(start: int | None, end: int | None, now: int) -> Markup:
    """The strip. `now`: the present minute in the zone of the quiet hours, a line across."""
    is_set = start is not None and end is not None and start != end
    title = t("properties.quiet.strip", start=_clock(start), end=_clock(end)) if is_set else t("properties.quiet.all")
    return Markup(
        '<svg class="strip" role="img" width="100%" height="{height}" aria-label="{title}"><title>{title}</title>'
        '<rect class="strip-day" width="100%" height="{bar}" rx="3"/>{quiet}{ticks}'
        '<line class="strip-now" x1="{now}%" x2="{now}%" y1="-2" y2="{below}"/></svg>'
    ).format(
        height=_HEIGHT + 18,
        title=title,
        bar=_HEIGHT,
        quiet=_joined(_quiet(*span) for span in (_spans(start, end) if is_set else ())),
        ticks=_joined(_tick(hour) for hour in range(0, 25, 6)),
        now=_place(now),
        below=_HEIGHT + 2,
    )


def _spans(start: int | None, end: int | None) -> tuple[tuple[int, int], ...]:
    if start is None or end is None:
        return ()
    return ((start, end),) if start < end else ((start, _DAY), (0, end))


def _quiet(start: int, end: int) -> Markup:
    return Markup('<rect class="strip-quiet" x="{}%" width="{}%" height="{}"/>').format(
        _place(start), _place(end - start), _HEIGHT
    )


def _tick(hour: int) -> Markup:
    anchor = {0: "start", 24: "end"}.get(hour, "middle")
    return Markup('<text class="tick" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
        _place(hour * 60), _HEIGHT + 15, anchor, f"{hour:02}:00"
    )


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _place(minutes: int) -> str:
    return f"{100 * minutes / _DAY:.2f}".rstrip("0").rstrip(".")


def _clock(minute: int | None) -> str:
    return "" if minute is None else f"{minute // 60:02}:{minute % 60:02}"
