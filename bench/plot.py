"""Plots as plain SVG text: bars, and lines over two logarithmic axes. Readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nightschool.bench.figures import number

WIDTH = 720
_SIZE = 13  # of the letters
_LETTER = 7.2  # how wide one is, about
_STEP = 30  # from one bar to the next
_TOP = 44
_HEIGHT = 380  # of a plot of lines
_BOTTOM = 52
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#59636e}.title{font-weight:600;fill:#1f2328}.grid{stroke:#d1d9e0}"
    ".ours{fill:#2f6fde}.other{fill:#aab4bf}.line{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}.grid{stroke:#3d444d}.other{fill:#656c76}}"
)
_COLOURS = ("#2f6fde", "#d1732a", "#2a9d6f", "#b2468f", "#8a6fd1", "#8f8a2c", "#c0474c")


@dataclass(frozen=True)
class Bar:
    """One thing that was measured; ours stand out from what they are compared with."""

    label: str
    value: float
    ours: bool = True


@dataclass(frozen=True)
class LogScale:
    """From values, all above 0, to places on an axis, so that ten times as much is always as far away."""

    low: float
    high: float
    start: float
    end: float

    @staticmethod
    def around(values: Sequence[float], start: float, end: float) -> LogScale:
        """Return a scale between the powers of ten around some values."""
        low, high = math.floor(_log(min(values))), math.ceil(_log(max(values)))
        return LogScale(10.0**low, 10.0 ** max(high, low + 1), start, end)

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (_log(value) - _log(self.low)) / (_log(self.high) - _log(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the powers of ten from end to end."""
        return [10.0**power for power in range(round(_log(self.low)), round(_log(self.high)) + 1)]


def bars(title: str, unit: str, shown: Sequence[Bar]) -> str:
    """Return horizontal bars from 0, one below another, each with its value."""
    left = 24 + _LETTER * max(len(bar.label) for bar in shown)
    most = max(bar.value for bar in shown) or 1.0
    room = WIDTH - left - 24 - _LETTER * (8 + len(unit))
    parts = []
    for place, bar in enumerate(shown):
        top = _TOP + place * _STEP
        length = max(1.0, room * bar.value / most)
        kind = "ours" if bar.ours else "other"
        parts += [
            _text(bar.label, left - 10, top + 14, anchor="end"),
            f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{length:.1f}" height="20" rx="3"/>',
            _text(f"{number(bar.value)} {unit}".strip(), left + length + 8, top + 14),
        ]
    return _svg(title, _TOP + len(shown) * _STEP + 8, parts)


def lines(title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return lines over two logarithmic axes, each with its name at its right end.

    Args:
        title: Above the plot.
        across: What goes from left to right.
        up: What goes from below to above.
        series: Points ``(x, y)``, all above 0, by name.
    """
    points = [point for one in series.values() for point in one]
    right = WIDTH - 24 - _LETTER * max(map(len, series))
    x = LogScale.around([point[0] for point in points], 70, right)
    y = LogScale.around([point[1] for point in points], _HEIGHT - _BOTTOM, _TOP + 16)
    parts = [_text(up, 70, _TOP + 2), _text(across, (70 + right) / 2, _HEIGHT - 12, anchor="middle")]
    for tick in y.ticks():
        place = y(tick)
        parts.append(f'<line class="grid" x1="70" x2="{right:.1f}" y1="{place:.1f}" y2="{place:.1f}"/>')
        parts.append(_text(f"{tick:,g}", 62, place + 4, anchor="end"))
    parts += [_text(f"{tick:,g}", x(tick), _HEIGHT - _BOTTOM + 18, anchor="middle") for tick in x.ticks()]
    names = spread({name: y(one[-1][1]) for name, one in series.items()}, _SIZE + 2)
    for place, (name, one) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        drawn = " ".join(f"{x(across):.1f},{y(up):.1f}" for across, up in one)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{drawn}"/>')
        parts += [f'<circle fill="{colour}" cx="{x(a):.1f}" cy="{y(u):.1f}" r="3"/>' for a, u in one]
        parts.append(_text(name, x(one[-1][0]) + 10, names[name] + 4, colour=colour))
    return _svg(title, _HEIGHT, parts)


def spread(places: Mapping[str, float], apart: float) -> dict[str, float]:
    """Return places that lie at least ``apart``, in the order of those given and never above them."""
    found: dict[str, float] = {}
    last = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        found[name] = last = max(place, last + apart)
    return found


def _log(value: float) -> float:
    return math.log10(value)


def _text(words: str, x: float, y: float, *, anchor: str = "start", colour: str = "") -> str:
    style = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<text class="title" x="16" y="24">{escape(title)}</text>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"
