"""`plan()`: tries patterns, placements and rules, and returns the best schedule with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from planner.action import Action
from planner.bounds import makespan_bound
from planner.check import check
from planner.cost import Costs, costs
from planner.errors import InfeasibleError
from planner.graph import build_graph
from planner.lower import lower
from planner.memory import peak_bytes
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement, all_placements
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.rows import Rows, finished_us, makespan_us
from planner.schedulers.list_schedule import RULES, list_schedule
from planner.timing import retime

SOLVER = "list scheduling"
SOLVER_VERSION = "1"


def plan(
    problem: Problem,
    *,
    pattern: Pattern | None = None,
    placement: Placement | None = None,
) -> Plan:
    """The plan of least makespan found for the problem on all its devices, checked, with a proven lower bound.

    Of equally fast schedules the one whose blocks are finished earlier wins. Without a `pattern`, those the checkpoint
    tolerates are tried; of equally fast ones the one that reads the cleanest context wins. A pattern asked for by name
    is planned whatever the checkpoint tolerates, and then the plan carries a warning. The bound is that of the plan's
    own pattern. Raises InfeasibleError if nothing fits in memory, InputError if the placement needs more ranks than
    there are.
    """
    spec = problem.model
    tolerated = [p for p in all_patterns(spec) if p.name in spec.tolerates]
    chosen = [pattern] if pattern is not None else tolerated
    if not chosen:
        raise InfeasibleError(
            f"model {spec.name} tolerates only {', '.join(spec.tolerates)}, none of which can be planned yet; "
            "ask for a pattern by name"
        )
    best: Plan | None = None
    refusals: list[str] = []
    for candidate in chosen:
        found = _plan_pattern(problem, candidate, placement, refusals)
        if found is not None and (best is None or found.makespan_us < best.makespan_us):
            best = found
    if best is None:
        raise InfeasibleError("no plan fits: " + "; ".join(dict.fromkeys(refusals)))
    check(best, problem)
    return best


def _plan_pattern(problem: Problem, pattern: Pattern, placement: Placement | None, refusals: list[str]) -> Plan | None:
    """The best plan of one pattern, or None with the reasons added to `refusals`."""
    timing, ranks = costs(problem), problem.cluster.size
    graph = build_graph(problem, pattern, timing)
    bound = makespan_bound(graph, timing, ranks)
    decode = problem.workload.decode
    placements = [placement] if placement is not None else all_placements(ranks, decode=decode)
    best: Plan | None = None
    for where, rule in product(placements, RULES):
        rows = retime(lower(list_schedule(graph, timing, where, ranks, rule), graph), graph, timing)
        value = makespan_us(rows)
        if best is not None and _merit(rows, problem) >= _merit(best.ranks, problem):
            continue
        refused = _over_memory(problem, [[row.action for row in program] for program in rows], timing)
        if refused:
            refusals.append(refused)
            continue
        best = Plan(
            problem_digest=problem.digest,
            pattern=pattern,
            placement=str(where),
            last_step=problem.model.steps - 1,
            ranks=rows,
            evidence=Evidence(
                status="OPTIMAL" if value == bound.value_us else "FEASIBLE",
                value_us=value,
                bound_us=bound.value_us,
                bound=bound.name,
                solver=f"{SOLVER}, {rule}",
                version=SOLVER_VERSION,
            ),
            warnings=_warnings(problem, pattern),
        )
    return best


def _merit(rows: Rows, problem: Problem) -> tuple[int, int]:
    """What plans of one pattern are compared by: makespan, then how early the blocks are finished."""
    return makespan_us(rows), sum(finished_us(rows, problem.model.steps - 1))


def _over_memory(problem: Problem, programs: Sequence[Sequence[Action]], timing: Costs) -> str | None:
    for rank, (program, device) in enumerate(zip(programs, problem.cluster.devices, strict=True)):
        need = peak_bytes(program, timing)
        if need > device.memory_bytes:
            return (
                f"memory: rank {rank} needs {need / 1e9:.1f} GB (weights {problem.model.weight_bytes / 1e9:.1f} GB, "
                f"K/V {problem.model.kv_bytes_per_block / 1e9:.2f} GB a block) > {device.memory_bytes / 1e9:.1f} GB "
                f"of {device.kind}"
            )
    return None


def _warnings(problem: Problem, pattern: Pattern) -> tuple[str, ...]:
    spec = problem.model
    if pattern.name in spec.tolerates:
        return ()
    return (f"{spec.name} is not known to tolerate {pattern}: it names {', '.join(spec.tolerates)}; expect artefacts",)
