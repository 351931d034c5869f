"""`simulate()`: plays a plan in SimPy, a process per rank and one per transfer, and returns a Trace.

Durations are the problem's, and what `planner.conditions` makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.action import TimedAction
from planner.calibrating.script import Place, Script, script
from planner.conditions import Conditions
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows
from planner.simulating.required import require_ranks, require_run
from planner.simulating.stopped import finished_blocks, undone, why
from planner.simulating.world import World
from planner.streams.unroll import unroll
from planner.trace import Trace


def simulate(plan: Plan, problem: Problem, conditions: Conditions = Conditions(), *, run: int = 0) -> Trace:  # noqa: B008 - frozen value
    """What the plan does under the conditions, in run number `run` of their seed.

    The ranks follow the plan's order, never its times; under no conditions the trace's times equal the plan's. A
    stream's kernel runs as often as it repeats. Of a run that a rank's outage for good brings to a halt, the trace
    holds what was done, and `stopped` says why. Raises MismatchError for a plan of another problem, InputError for a
    plan of too many actions, conditions on ranks that there are not or no run's number, InfeasibleError naming each
    rank's action if the plan never finishes.
    """
    plan.require(problem)
    require_ranks(conditions, problem.cluster.size)
    require_run(run, "run")
    read, planned = script(plan, problem), unroll(plan)
    begun = [planned[move.sent[0]][move.sent[1]].start_us for move in read.moves]
    spans = World(read, begun, conditions, run).play()
    stopped, finished = "", None
    if stuck := undone(read, spans):
        finished = finished_blocks(read, spans)
        stopped = why(read, conditions, stuck, finished)
    return Trace(
        plan_digest=plan.digest,
        kind="simulated",
        last_step=plan.last_step,
        ranks=_rows(read, spans),
        stopped=stopped,
        finished_blocks=finished,
    )


def _rows(read: Script, spans: Mapping[Place, tuple[int, int]]) -> Rows:
    return tuple(
        tuple(
            TimedAction(action, *spans[rank, index]) for index, action in enumerate(program) if (rank, index) in spans
        )
        for rank, program in enumerate(read.programs)
    )
