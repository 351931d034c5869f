"""A point of a grid to its row: what is chosen for it, its figures, interval and verdict."""

from __future__ import annotations

from typing import Any

from models.spec import ModelSpec
from planner.errors import InputError
from planner.metrics import US_PER_HOUR
from planner.patterns import tolerates
from planner.sweeping.basis import Basis
from planner.sweeping.best import best
from planner.sweeping.choose import Ask, Choice, merit_of
from planner.sweeping.exact import Planned, planned
from planner.sweeping.grid import DATA_SHEET, SHIPPED, Grid, Point, blocks_at
from planner.sweeping.held import sessions_in_memory
from planner.sweeping.promise import Candidate
from planner.sweeping.row import OK, Row
from planner.sweeping.spread import Spread, source, spread

LIST_SCHEDULE, PLAN = "list schedule", "plan"  # how a row was found


def answer(grid: Grid, point: Point, basis: Basis) -> Row:
    """The row of a point; the same whatever other points the basis has answered before."""
    count = count_of(grid, point)
    try:
        asked = _asked(grid, point, basis, count)
    except InputError as error:
        return _unbuilt(grid, point, basis, count, str(error))
    ask = ask_of(grid, point, basis)
    try:
        if grid.exact:
            made = planned(basis, point, count, asked.price_per_hour, ask)
            return refusal(asked, made) if isinstance(made, str) else _exact(asked, made, basis, ask)
        found = best(basis, point, count, ask)
    except InputError as error:
        found = str(error)
    return refusal(asked, found) if isinstance(found, str) else chosen(asked, found, basis, ask)


def is_answer(row: Row, grid: Grid, point: Point, basis: Basis) -> bool:
    """Whether a row asks what the point does, and was found the way the grid wants; its figures are not looked at."""
    count = count_of(grid, point)
    try:
        asked = _asked(grid, point, basis, count)
    except InputError as error:
        asked = _unbuilt(grid, point, basis, count, str(error))
    first_figure = Row._fields.index("pattern")
    found = row.is_possible and (row.method == PLAN) == grid.exact
    return row[:first_figure] == asked[:first_figure] and (found or not row.is_possible)


def count_of(grid: Grid, point: Point) -> int:
    """How many devices a point has."""
    return point.count or (1 if grid.base is None else grid.base.cluster.size)


def ask_of(grid: Grid, point: Point, basis: Basis) -> Ask:
    """What the candidates of a point are judged by."""
    spec = basis.spec
    blocks = blocks_at(point, spec, grid.base)
    frames = spec.pixel_frames(1)
    money_per_us = _price(point, basis) / US_PER_HOUR / _minutes(spec)
    return Ask(grid.objective, grid.limits, blocks, frames, money_per_us)


def refusal(asked: Row, why: str) -> Row:
    """The row of a point that nothing can run."""
    why = why.removeprefix("no plan fits: ").removeprefix("memory: ").removeprefix("placement: ")
    return asked._replace(verdict=f"0 sessions: {why}")


def chosen(asked: Row, choice: Choice, basis: Basis, ask: Ask) -> Row:
    """The row with the figures of what was chosen."""
    candidate, laid = choice.candidate, choice.laid
    key = "spread", candidate.pattern, candidate.placement, candidate.ranks
    if key not in basis.known:
        basis.known[key] = spread(laid)
    around: Spread = basis.known[key]
    merit, frames = choice.merit, clip_frames(basis.spec, ask.blocks)
    row = asked._replace(
        pattern=str(candidate.pattern),
        placement=str(candidate.placement),
        ranks=candidate.ranks,
        devices=merit.devices,
        fps=frames * 1e6 / merit.makespan_us,
        fps_low=frames * 1e6 / max(around.slow.finished_at(ask.blocks), merit.makespan_us),
        fps_high=frames * 1e6 / min(around.quick.finished_at(ask.blocks), merit.makespan_us),
        steady_fps_low=ask.frames * 1e6 / max(around.slow.period_us, merit.period_us),
        steady_fps_high=ask.frames * 1e6 / min(around.quick.period_us, merit.period_us),
        first_frame_us=round(merit.first_frame_us),
        first_frame_low_us=min(around.quick.finished_us[0], round(merit.first_frame_us)),
        first_frame_high_us=max(around.slow.finished_us[0], round(merit.first_frame_us)),
        control_us=round(merit.control_us),
        bound_us=laid.bound_us,
        gap=max(0.0, merit.period_us / laid.bound_us - 1),
        method=LIST_SCHEDULE,
        source=source(laid.priced.problem),
        verdict=verdict(choice, basis),
    )
    return with_money(with_memory(row, choice, basis), merit.period_us, basis.spec, ask)


def _exact(asked: Row, made: Planned, basis: Basis, ask: Ask) -> Row:
    """The row of a plan: its figures, and an interval as wide beside them as a quick layout's is beside its own."""
    laid = basis.laid(made.pattern, made.placement, made.ranks)
    if isinstance(laid, str):
        return refusal(asked, laid)
    merit = made.merit
    candidate = Candidate(made.pattern, made.placement, made.ranks, 0, 0, 0)
    quick = chosen(asked, Choice(candidate, laid, merit_of(laid, ask.blocks), made.missed), basis, ask)
    fps = clip_frames(basis.spec, ask.blocks) * 1e6 / merit.makespan_us
    steady = laid.clip.period_us / merit.period_us
    wide, late = fps / quick.figure("fps"), merit.first_frame_us / quick.figure("first_frame_us")
    row = quick._replace(
        fps=fps,
        fps_low=quick.figure("fps_low") * wide,
        fps_high=quick.figure("fps_high") * wide,
        steady_fps_low=quick.figure("steady_fps_low") * steady,
        steady_fps_high=quick.figure("steady_fps_high") * steady,
        first_frame_us=round(merit.first_frame_us),
        first_frame_low_us=round(quick.figure("first_frame_low_us") * late),
        first_frame_high_us=round(quick.figure("first_frame_high_us") * late),
        control_us=round(merit.control_us),
        peak_memory_bytes=made.peak_bytes,
        bound_us=made.bound_us,
        gap=max(0.0, merit.period_us / made.bound_us - 1),
        method=PLAN,
    )
    fitting = with_memory(row, Choice(candidate, laid, merit, ()), basis).sessions_as_placed
    return with_money(row._replace(sessions_as_placed=fitting), merit.period_us, basis.spec, ask)


def with_memory(row: Row, choice: Choice, basis: Basis) -> Row:
    """The row with what memory the fullest rank needs, and for now how many sessions fit there as those placed."""
    candidate = choice.candidate
    held = basis.held(candidate.pattern, candidate.placement, candidate.ranks)
    fullest = max(held, key=lambda load: load.total)
    return row._replace(
        sessions_as_placed=sessions_in_memory(choice.laid, held),
        peak_memory_bytes=fullest.total,
        session_bytes=max(load.session for load in held),
    )


def with_money(row: Row, period_us: float, spec: ModelSpec, ask: Ask) -> Row:
    """The row with all that follows from the period; the sessions of one group become those of all."""
    assert row.devices is not None
    steady = ask.frames * 1e6 / period_us
    groups, wanted = row.count // row.devices, ask.limits.fps or spec.frame_rate
    return row._replace(
        steady_fps=steady,
        period_us=period_us,
        real_time=steady / spec.frame_rate,
        money_per_minute=row.devices * period_us * ask.money_per_us,
        sessions_as_placed=groups * min(row.sessions_as_placed or 0, int(steady / wanted)),
    )


def verdict(choice: Choice, basis: Basis) -> str:
    """`ok`, or what limits are missed; and a word if the checkpoint is not known to bear the pattern."""
    told = f"misses {', '.join(choice.missed)}" if choice.missed else OK
    pattern = choice.candidate.pattern
    if tolerates(basis.spec, pattern):
        return told
    return f"{told}; {basis.spec.name} is not known to tolerate {pattern}, expect artefacts"


def clip_frames(spec: ModelSpec, blocks: int) -> int:
    """Pixel frames of a clip."""
    return spec.pixel_frames(0) + (blocks - 1) * spec.pixel_frames(1)


def _minutes(spec: ModelSpec) -> float:
    """Of video in a full block."""
    return spec.pixel_frames(1) / spec.frame_rate / 60


def _price(point: Point, basis: Basis) -> float:
    return basis.device.price_per_hour if point.price is None else point.price


def _asked(grid: Grid, point: Point, basis: Basis, count: int) -> Row:
    """The row's first part. Raises InputError if the problem's parts do not go together."""
    problem, spec = basis.problem(count), basis.spec
    cluster = problem.cluster
    nodes = len(cluster.nodes) > 1
    return Row(
        point=point.number,
        model=spec.name,
        width=spec.pixel_width,
        height=spec.pixel_height,
        steps=spec.steps,
        decode=problem.workload.decode,
        kv_transfer=problem.kv_transfer,
        profile=DATA_SHEET if problem.profile is None else problem.profile.taken or problem.profile.software,
        device=cluster.devices[0].kind,
        link=cluster.link.kind,
        network=cluster.network.kind if cluster.network is not None and nodes else None,
        per_node=cluster.nodes[0] if nodes else None,
        count=count,
        blocks=blocks_at(point, spec, grid.base),
        price_per_hour=_price(point, basis),
        asked=_named(point),
    )


def _unbuilt(grid: Grid, point: Point, basis: Basis, count: int, why: str) -> Row:
    """The row of a point whose parts do not even make a problem."""
    spec, words = basis.spec, _plain(point)
    return Row(
        point=point.number,
        model=spec.name,
        width=spec.pixel_width,
        height=spec.pixel_height,
        steps=spec.steps,
        decode=bool(words["decode"]),
        kv_transfer=words["kv_transfer"],
        profile=words["profile"],
        device=words["device"],
        link=words["link"],
        network=words["network"] or None,
        per_node=point.per_node,
        count=count,
        blocks=blocks_at(point, spec, grid.base),
        price_per_hour=point.price or 0.0,
        asked=_named(point),
        verdict=f"0 sessions: {why}",
    )


def _plain(point: Point) -> dict[str, Any]:
    """What the point says in words; values that are given in full by their names."""
    profile = point.profile or SHIPPED if isinstance(point.profile, str | None) else "given"
    told = {name: getattr(point, name) for name in ("device", "link", "network")}
    words = {name: value if isinstance(value, str) else getattr(value, "kind", "") for name, value in told.items()}
    decode = True if point.decode is None else point.decode
    return words | {"profile": profile, "decode": decode, "kv_transfer": point.kv_transfer or "full"}


def _named(point: Point) -> str:
    offset = "" if point.offset is None else f"offset {point.offset}"
    return ", ".join(filter(None, (point.pattern, offset, point.placement, point.parallel)))
