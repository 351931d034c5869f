"""Whole clips of one device, so that a profile foretells passes and decodes in the very loop that will run them.

A pass right after a decode finds other things in the caches than one that is timed beside its like; on a CPU that is a
tenth of its time and more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from executor.channels.local_channel import LocalWorld
from executor.executable import require_executable
from executor.measuring.rounds import NO_MEMORY
from executor.rank.bind import Rank
from executor.rank.recorder import Recorder
from executor.rank.worker import Worker
from executor.world.causes import out_of_memory
from models.errors import BlockcascadeError
from models.loaded import LoadedModel
from models.spec import ModelSpec
from planner.action import TimedAction
from planner.calibrate import calibrate
from planner.cluster import Cluster
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.trace import Trace
from planner.workload import Workload

Rows = tuple[TimedAction, ...]


def clip_of(spec: ModelSpec, cluster: Cluster) -> tuple[Problem, Plan]:
    """A sequential clip for one device: the window filled, and two more blocks at full context.

    Raises InfeasibleError if the device's memory does not suffice, WorldError if it cannot be executed.
    """
    blocks = spec.window_blocks + 2
    problem = Problem(model=spec, cluster=cluster.first(1), workload=Workload(blocks=blocks))
    found = plan(problem, pattern=Pattern.sequential(spec))
    require_executable(found, problem)
    return problem, found


def run_clips(
    model: LoadedModel, cluster: Cluster, prompt: str, *, fused: bool | None, repeats: int
) -> tuple[Rows, ...] | str:
    """What each of several runs on this device did; or why there is none."""
    try:
        problem, chosen = clip_of(model.spec, cluster)
        flow = Flow(problem, chosen.pattern, Placement.parse(chosen.placement))
        program = [row.action for row in chosen.ranks[0]]
        found = []
        for _ in range(repeats):
            alone = LocalWorld(1).channel(0)
            rank = Rank(model, problem, flow, alone, program, prompts=(prompt,), seed=0, fused=fused)
            rank.warm_up()
            recorder = Recorder(rank.device, time.monotonic_ns())
            found.append(Worker(rank, alone, recorder, flow).walk(program))
        return tuple(found)
    except (BlockcascadeError, RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            return NO_MEMORY
        if isinstance(error, BlockcascadeError):
            return str(error)
        raise


def refined(profile: Profile, spec: ModelSpec, cluster: Cluster, clips: Sequence[Rows]) -> Profile:
    """The profile with what the clips took of passes and decodes; what they have none of keeps its proportion."""
    problem, chosen = clip_of(spec, cluster)
    known = Problem.from_data({**problem.model_dump(), "profile": profile}, "profile")
    # The same rows: only their forecast rests on the profile.
    again = chosen.model_copy(update={"problem_digest": known.digest})
    traces = [
        Trace(plan_digest=again.digest, kind="measured", last_step=again.last_step, ranks=(rows,)) for rows in clips
    ]
    fitted = calibrate(known, again, *traces).profile
    names = ("denoise", "clean", "decode_first", "decode", "block_overhead_us")
    return profile.model_copy(update={name: getattr(fitted, name) for name in names})
