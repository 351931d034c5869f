"""`plan()`: tries patterns, placements, groups and schedulers, and returns the best plan with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.check import check
from planner.errors import InfeasibleError, InputError
from planner.metrics import Metrics
from planner.objective import OBJECTIVES, Limits, best_places, blame, score
from planner.patterns import Pattern, tolerates
from planner.placement import Placement
from planner.plan import Evidence, Objective, Plan, Repeat
from planner.problem import Problem
from planner.schedulers.portfolio import Progress
from planner.searching.case import Case, price
from planner.searching.evidence import evidence, stream_evidence
from planner.searching.explore import BEATEN, Only, Tried, by_promise, chosen_patterns, explore, priced_cases
from planner.searching.finish import Finished, finish, rows_of
from planner.searching.ranking import ranking
from planner.streams.stream import LONGEST, of_length, settled_case, short_blocks, steady, whole_figures

# How far a schedule's figures may be from its rows', and how many cases are lowered to find out.
BIAS, TIMED = 1.3, 24
# A case this much worse at first may still come out best, improved and with its transfers timed anew.
SLACK = 1.03
# Rounds of improvement on each of the best cases.
BUDGET = 30
NOT_ASKED = "not timed as a stream"
# How many cases are finished at most; the others' schedules stand as they are.
FINISHED = 8


class Search(NamedTuple):
    """What a search found: the best plan's rows, and all that was tried."""

    best: Finished
    tried: list[Tried]


class Ask(NamedTuple):
    """What is asked of a search."""

    pattern: Pattern | None
    placement: Placement | None
    objective: Objective
    limits: Limits
    only: Only | None = None


def plan(
    problem: Problem,
    *,
    pattern: Pattern | None = None,
    placement: Placement | None = None,
    objective: Objective = "makespan",
    limits: Limits = Limits(),  # noqa: B008 - frozen value
    only: Only | None = None,
    solve_s: float = 0.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Plan:
    """The plan of the smallest objective that keeps the limits, checked, with a proven bound and what else was tried.

    Of equally good plans the one that reads the cleanest context wins, then the shorter one, then the one whose blocks
    are finished earlier. Without a `pattern`, those the checkpoint tolerates are tried; a pattern asked for by name is
    planned whatever the checkpoint tolerates, and then the plan carries a warning. Without a `placement`, those that
    `only` says yes to are tried. `solve_s`: how long the exact
    solver may work on the best schedule's makespan; with 0 the same problem gives the same plan, byte for byte.
    `on_progress` gets (best, bound) in microseconds and the seconds gone. A clip of more than 500 blocks is planned as
    a stream: a short clip with a kernel that repeats.

    Raises InfeasibleError if nothing fits in memory or keeps the limits, naming what binds and the nearest value that
    can be had; InputError if the pattern and the placement do not go together or need more ranks than there are.
    """
    if not 0 <= solve_s < float("inf"):
        raise InputError(f"solve_s: must be a number of seconds, 0 or more, not {solve_s}")
    if objective not in OBJECTIVES:
        raise InputError(f"objective: {objective!r} is none of {', '.join(OBJECTIVES)}")
    ask = Ask(pattern, placement, objective, limits, only)
    if problem.workload.blocks > LONGEST:
        made = _plan_stream(problem, ask, seed)
    elif objective == "period" and not problem.workload.switches:
        made = _plan_for_period(problem, ask, seed)
    else:
        found = search(problem, ask)
        if solve_s:
            found = found._replace(best=_solved(found.best, objective, solve_s, seed, on_progress))
        made = _plan_of(problem, found, evidence(found.best, found.tried, objective, limits, seed=seed), objective)
    check(made, problem)
    return made


def search(problem: Problem, ask: Ask, *, prune: bool = True) -> Search:
    """The best of all cases. Raises InfeasibleError if there is none."""
    patterns = _patterns(problem, ask)
    tried = explore(problem, patterns, ask.placement, ask.objective, ask.limits, prune=prune, only=ask.only)
    asked = ask.limits.asked()
    best: Finished | None = None
    finished = 0
    _time_anew(tried, ask)
    for place, case in _in_order(tried, ask):
        worse = best is not None and score(case.figures, ask.objective) > score(best.figures, ask.objective) * SLACK
        hopeless = best is None and not all(limit.kept_by(case.figures) for limit in asked)
        if worse or finished >= (FINISHED if best is not None or hopeless else len(tried)):
            break
        made = _finished(tried, place, ask.objective)
        finished += made is not None
        kept = made is not None and all(limit.kept_by(made.figures) for limit in asked)
        if made is not None and kept and (best is None or _key(made, ask, patterns) < _key(best, ask, patterns)):
            best = made
    if best is None and any(item.refused == BEATEN for item in tried):
        # What beat the others did not fit in memory, or not the limits, once it was lowered.
        return search(problem, ask, prune=False)
    if best is None:
        raise InfeasibleError(_why(problem, tried, ask))
    return Search(best, tried)


def _time_anew(tried: list[Tried], ask: Ask) -> None:
    """Gives the most promising cases the figures of their rows: a schedule can be far from what it is lowered to."""
    least: float | None = None
    for at, (place, case) in enumerate(_in_order(tried, ask)):
        value = score(case.figures, ask.objective)
        least = value if least is None else least
        if at == TIMED or value > least * BIAS:
            return
        made = rows_of(case)
        if isinstance(made, str):
            tried[place] = tried[place]._replace(case=None, refused=made)
        else:
            tried[place] = tried[place]._replace(case=case._replace(figures=made.figures))


def _finished(tried: list[Tried], place: int, objective: Objective) -> Finished | None:
    """The rows of a case that was tried; None, and the reason in its place, if it has none."""
    case = tried[place].case
    assert case is not None
    made = finish(case, objective, budget=BUDGET)
    if isinstance(made, str):
        tried[place] = tried[place]._replace(case=None, refused=made)
        return None
    tried[place] = tried[place]._replace(case=case._replace(figures=made.figures))
    return made


def _patterns(problem: Problem, ask: Ask) -> list[Pattern]:
    chosen = chosen_patterns(problem, ask.pattern)
    if not chosen:
        raise InfeasibleError(
            f"model {problem.model.name} tolerates only {', '.join(problem.model.tolerates)}, none of which can be "
            "planned for this workload; ask for a pattern by name"
        )
    return chosen


def _in_order(tried: list[Tried], ask: Ask) -> Iterator[tuple[int, Case]]:
    """The cases that may become the plan, most promising first: those that seem to keep the limits, then by score."""
    asked = ask.limits.asked()

    def standing(place: int) -> tuple[bool, float, int, int]:
        figures = tried[place].figures
        assert figures is not None
        kept = all(limit.kept_by(figures) for limit in asked)
        return not kept, score(figures, ask.objective), figures.makespan_us, place

    places = [place for place, item in enumerate(tried) if item.eligible and item.case is not None]
    for place in sorted(places, key=standing):
        case = tried[place].case
        assert case is not None
        yield place, case


def _key(item: Finished, ask: Ask, patterns: Sequence[Pattern]) -> tuple[float, int, int, int]:
    """Smaller is better; of equally good plans the cleaner context, which stands first in `patterns`."""
    value, makespan, ends = item.merit(ask.objective)
    return value, patterns.index(item.case.pattern), makespan, ends


def _solved(best: Finished, objective: Objective, solve_s: float, seed: int, on_progress: Progress | None) -> Finished:
    exact = finish(best.case, objective, budget=BUDGET, solve_s=solve_s, seed=seed, on_progress=on_progress)
    if isinstance(exact, str):
        return best
    better = exact if exact.merit(objective) < best.merit(objective) else best
    return better._replace(solved=exact.solved)


class Stream(NamedTuple):
    """The best case of a short clip as an endless stream, its kernel, and all that was tried."""

    best: Finished
    repeat: Repeat
    tried: list[Tried]


def _plan_stream(problem: Problem, ask: Ask, seed: int) -> Plan:
    """The plan of a clip too long to write out: that of a short clip, with the kernel that repeats."""
    if problem.workload.switches:
        raise InputError(f"switches: are planned in clips of at most {LONGEST} blocks, not {problem.workload.blocks}")
    stream = _best_stream(problem, of_length(problem, short_blocks(problem, _patterns(problem, ask))), ask)
    best, repeat = _of_whole_kernels(problem, stream.best, stream.repeat)
    best = best._replace(figures=whole_figures(best, repeat.period_us, problem))
    proof = stream_evidence(problem, best, stream.tried, ask.objective, ask.limits, seed)
    made = _plan_of(problem, Search(best, stream.tried), proof, ask.objective)
    return made.model_copy(update={"repeat": repeat, "steady": steady(best.case, repeat.period_us)})


def _plan_for_period(problem: Problem, ask: Ask, seed: int) -> Plan:
    """The plan of a clip by the pattern and placement whose endless stream has the least period."""
    long = of_length(problem, LONGEST)
    stream = _best_stream(long, of_length(long, short_blocks(long, _patterns(problem, ask))), ask)
    case = stream.best.case
    found = search(problem, ask._replace(pattern=case.pattern, placement=case.placement, objective="makespan"))
    told = steady(case, stream.repeat.period_us)
    proof = evidence(found.best, found.tried, "period", ask.limits, seed=seed, steady=told)
    shown = found.best._replace(figures=stream.best.figures)
    return _plan_of(problem, Search(shown, stream.tried), proof, "period").model_copy(update={"steady": told})


def _best_stream(problem: Problem, short: Problem, ask: Ask) -> Stream:
    """The short clip's case that makes the best stream of the problem's length."""
    by_period = ask.objective in ("makespan", "period")
    tried = priced_cases(
        short, _patterns(short, ask), ask.placement, ask.objective, ask.limits, stream=True, only=ask.only
    )
    best: Stream | None = None
    least = float("inf")
    for place in by_promise(tried):
        item = tried[place]
        assert item.costs is not None
        if not item.eligible or (by_period and item.at_best >= least):
            tried[place] = item._replace(refused=BEATEN if item.eligible else NOT_ASKED)
            continue
        made = settled_case(short, item.costs, ask.objective)
        if isinstance(made, str):
            tried[place] = item._replace(refused=made)
            continue
        found = made[0]._replace(figures=whole_figures(made[0], made[1].period_us, problem))
        tried[place] = item._replace(case=found.case._replace(figures=found.figures))
        value = float(made[1].period_us) if by_period else score(found.figures, ask.objective)
        if value < least and all(limit.kept_by(found.figures) for limit in ask.limits.asked()):
            best, least = Stream(found, made[1], tried), value
    if best is None:
        figures = [item.case.figures for item in tried if item.eligible and item.case is not None]
        asked = ask.limits.asked()
        raise InfeasibleError(blame(asked, figures) if figures and asked else _refusals(tried))
    return best


def _of_whole_kernels(problem: Problem, best: Finished, repeat: Repeat) -> tuple[Finished, Repeat]:
    """The rows of a short clip that differs from the problem's by whole kernels."""
    missing = (problem.workload.blocks - best.case.flow.blocks) % repeat.kernel_blocks
    if missing:
        longer = of_length(problem, best.case.flow.blocks + missing)
        priced = price(longer, best.case.pattern, best.case.placement)
        made = settled_case(longer, priced, "makespan")
        same = not isinstance(made, str) and made[1].kernel_blocks == repeat.kernel_blocks
        if isinstance(made, str) or not same:
            raise InfeasibleError(
                f"stream: {best.case.pattern} on {best.case.placement} does not end as it should; plan "
                f"{problem.workload.blocks - missing} blocks, or name another placement"
            )
        best, repeat = made
    copies = (problem.workload.blocks - best.case.flow.blocks) // repeat.kernel_blocks
    return best, repeat.model_copy(update={"copies": copies})


def _why(problem: Problem, tried: list[Tried], ask: Ask) -> str:
    """Why there is no plan: what binds, and the nearest value of it that a plan can really have."""
    asked = ask.limits.asked()
    places = [place for place, item in enumerate(tried) if item.eligible and item.case is not None]
    if not places or not asked:
        return _refusals(tried)
    found: dict[int, Metrics] = {place: item.figures for place in places if (item := tried[place]).figures}
    exact = [made.figures for place in best_places(asked, found) if (made := _finished(tried, place, ask.objective))]
    told = blame(asked, exact)
    if ask.limits.devices is None or ask.limits.devices >= problem.cluster.size:
        return told
    more = ask._replace(limits=ask.limits.model_copy(update={"devices": None}), objective="devices")
    try:
        enough = search(problem, more).best.figures.devices
    except InfeasibleError:
        return told
    return f"{told}; or else devices <= {ask.limits.devices}: {enough} keep the other limits"


def _refusals(tried: Sequence[Tried]) -> str:
    refused = dict.fromkeys(item.refused for item in tried if item.eligible and item.refused)
    return "no plan fits: " + "; ".join(list(refused)[:5])


def _plan_of(problem: Problem, found: Search, proof: Evidence, objective: Objective) -> Plan:
    best = found.best
    case = best.case
    return Plan(
        problem_digest=problem.digest,
        pattern=case.pattern,
        placement=str(case.placement),
        switch_ticks=case.flow.switch_ticks,
        last_step=problem.model.steps - 1,
        ranks=best.rows,
        evidence=proof,
        alternatives=ranking(best, found.tried, objective),
        warnings=_warnings(problem, case.pattern),
    )


def _warnings(problem: Problem, pattern: Pattern) -> tuple[str, ...]:
    spec = problem.model
    if tolerates(spec, pattern):
        return ()
    return (f"{spec.name} is not known to tolerate {pattern}: it names {', '.join(spec.tolerates)}; expect artefacts",)
