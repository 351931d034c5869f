"""Which input moves the answer most: one is changed at a time, and the same plan played again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from planner.action import Kind
from planner.cluster import Link
from planner.cost import Costs
from planner.errors import InputError
from planner.metrics import US_PER_HOUR
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.searching.case import passes_of, price
from planner.sweeping.axes import stepped
from planner.sweeping.basis import Basis
from planner.sweeping.grid import Grid
from planner.sweeping.row import Row
from planner.sweeping.spread import PASSES, again, recosted
from planner.sweeping.stream_clip import Clip, Laid, lay_out

CHANGE = 0.1  # by which share an input is made smaller and larger
ADDED_US = 1000  # by which an overhead is made larger
Figure = Literal["fps", "first-frame", "control", "money"]
FIGURES: tuple[Figure, ...] = ("fps", "first-frame", "control", "money")


class Figures(NamedTuple):
    """Of a stream: frames a second once settled, first frame and control-to-output in us, money a minute of video."""

    fps: float
    first_frame_us: float
    control_us: float
    money: float

    def of(self, figure: Figure) -> float:
        return self[FIGURES.index(figure)]


class Influence(NamedTuple):
    """What a change of one input does. `less`, `more`: the figures with the input made smaller and larger; None where
    that cannot be.
    """

    name: str
    change: str
    now: Figures
    less: Figures | None
    more: Figures | None

    def swing(self, figure: Figure) -> float:
        """How far the figure moves at most, as a share of what it is."""
        now = self.now.of(figure)
        found = [abs(other.of(figure) / now - 1) for other in (self.less, self.more) if other is not None and now]
        return max(found, default=0.0)

    def elasticity(self, figure: Figure) -> float | None:
        """By how many per cent the figure moves if the input grows by one; None for what is not a matter of shares."""
        if self.less is None or self.more is None or "%" not in self.change:
            return None
        less, more = self.less.of(figure), self.more.of(figure)
        if not less or not more:
            return None
        return math.log(more / less) / math.log((1 + CHANGE) / (1 - CHANGE))


def sensitivity(
    problem: Problem, pattern: Pattern, placement: Placement, figure: Figure = "fps"
) -> tuple[Influence, ...]:
    """What each input does to the figures of a pattern on a placement, the most powerful over `figure` first.

    Times, links and overheads: the same plan with one of them changed by a tenth, an overhead by a millisecond. One
    device or step more or fewer: laid out anew, with the same pattern if it has that many. Raises InputError if the
    placement cannot run the pattern or the figure is not known.
    """
    if figure not in FIGURES:
        raise InputError(f"sensitivity: {figure!r} is none of {', '.join(FIGURES)}")
    found = lay_out(problem, pattern, placement)
    now = _figures(found, found.clip)
    played = _Played(found, now)
    influences = [*played.times(), *played.links(), *played.overheads(), *_anew(found, now)]
    return tuple(sorted(influences, key=lambda item: (-item.swing(figure), item.name)))


def _figures(found: Laid, clip: Clip) -> Figures:
    problem = found.priced.problem
    spec, price_per_hour = problem.model, sum(problem.cluster.devices[rank].price_per_hour for rank in found.used)
    frames = spec.pixel_frames(1)
    minutes = frames / spec.frame_rate / 60
    money = price_per_hour * clip.period_us / US_PER_HOUR / minutes
    return Figures(frames * 1e6 / clip.period_us, clip.finished_us[0], clip.control_us, money)


class _Played:
    """The same plan with other durations."""

    def __init__(self, found: Laid, now: Figures) -> None:
        self._found, self._now = found, now

    def times(self) -> Iterator[Influence]:
        """Of passes and of decoding; what a gang or a group hands round is no part of a pass."""
        yield self._shares("pass time", lambda share: self._scaled(PASSES, share))
        if self._found.priced.flow.decodes:
            yield self._shares("decode time", lambda share: self._scaled(frozenset({Kind.DECODE}), share))

    def links(self) -> Iterator[Influence]:
        yield self._shares("link bandwidth", lambda share: self._linked(bandwidth=share))
        yield self._shares("link latency", lambda share: self._linked(latency=share))

    def overheads(self) -> Iterator[Influence]:
        """A millisecond more for each block, for each joint tick, for each message."""
        flow = self._found.priced.flow
        firsts = [
            any(stage == 0 for _, stage in passes_of(action, flow))
            if action.kind in PASSES - {Kind.TEXT, Kind.RECACHE}
            else False
            for action in self._found.tasks.actions
        ]
        yield self._added("block overhead", firsts)
        ticks = [action.kind is Kind.TICK for action in self._found.tasks.actions]
        if any(ticks):
            yield self._added("tick overhead", ticks)
        makers = self._makers()
        if makers:
            yield self._added("posting a message", [task in makers for task in range(len(firsts))], makers)

    def _shares(self, name: str, played: Callable[[float], Clip]) -> Influence:
        less, more = (_figures(self._found, played(share)) for share in (1 - CHANGE, 1 + CHANGE))
        return Influence(name, f"-/+ {CHANGE:.0%}", self._now, less, more)

    def _added(self, name: str, where: list[bool], times: dict[int, int] | None = None) -> Influence:
        instance = self._found.tasks.instance
        durations = [
            tuple(us and us + ADDED_US * (times[task] if times else 1) for us in row) if where[task] else row
            for task, row in enumerate(instance.durations)
        ]
        clip = again(self._found, self._found.priced, instance._replace(durations=durations))
        return Influence(name, f"+ {ADDED_US / 1000:g} ms", self._now, None, _figures(self._found, clip))

    def _makers(self) -> dict[int, int]:
        """How many messages each task's unit posts for what it made."""
        tasks, found = self._found.tasks, dict[int, int]()
        maker = {payload: task for reads in tasks.instance.inputs for task, payload in reads}
        for transfer in self._found.schedule.transfers:
            task = maker.get(transfer.payload)
            if task is not None:
                found[task] = found.get(task, 0) + 1
        return found

    def _scaled(self, kinds: frozenset[Kind], share: float) -> Clip:
        found = self._found
        alone = found.shape.timed(_costs(found, _with_links(found.priced.problem, _free))).instance.durations
        durations = [
            tuple(us and max(1, us + round((share - 1) * own)) for us, own in zip(row, without, strict=True))
            if action.kind in kinds
            else row
            for row, without, action in zip(found.tasks.instance.durations, alone, found.tasks.actions, strict=True)
        ]
        return again(found, found.priced, found.tasks.instance._replace(durations=durations))

    def _linked(self, bandwidth: float = 1.0, latency: float = 1.0) -> Clip:
        def changed(link: Link) -> Link:
            return link.model_copy(
                update={
                    "bandwidth_gbps": link.bandwidth_gbps * bandwidth,
                    "latency_us": round(link.latency_us * latency),
                    "collective_us": round(link.collective_us * latency),
                }
            )

        return recosted(self._found, _costs(self._found, _with_links(self._found.priced.problem, changed)))


def _costs(found: Laid, problem: Problem) -> Costs:
    return price(problem, found.priced.flow.pattern, found.priced.flow.placement)


def _free(link: Link) -> Link:
    return link.model_copy(update={"latency_us": 0, "collective_us": 0, "bandwidth_gbps": 1e9})


def _with_links(problem: Problem, changed: Callable[[Link], Link]) -> Problem:
    cluster, profile = problem.cluster, problem.profile
    links = {"link": changed(cluster.link), "network": cluster.network and changed(cluster.network)}
    update: dict[str, object] = {"cluster": cluster.model_copy(update=links)}
    if profile is not None:
        measured = changed(
            Link(kind="measured", latency_us=profile.link_latency_us, bandwidth_gbps=profile.link_bandwidth_gbps)
        )
        given = {"link_latency_us": measured.latency_us, "link_bandwidth_gbps": measured.bandwidth_gbps}
        update["profile"] = profile.model_copy(update=given)
    return problem.model_copy(update=update)


def _anew(found: Laid, now: Figures) -> Iterator[Influence]:
    problem, flow = found.priced.problem, found.priced.flow
    ranks = problem.cluster.size
    less, more = (_on(problem, flow.pattern, flow.placement, ranks + each) for each in (-1, 1))
    yield Influence("devices", "-/+ 1", now, less, more)
    steps = problem.model.steps
    fewer, further = (_with_steps(problem, flow.pattern, flow.placement, steps + each) for each in (-1, 1))
    yield Influence("denoise steps", "-/+ 1", now, fewer, further)


def _on(problem: Problem, pattern: Pattern, placement: Placement, count: int) -> Figures | None:
    """With so many devices of the first one's kind, the placement as it is."""
    cluster = problem.cluster
    if count < 1 or len(cluster.nodes) > 1:
        return None
    other = cluster.model_copy(update={"devices": (cluster.devices[0],) * count, "nodes": ()})
    return _anew_figures(problem.model_copy(update={"cluster": other}), pattern, placement)


def _with_steps(problem: Problem, pattern: Pattern, placement: Placement, steps: int) -> Figures | None:
    if steps < 1:
        return None
    spec = stepped(problem.model, steps)
    if "sequential" in pattern.name:
        pattern = Pattern.parse(pattern.name, spec)
    return _anew_figures(problem.model_copy(update={"model": spec}), pattern, placement)


def _anew_figures(problem: Problem, pattern: Pattern, placement: Placement) -> Figures | None:
    try:
        found = lay_out(problem, pattern, placement)
    except InputError:
        return None
    return _figures(found, found.clip)


def of_row(grid: Grid, row: Row, figure: Figure = "fps") -> tuple[Influence, ...]:
    """As `sensitivity`, of what a sweep chose for a point. Raises InputError for a row without figures."""
    if row.pattern is None or row.placement is None:
        raise InputError(f"sensitivity: nothing can run at point {row.point}: {row.verdict}")
    basis = Basis(grid.point(row.point).basis, grid.base)
    placement = Placement.parse(row.placement)
    problem = basis.problem(row.ranks or row.count)
    price = tuple(each.model_copy(update={"price_per_hour": row.price_per_hour}) for each in problem.cluster.devices)
    cluster = problem.cluster.model_copy(update={"devices": price})
    return sensitivity(
        problem.model_copy(update={"cluster": cluster}),
        Pattern.parse(row.pattern, basis.spec),
        placement.model_copy(update={"ranks": None}),
        figure,
    )
