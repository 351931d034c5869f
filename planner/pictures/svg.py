"""Timelines as SVG text for a page: the same bytes for the same rows, and small however many there are.

Up to MOST_NAMED bars each has a rectangle of its own, with a tooltip and, where it fits, a label. Beyond that a path
for each colour holds them all, and what is narrower than a pixel melts into the columns of pixels that it fills at
least half.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape

from planner.pictures.scene import Arrow, Bar, Scene
from planner.pictures.style import CRITICAL_COLOR, LEGEND, Part, parts_of

WIDTH, LANE, BAR, LEFT, TITLE, FOOT = 960, 24, 18, 54, 20, 22  # pixels
MOST_NAMED, MOST_ARROWS, MOST_COLUMNS = 400, 150, 5000
MOST_LANES = 32  # of a timeline; further ranks are counted, not drawn
LETTER = 5.2  # pixels, roughly, of a label's letter
STEPS = (1, 2, 5)
IDLE = "#EEEEEE"


def timelines_svg(scenes: Sequence[Scene]) -> str:
    """An <svg> element with the scenes above one another on one time scale; needs nothing from outside itself."""
    end = max((scene.end_us for scene in scenes), default=0) or 1
    step = max(1.0, sum(min(one.ranks, MOST_LANES) for one in scenes) * (WIDTH - LEFT) / MOST_COLUMNS)
    body, top = [], 0
    for scene in scenes:
        drawn = _Panel(scene, top, end, step)
        body.append(drawn.text())
        top += drawn.height
    legend = _legend(top + FOOT)
    height = top + FOOT + 26
    names = escape(", ".join(scene.title for scene in scenes))
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    inside = f'<rect width="{WIDTH}" height="{height}" fill="#FFFFFF"/>{"".join(body)}{_axis(top, end)}{legend}'
    # Several pictures on one page: each has names of its own for its hatch and its arrow heads.
    mark = hashlib.sha256(inside.encode()).hexdigest()[:8]
    inside = inside.replace("url(#clean)", f"url(#clean-{mark})").replace("url(#head)", f"url(#head-{mark})")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Timeline: {names}" '
        f'font-family="sans-serif" font-size="10">{_definitions(mark)}{inside}</svg>'
    )


class _Panel:
    def __init__(self, scene: Scene, top: int, end_us: int, step: float) -> None:
        self._scene, self._top, self._step = scene, top, step
        self._lanes = min(scene.ranks, MOST_LANES)
        self._scale = (WIDTH - LEFT - 6) / end_us
        self.height = TITLE + self._lanes * LANE + (14 if scene.ranks > self._lanes else 0) + 4

    def text(self) -> str:
        shown = [bar for bar in self._scene.bars if bar.rank < self._lanes]
        few = len(shown) <= MOST_NAMED
        bars = "".join(map(self._bar, shown)) if few else self._melted(shown)
        arrows = [a for a in self._scene.arrows if max(a.source, a.target) < self._lanes]
        drawn = "".join(map(self._arrow, arrows)) if few and len(arrows) <= MOST_ARROWS else ""
        return self._frame() + bars + drawn + self._chain(few=few)

    def _frame(self) -> str:
        made = [_text(4, self._top + 13, self._scene.title, more=' font-weight="bold"')]
        for rank in range(self._lanes):
            y = self._lane(rank)
            width = _number(self._scene.end_us * self._scale)
            made.append(f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" fill="{IDLE}"/>')
            made.append(_text(4, y + 13, f"rank {rank}"))
        if self._scene.ranks > self._lanes:
            more = f"and {self._scene.ranks - self._lanes} more ranks"
            made.append(_text(LEFT, self._top + self.height - 6, more))
        return "".join(made)

    def _bar(self, bar: Bar) -> str:
        x, width = self._x(bar.start_us), (bar.end_us - bar.start_us) * self._scale
        parts = parts_of(bar.action)
        tip = f"<title>{escape(_tip(bar))}</title>"
        made = []
        for place, part in enumerate(parts):
            height = BAR / len(parts)
            y = self._lane(bar.rank) + place * height
            box = f'x="{_number(x)}" y="{_number(y)}" width="{_number(max(width, 0.5))}" height="{_number(height)}"'
            made.append(f'<rect {box} fill="{part.fill}" stroke="#FFFFFF" stroke-width="0.5"/>')
            made += [f'<rect {box} fill="url(#clean)"/>'] if part.hatched else []
            if part.label and len(part.label) * LETTER + 2 <= width and height >= 9:
                middle = x + width / 2, y + height / 2 + 3.3
                # On a hatch letters need a rim in the bar's own colour.
                rim = f' stroke="{part.fill}" stroke-width="2.5" paint-order="stroke"' if part.hatched else ""
                made.append(_text(*middle, part.label, anchor="middle", fill=part.ink, more=f' font-size="9"{rim}'))
        return f"<g>{tip}{''.join(made)}</g>"

    def _melted(self, bars: Iterable[Bar]) -> str:
        """Every bar, in one path a colour; narrow ones as columns of a grid."""
        step = self._step
        columns: dict[tuple[int, int], dict[Part, float]] = defaultdict(lambda: defaultdict(float))
        paths: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for bar in bars:
            x, width = self._x(bar.start_us), (bar.end_us - bar.start_us) * self._scale
            first = parts_of(bar.action)[0]._replace(label="")
            if width >= 2 * step:
                self._box(paths, bar.rank, x, width, first)
                continue
            left = x
            while left < x + width:
                column = int((left - LEFT) / step)
                right = min(x + width, LEFT + (column + 1) * step)
                columns[bar.rank, column][first] += max(right - left, 1e-9)
                left = max(right, left + 1e-6)
        for (rank, column), found in columns.items():
            if sum(found.values()) >= step / 2:
                self._box(paths, rank, LEFT + column * step, step, max(found, key=lambda part: found[part]))
        drawn = [(fill, hatched, "".join(boxes)) for (fill, hatched), boxes in sorted(paths.items())]
        return "".join(
            f'<path d="{path}" fill="{fill}"/>' + (f'<path d="{path}" fill="url(#clean)"/>' if hatched else "")
            for fill, hatched, path in drawn
        )

    def _box(self, paths: dict[tuple[str, bool], list[str]], rank: int, x: float, width: float, part: Part) -> None:
        # Hatches cannot be told from one another in a column of a pixel or two.
        key = part.fill, part.hatched and width >= 4
        paths[key].append(f"M{_number(x)} {self._lane(rank)}h{_number(width)}v{BAR}h-{_number(width)}z")

    def _arrow(self, arrow: Arrow) -> str:
        """From where and when it leaves to where and when it is there."""
        down = arrow.target > arrow.source
        here, there = self._lane(arrow.source) + BAR * down, self._lane(arrow.target) + BAR * (not down)
        x, to = self._x(arrow.start_us), self._x(arrow.end_us)
        dash = ' stroke-dasharray="3 2"' if arrow.streams else ""
        tip = f"{arrow.payload} from rank {arrow.source} to rank {arrow.target}, {_span(arrow.start_us, arrow.end_us)}"
        return (
            f'<path d="M{_number(x)} {_number(here)}L{_number(to)} {_number(there)}" stroke="#000000" '
            f'stroke-width="0.6" fill="none" marker-end="url(#head)"{dash}><title>{escape(tip)}</title></path>'
        )

    def _chain(self, *, few: bool) -> str:
        """The critical chain: a line through the middle of what it is made of, and frames where there is room."""
        points, frames = [], []
        for item in self._scene.chain:
            ends = (item.rank, item.rank) if isinstance(item, Bar) else (item.source, item.target)
            if max(ends) >= self._lanes:
                continue
            lift = 1.5 if isinstance(item, Bar) else BAR / 2
            points += [(self._x(at), self._lane(r) + lift) for at, r in zip(_times(item), ends, strict=True)]
            if few and isinstance(item, Bar):
                width = (item.end_us - item.start_us) * self._scale
                box = f'x="{_number(self._x(item.start_us))}" y="{self._lane(item.rank)}" width="{_number(width)}"'
                frames.append(f'<rect {box} height="{BAR}"/>')
        if not points:
            return ""
        # Along one lane its ends are enough.
        turns = [
            (x, y)
            for at, (x, y) in enumerate(points)
            if at in (0, len(points) - 1) or not points[at - 1][1] == y == points[at + 1][1]
        ]
        line = "L".join(dict.fromkeys(f"{_number(x)} {_number(y)}" for x, y in turns))
        return (
            f'<g fill="none" stroke="{CRITICAL_COLOR}"><path d="M{line}" stroke-width="1.2" opacity="0.9"/>'
            f'<g stroke-width="1.6">{"".join(frames)}</g></g>'
        )

    def _x(self, at_us: int) -> float:
        return LEFT + at_us * self._scale

    def _lane(self, rank: int) -> int:
        return self._top + TITLE + rank * LANE


def _axis(top: int, end_us: int) -> str:
    scale = (WIDTH - LEFT - 6) / end_us
    made = [f'<path d="M{LEFT} {top}H{WIDTH - 6}" stroke="#666666" fill="none"/>']
    step = tick_us(end_us, 10)
    for at in range(0, end_us + 1, step):
        x = LEFT + at * scale
        made.append(f'<path d="M{_number(x)} {top}v4" stroke="#666666"/>')
        made.append(_text(x, top + 14, f"{at / 1000:g}", anchor="middle"))
    return "".join(made) + _text(4, top + 14, "ms")


def tick_us(span_us: int, most: int) -> int:
    """A round step that divides a span into at most so many."""
    unit = 1
    while True:
        for step in STEPS:
            if span_us <= unit * step * most:
                return unit * step
        unit *= 10


def _legend(y: int) -> str:
    made, x = [], float(LEFT)
    for label, part in LEGEND:
        box = f'x="{_number(x)}" y="{y}" width="14" height="10"'
        made.append(f'<rect {box} fill="{part.fill}"/>' + (f'<rect {box} fill="url(#clean)"/>' if part.hatched else ""))
        made.append(_text(x + 18, y + 9, label))
        x += 34 + LETTER * len(label)
    made.append(f'<rect x="{_number(x)}" y="{y}" width="14" height="10" fill="{IDLE}"/>')
    made.append(_text(x + 18, y + 9, "idle"))
    made.append(f'<path d="M{_number(x + 56)} {y + 5}h14" stroke="{CRITICAL_COLOR}" stroke-width="2"/>')
    return "".join(made) + _text(x + 74, y + 9, "critical path")


def _definitions(mark: str) -> str:
    return (
        f'<defs><pattern id="clean-{mark}" width="5" height="5" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)">'
        '<path d="M0 0V5" stroke="#FFFFFF" stroke-width="2"/></pattern>'
        f'<marker id="head-{mark}" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L6 3L0 6z"/></marker></defs>'
    )


def _tip(bar: Bar) -> str:
    return f"{bar.action}, rank {bar.rank}, {_span(bar.start_us, bar.end_us)}" + (
        ", on the critical path" if bar.critical >= 0 else ""
    )


def _span(start_us: int, end_us: int) -> str:
    return f"{start_us / 1000:g} to {end_us / 1000:g} ms ({(end_us - start_us) / 1000:g} ms)"


def _times(item: Bar | Arrow) -> tuple[int, int]:
    return item.start_us, item.end_us


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#000000", more: str = "") -> str:
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_number(x)}" y="{_number(y)}" fill="{fill}"{place}{more}>{escape(text)}</text>'


def _number(value: float) -> str:
    """A coordinate to a tenth of a pixel, as short as can be."""
    return f"{value:.1f}".removesuffix(".0")
