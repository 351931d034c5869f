"""`calibrate()`: measured runs of a plan -> a new profile to plan by, and where the old one's time went."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from planner.action import Action, Kind
from planner.calibrating.compared import Compared, compare
from planner.calibrating.fit_link import Wired, fitted
from planner.calibrating.foretold import seen_in
from planner.calibrating.losses import Losses, losses, medians, planned_as
from planner.calibrating.observed import Run, observe
from planner.calibrating.refit import refit
from planner.calibrating.replay import Assumed
from planner.calibrating.script import Script, script
from planner.calibrating.shown import COMPARED_COLUMNS, LOSS_COLUMNS, compared_row, loss_rows
from planner.errors import InfeasibleError, InputError, MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import MAX_US, Profile, Timing
from planner.rows import Rows
from planner.streams.unroll import unroll
from planner.trace import Trace
from planner.value import Document

NOTE = ", calibrated by plan "
LEAST_POSTS, TRIMMED = 3, 0.05


class Calibration(Document):
    """What runs of a plan say: the profile to plan by, planned against measured, and what the difference comes from.

    `losses` tells of the run whose makespan is the median of all (`makespans_us`, as given).
    """

    schema_name: Literal["blockcascade.calibration/1"] = "blockcascade.calibration/1"
    problem_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["simulated", "measured"]
    makespans_us: tuple[int, ...] = Field(min_length=1)
    profile: Profile
    losses: Losses
    actions: tuple[Compared, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: where the time went, by cause, and folded away each kind of action."""
        from planner.pictures.inline import Table, listing

        runs = len(self.makespans_us)
        title = f"Calibration, {runs} {self.kind} run{'s' * (runs > 1)}"
        return listing(
            title,
            Table(LOSS_COLUMNS, loss_rows(self.losses, self.kind)),
            Table(COMPARED_COLUMNS, map(compared_row, self.actions), "each kind of action and transfer"),
            notes=[self.profile.software],
        )

    def calibrated(self, problem: Problem) -> Problem:
        """The same problem with the new profile. Raises MismatchError for another problem than was calibrated."""
        if problem.digest != self.problem_digest:
            raise MismatchError(
                f"calibration: of problem {self.problem_digest[:12]}, this problem is {problem.digest[:12]}"
            )
        return problem.model_copy(update={"profile": self.profile})


def calibrate(problem: Problem, plan: Plan, trace: Trace, *more: Trace) -> Calibration:
    """The profile under which the cost model foretells these runs, and the old forecast held against them.

    Durations are medians over all runs: of passes by the blocks they read, of decodes, batches, ticks, groups and
    slices as far as the plan has them; the link is fitted to the arrivals, and posting takes its trimmed mean. What no
    run tells of stays as the problem's profile has it, or without one as the data sheets say. Traces of simulations
    are taken too: what they assumed comes out. Raises MismatchError for traces of other plans, of unequal kinds or
    with actions missing or out of order, InputError for a cluster of several kinds of device (a profile is of one),
    or a plan too long to replay.
    """
    traces = (trace, *more)
    for each in traces:
        each.require(plan)
        if each.kind != trace.kind:
            raise MismatchError("trace: simulated and measured ones cannot be mixed; give one kind")
    lines = script(plan, problem)
    rows = unroll(plan)
    planned = planned_as(lines, rows)
    runs = [observe(lines, each, planned) for each in traces]
    profile = refit(lines, problem.profile or reckoned(lines), seen_in(lines, runs))
    known = Wired(profile.link_latency_us, profile.link_bandwidth_gbps)
    link = fitted(lines, planned, runs, known)
    makespans = tuple(each.makespan_us for each in traces)
    typical = sorted(range(len(runs)), key=lambda at: (makespans[at], at))[(len(runs) - 1) // 2]
    changes = {
        "software": f"{profile.software.partition(NOTE)[0]}{NOTE}{plan.digest[:12]}",
        "busy_ranks": sum(any(action.is_compute for action in program) for program in lines.programs),
        "post_us": _post_us(runs, profile.post_us),
        "link_latency_us": min(link.latency_us, MAX_US),
        "link_bandwidth_gbps": link.gbps,
    }
    return Calibration(
        problem_digest=problem.digest,
        plan_digest=plan.digest,
        kind=trace.kind,
        makespans_us=makespans,
        profile=Profile.model_validate(profile.model_dump() | changes),
        losses=_losses(lines, rows, planned, runs, typical, plan.last_step),
        actions=compare(lines, planned, runs),
    )


def _losses(lines: Script, rows: Rows, planned: Assumed, runs: Sequence[Run], typical: int, last_step: int) -> Losses:
    try:
        return losses(lines, rows, planned, runs[typical], medians(lines, runs), last_step)
    except InfeasibleError as error:
        raise MismatchError(f"trace: its times contradict the plan's order ({error}); run it again") from error


def reckoned(lines: Script) -> Profile:
    """What the data sheets say of the plan's passes and decodes, as a profile; each figure counts as one sample.

    Raises InputError if the cluster has several kinds of device.
    """
    costs, flow = lines.costs, lines.flow
    problem = costs.problem
    kinds = sorted({device.kind for device in problem.cluster.devices})
    if len(kinds) > 1:
        raise InputError(f"cluster: has {' and '.join(kinds)}; a profile is of one kind of device, so calibrate on one")
    tables: dict[Kind, dict[int, int]] = {Kind.DENOISE: {}, Kind.COMMIT: {}}
    passes = {item for program in lines.programs for action in program for item in action.passes}
    # Block 0 last: it may have another size than all others.
    for block, step in (*sorted(passes, key=lambda item: (not item[0], item[0], item[1] or 0)), (0, 0), (0, None)):
        kind = Kind.COMMIT if step is None else Kind.DENOISE
        read = flow.blocks_read(block, flow.stage((block, step)))
        tables[kind].setdefault(read, math.ceil(costs.passes.action_us(Action(kind, block, step), (0,))))
    parts, device = range(flow.parts), problem.cluster.devices[0]
    decodes = [math.ceil(sum(costs.passes.decoder.part_us(block, part, device) for part in parts)) for block in (0, 1)]
    link = problem.cluster.link
    return Profile(
        model=problem.model.name,
        device=kinds[0],
        software="data sheet",
        denoise=_table(tables[Kind.DENOISE]),
        clean=_table(tables[Kind.COMMIT]) if problem.model.clean_pass else (),
        decode_first=_timing(decodes[0]),
        decode=_timing(decodes[1]),
        link_latency_us=link.latency_us,
        link_bandwidth_gbps=link.bandwidth_gbps,
        link_sharing=link.sharing,
    )


def _table(found: dict[int, int]) -> tuple[Timing, ...]:
    return tuple(_timing(found[context], context) for context in sorted(found))


def _timing(us: int, context: int | None = None) -> Timing:
    return Timing(median_us=us, p95_us=us, samples=1, context=context)


def _post_us(runs: Sequence[Run], known: int) -> int:
    """The mean, as what a run loses to many short posts is their sum; the slowest and the quickest left out."""
    posts = sorted(post for run in runs for post in run.posts.values())
    aside = math.ceil(len(posts) * TRIMMED) if len(posts) > LEAST_POSTS else 0
    return round(statistics.mean(posts[aside : len(posts) - aside])) if len(posts) >= LEAST_POSTS else known
