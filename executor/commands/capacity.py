"""`blockcascade capacity`: how many sessions a cluster holds, for how much, and what breaks first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from executor.command import Command, section
from executor.commands.shared import print_table, progress, tells_errors, write_json
from executor.common_flags import json_option, pattern_option
from executor.demand_flags import demand_of, demand_options, goal_of, goal_options, live_of, policy_of
from executor.flags import input_error, problem_of, problem_options

if TYPE_CHECKING:
    from planner.conditions import Conditions
    from planner.patterns import Pattern
    from planner.problem import Problem
    from planner.serving.demand import Demand
    from planner.serving.goal import Goal
    from planner.serving.policy import Policy

BEST = "best"
MOST_DEVICES = 64  # that --sessions may use where --count does not say
GOAL = ("attainment", "max_first_frame", "turned_away")
DEMAND = ("arrivals", "length", "prompts", "fps")
LIVE = ("conditions_file", "jitter", "seed", "start_up", "player_start", "player_queue")


class Question(NamedTuple):
    """All that is asked besides the clusters."""

    demand: Demand
    goal: Goal
    conditions: Conditions
    pattern: Pattern | None
    exact: bool
    as_json: bool

    @property
    def keywords(self) -> dict[str, Any]:
        return {"goal": self.goal, "conditions": self.conditions, "pattern": self.pattern, "exact": self.exact}


@click.command(
    cls=Command,
    short_help="Find how many sessions a cluster holds, and what breaks first.",
    examples=(
        "blockcascade capacity --model self-forcing-1.3b --count 8",
        "blockcascade capacity --model self-forcing-1.3b --count 8 --arrivals poisson:60/h --length exp:300",
        "blockcascade capacity --model self-forcing-1.3b --device h100,h200,b200 --sessions 12",
    ),
)
@problem_options
@section(
    "Question",
    click.option(
        "--policy",
        "policies",
        multiple=True,
        metavar="POLICY",
        help="single, group:4, shared:4, shared:4x2, groups:4+2+1+1, rules after commas (shared:4,once), or best; may "
        "be repeated.  [default: best]",
    ),
    click.option(
        "--sessions",
        type=int,
        metavar="COUNT",
        help="Find the least money that holds so many, over --device h100,h200 and up to --count devices of each "
        f"({MOST_DEVICES} unless it is given).",
    ),
    pattern_option,
    click.option("--exact", is_flag=True, help="Plan each group with all of the planner's search; slower."),
)
@demand_options
@goal_options
@section("Output", json_option)
@tells_errors
def capacity(
    policies: tuple[str, ...],
    sessions: int | None,
    admission: str,
    turn: str,
    pattern_text: str | None,
    exact: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Find how many sessions a cluster holds, what they cost, and what breaks first.

    Without --arrivals: the most sessions at once that each policy holds. With --arrivals: how that demand is served.
    With --sessions: the fewest devices, and the least money, that hold so many.

    Policies: single, a session to each device; group:4, one to each group of 4 devices, whatever pattern it runs;
    shared:4, as many to each group as it bears, block by block in turn; shared:4x2, two to each; groups:4+2+1+1, groups
    of several sizes; shared:4+2, groups of several sizes, each as many as it bears. All but groups: and shared:4+2 make
    as many groups as the devices allow, or one with the rule once: shared:4,once. Other rules are those of --turn and
    --admission, for one policy alone: shared:4,turns,queue:30.
    """
    from planner.patterns import Pattern

    goal = goal_of(**{name: given.pop(name) for name in GOAL})
    conditions = live_of(**{name: given.pop(name) for name in LIVE})
    watched = {name: given.pop(name) for name in DEMAND}
    demand, arrivals_named = demand_of(**watched, recache=given.pop("recache"))
    if given["switches"]:
        raise input_error("--switch: sessions have no common clock; say how often prompts change with --prompts 2/min")
    problems = _problems(given, several=sessions is not None)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problems[0].model)
    asked = Question(demand, goal, conditions, pattern, exact, as_json)
    policy_of("single", admission, turn)  # a mistake in them is told even if no policy is named
    named = [policy_of(text, admission, turn) for text in policies if text != BEST]
    if sessions is not None:
        if named or arrivals_named:
            raise input_error("--sessions: come all at once, and policies are found; drop --policy and --arrivals")
        _show_cheapest(problems, sessions, asked)
    elif arrivals_named:
        usual = [policy_of(text, admission, turn) for text in _usual(problems[0])]
        _show_demand(problems[0], named or usual, asked)
    else:
        _show_held(problems[0], named, asked)


def _problems(given: dict[str, Any], *, several: bool) -> list[Problem]:
    """One problem for each kind of device that is named."""
    kinds = (given["device"] or "").split(",")
    if len(kinds) > 1 and not several:
        raise input_error("--device: name one kind of device, or compare several with --sessions COUNT")
    if several and given["problem_file"] is None and given["count"] is None:
        given["count"] = MOST_DEVICES
    return [problem_of(recache=False, **given | {"device": kind or None}) for kind in kinds]


def _usual(problem: Problem) -> list[str]:
    from planner.capacity import LARGEST

    sizes = range(1, min(problem.cluster.size, LARGEST) + 1)
    return [f"shared:{size}" for size in sizes]


def _show_held(problem: Problem, policies: Sequence[Policy], asked: Question) -> None:
    from executor.capacity_text import HELD_COLUMNS, breaking, held_answer, held_row
    from planner.capacity import sessions_held

    with progress(f"filling {problem.cluster.size} device(s) with sessions"):
        answer = sessions_held(problem, policies, demand=asked.demand, **asked.keywords)
    if asked.as_json:
        write_json(answer)
        return
    click.echo(held_answer(answer))
    print_table(HELD_COLUMNS, [held_row(row, problem.model.pixel_frames(1)) for row in answer.rows])
    for line in breaking(answer):
        click.echo(line)
    _show_basis([problem], asked)


def _show_demand(problem: Problem, policies: Sequence[Policy], asked: Question) -> None:
    from executor.capacity_text import FIT_COLUMNS, fit_answer, fit_limit, fit_row
    from planner.capacity import demand_held

    with progress(f"serving sessions on {problem.cluster.size} device(s)"):
        fits = demand_held(problem, asked.demand, policies, **asked.keywords)
    if asked.as_json:
        write_json({"schema_name": "blockcascade.fits/1", "fits": [fit.model_dump(mode="json") for fit in fits]})
        return
    kinds = dict.fromkeys(device.kind for device in problem.cluster.devices)
    where = f"{problem.cluster.size} x {'+'.join(kinds)}"
    click.echo(fit_answer(fits, asked.demand, where))
    print_table(FIT_COLUMNS, [fit_row(fit) for fit in fits])
    click.echo(fit_limit(fits[0]))
    _show_basis([problem], asked)


def _show_cheapest(problems: Sequence[Problem], sessions: int, asked: Question) -> None:
    from executor.capacity_text import OFFER_COLUMNS, offer_answer, offer_row
    from planner.capacity import cheapest

    with progress(f"looking for what holds {sessions} session(s)"):
        found = cheapest(problems, sessions, demand=asked.demand, **asked.keywords)
    if asked.as_json:
        write_json({"schema_name": "blockcascade.cheapest/1", **found.model_dump(mode="json")})
        return
    spec = problems[0].model
    click.echo(offer_answer(found, spec.name, asked.demand.rate_of(spec)))
    print_table(OFFER_COLUMNS, [offer_row(offer) for offer in found.offers])
    least = found.least_money
    if least is not None and least.held is not None:
        click.echo(f"what breaks first on {least.device}: {least.held.verdict.text}")
    _show_basis(problems, asked)


def _show_basis(problems: Sequence[Problem], asked: Question) -> None:
    from executor.capacity_text import basis
    from planner.shipped import source_of_times

    click.echo(basis(asked.goal, asked.demand, asked.conditions))
    for problem in problems:
        click.echo(source_of_times(problem))
