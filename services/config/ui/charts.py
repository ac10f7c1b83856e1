"""Charts as SVG, made here: pure functions of numbers and words, drawn by presentation attributes and classes alone.

Widths are per cent and heights pixels, so that text keeps its size on a phone. What is drawn with numbers of its own is
an inner picture that stretches sideways only; stripes are therefore level. Colours stand in `charts.css`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from services.config.ui.scales import Tick, compact, number_ticks, time_ticks

_STEP = 10
_GAP = 1.5
_BARS = 150
_LINE = 56
_BETWEEN = 22
_SPARK_HEIGHT = 26
_LEAST = 1.5


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one kind, one for each step. `name`: the class that colours it. None: not known."""

    name: str
    label: str
    values: Sequence[int | None]


def sparkline(values: Sequence[int], most: int, title: str) -> Markup:
    """Small bars; `most` is the top of the scale, the same for all that are compared. What is not zero is seen."""
    path = _bars_path(values, [0] * len(values), most, _SPARK_HEIGHT - 1)
    width = max(1, len(values)) * _STEP
    return Markup(
        '<svg class="spark" role="img" viewBox="0 0 {w} {h}" width="96" height="{h}" preserveAspectRatio="none">'
        '<title>{title}</title><path class="fill-raised" d="{path}"/>'
        '<path class="zero" d="M0 {zero}H{w}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(w=width, h=_SPARK_HEIGHT, zero=_SPARK_HEIGHT - 0.5, title=title, path=path)


def bar(value: float, most: float, name: str = "raised") -> Markup:
    """A level bar beside its number, which is text; nothing for screen readers. It is as wide as there is room."""
    share = min(1.0, max(0.0, value / most)) * 100 if most > 0 else 0.0
    return Markup(
        '<svg class="level" aria-hidden="true" width="100%" height="10">'
        '<rect class="ground" width="100%" height="10" rx="2"/>'
        '<rect class="fill-{name}" width="{share}%" height="10" rx="2"/></svg>'
    ).format(name=name, share=_short(max(share, 0.5) if value > 0 else 0))


def time_chart(  # noqa: PLR0913 - the words by keyword
    id: str,
    times: Sequence[int],
    span: int,
    zone: ZoneInfo,
    bars: Sequence[Series],
    line: Series | None = None,
    *,
    title: str,
    description: str,
    quiet: str = "",
) -> Markup:
    """Steps of time: bars stacked upon each other, and above them a line of another kind with a scale of its own.

    Both scales begin at zero. `id`: a name of letters, unique in the page. A table beside it tells the numbers.
    `quiet`: said in place of bars where there are none.
    """
    tops = _stacked(bars, len(times))
    top_of_bars = max(tops[-1], default=0)
    parts = [_heads(id, title, description), *_stripes(id, bars)]
    height = _BARS
    if line is not None:
        parts.append(_line_band(line))
        parts.append(f'<g transform="translate(0 {_LINE + _BETWEEN})">')
        height += _LINE + _BETWEEN
    parts.append(_bar_band(id, bars, tops, top_of_bars, len(times)))
    if not top_of_bars and quiet:
        parts.append(f'<text x="50%" y="{_BARS // 2}" text-anchor="middle">{escape(quiet)}</text>')
    parts.append(_time_axis(time_ticks(times, span, zone) if times else [], len(times)))
    if line is not None:
        parts.append("</g>")
    return Markup(  # noqa: S704 - every text in it was escaped where it was put in
        f'<svg class="chart" role="img" aria-labelledby="{id}-title {id}-about" width="100%" height="{height + 22}">'
        f"{''.join(parts)}</svg>"
    )


def _heads(id: str, title: str, description: str) -> str:
    return f'<title id="{id}-title">{escape(title)}</title><desc id="{id}-about">{escape(description)}</desc>'


def _stripes(id: str, bars: Sequence[Series]) -> list[str]:
    """Patterns by which bars differ without colours: the second kind is pale, the third striped."""
    if len(bars) < 3:
        return []
    return [
        f'<defs><pattern id="{id}-stripes" width="8" height="4" patternUnits="userSpaceOnUse">'
        f'<rect class="fill-{bars[2].name}" width="8" height="2.5"/></pattern></defs>'
    ]


def _stacked(bars: Sequence[Series], steps: int) -> list[list[int]]:
    """The tops of each kind, upon those before; the last are the tops of all."""
    tops: list[list[int]] = [[0] * steps]
    for series in bars:
        tops.append([below + (value or 0) for below, value in zip(tops[-1], series.values, strict=True)])
    return tops


def _bar_band(id: str, bars: Sequence[Series], tops: Sequence[Sequence[int]], most: int, steps: int) -> str:
    scale = number_ticks(most)
    paths = [
        f'<path class="bars {"striped" if place == 2 else f"fill-{series.name}"}"'
        + (f' fill="url(#{id}-stripes)"' if place == 2 else "")
        + f' d="{_bars_path([value or 0 for value in series.values], tops[place], scale[-1], _BARS)}"/>'
        for place, series in enumerate(bars)
    ]
    return _grid(scale, _BARS) + _stretched(max(1, steps), _BARS, "".join(paths)) + _zero(_BARS)


def _line_band(line: Series) -> str:
    known = [value for value in line.values if value is not None]
    scale = number_ticks(max(known, default=0), 2)
    drawn = _line_path(line.values, scale[-1], _LINE)
    stroke = f'<path class="line stroke-{line.name}" d="{drawn}" vector-effect="non-scaling-stroke"/>'
    label = f'<text class="band" x="0" y="-8">{escape(line.label)}</text>'
    return label + _grid(scale, _LINE) + _stretched(max(1, len(line.values)), _LINE, stroke) + _zero(_LINE)


def _stretched(steps: int, height: int, drawn: str) -> str:
    return (
        f'<svg width="100%" height="{height}" viewBox="0 0 {steps * _STEP} {height}" preserveAspectRatio="none">'
        f"{drawn}</svg>"
    )


def _grid(scale: Sequence[int], height: int) -> str:
    """Thin lines with their numbers to the left, outside of the picture; zero has a line of its own."""
    found = [f'<text class="tick" x="-8" text-anchor="end" y="{height + 4}">0</text>']
    for value in scale[1:]:
        y = height - height * value / scale[-1]
        found.append(
            f'<line class="grid" x1="0" x2="100%" y1="{_short(y)}" y2="{_short(y)}"/>'
            f'<text class="tick" x="-8" text-anchor="end" y="{_short(y + 4)}">{compact(value)}</text>'
        )
    return "".join(found)


def _zero(height: int) -> str:
    return f'<line class="zero" x1="0" x2="100%" y1="{height}" y2="{height}"/>'


def _time_axis(ticks: Sequence[Tick], steps: int) -> str:
    found = []
    for tick in ticks:
        place = _short(100 * (tick.index + 0.5) / steps)
        narrow = "" if tick.narrow else " wide-only"
        found.append(
            f'<line class="zero{narrow}" x1="{place}%" x2="{place}%" y1="{_BARS}" y2="{_BARS + 4}"/>'
            f'<text class="tick{narrow}" x="{place}%" y="{_BARS + 18}" text-anchor="middle">{escape(tick.label)}</text>'
        )
    return "".join(found)


def _bars_path(values: Sequence[int], below: Sequence[int], most: int, height: float) -> str:
    """Bars from `below` upward as one path; what is not zero is at least seen, what is above the scale is cut."""
    drawn = []
    for index, (value, bottom) in enumerate(zip(values, below, strict=False)):
        if value <= 0 or most <= 0:
            continue
        low = height * (1 - min(1.0, bottom / most))
        tall = max(_LEAST, min(low, height * value / most))
        drawn.append(
            f"M{_short(index * _STEP + _GAP / 2)} {_short(low)}v{_short(-tall)}h{_short(_STEP - _GAP)}v{_short(tall)}z"
        )
    return "".join(drawn)


def _line_path(values: Sequence[int | None], most: int, height: float) -> str:
    """A line through the middles of the steps, broken where a value is not known; one value alone is a dash."""
    drawn, pen_up = [], True
    for index, value in enumerate(values):
        if value is None:
            pen_up = True
            continue
        y = _short(height - (height * min(value, most) / most if most > 0 else 0))
        after = values[index + 1] if index + 1 < len(values) else None
        if pen_up and after is None:
            drawn.append(f"M{index * _STEP} {y}h{_STEP}")
        else:
            drawn.append(f"{'M' if pen_up else 'L'}{_short((index + 0.5) * _STEP)} {y}")
        pen_up = False
    return "".join(drawn)


def _short(value: float) -> str:
    """At most two decimals, none of them zeros at the end."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
