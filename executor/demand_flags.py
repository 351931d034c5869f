"""The flags that say who comes to watch and what they are promised, and the values they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from executor.command import section
from executor.condition_flags import (
    conditions_option,
    jitter_option,
    player_queue_option,
    player_start_option,
    seed_option,
    start_up_option,
)
from executor.flags import Command, input_error

if TYPE_CHECKING:
    from planner.conditions import Conditions
    from planner.serving.demand import Arrivals, Demand
    from planner.serving.goal import Goal
    from planner.serving.policy import Policy


def demand_options(command: Command) -> Command:
    """Who comes, how they watch, and how much the blocks' times vary."""
    demand = section(
        "Demand",
        click.option(
            "--arrivals", metavar="ARRIVALS", help="all:12, poisson:30/h, or a CSV or JSON lines file of sessions."
        ),
        click.option(
            "--length",
            default="300",
            metavar="SECONDS",
            help="Of a session's video: 300, or a mean, exp:300, lognormal:300:0.8.  [default: 300]",
        ),
        click.option(
            "--prompts", default="0", metavar="COUNT", help="Prompt changes of a session: 3, or 2/min.  [default: 0]"
        ),
        click.option(
            "--fps", type=float, metavar="FPS", help="What viewers play at.  [default: the model's frame rate]"
        ),
    )
    conditions = section(
        "Conditions",
        conditions_option,
        jitter_option("block times", "0.05"),
        seed_option("arrivals, lengths and jitter"),
        start_up_option("the groups take their first block"),
        player_start_option(2),
        player_queue_option("4"),
    )
    return demand(conditions(command))


def goal_options(command: Command) -> Command:
    """What sessions are promised, and how they are let in."""
    return section(
        "Goal",
        click.option(
            "--attainment", type=float, metavar="SHARE", help="Least share of blocks in time, p95.  [default: 0.99]"
        ),
        click.option("--max-first-frame", type=float, metavar="SECONDS", help="Most until the first frame, p95."),
        click.option("--turned-away", type=float, metavar="SHARE", help="Most that find no place.  [default: 0.01]"),
        click.option(
            "--admission",
            default="reject",
            metavar="RULE",
            help="Without a place: reject, queue, queue:SECONDS, rate.  [default: reject]",
        ),
        click.option(
            "--turn",
            type=click.Choice(["deadline", "turns"]),
            default="deadline",
            help="Whose block is next in a group: the one needed first, or each in turn.  [default: deadline]",
        ),
    )(command)


def demand_of(
    arrivals: str | None, length: str, prompts: str, fps: float | None, *, recache: bool
) -> tuple[Demand, bool]:
    """The demand, and whether its arrivals were named."""
    from planner.serving.demand import Demand, Lengths, Prompts

    data: dict[str, Any] = {
        "arrivals": {} if arrivals is None else _arrivals(arrivals),
        "lengths": Lengths.parse(length),
        "prompts": Prompts.parse(prompts),
        "fps": fps,
        "recache": recache,
    }
    return Demand.from_data(data, "command line"), arrivals is not None


def _arrivals(text: str) -> Arrivals:
    from planner.serving.arrivals_file import read_arrivals
    from planner.serving.demand import Arrivals

    return read_arrivals(text) if Path(text).exists() else Arrivals.parse(text)


def goal_of(attainment: float | None, max_first_frame: float | None, turned_away: float | None) -> Goal:
    from planner.serving.goal import Goal

    given = {"attainment": attainment, "first_frame_s": max_first_frame, "turned_away": turned_away}
    return Goal.from_data({name: value for name, value in given.items() if value is not None}, "goal")


def policy_of(text: str, admission: str, turn: str) -> Policy:
    """A policy's text form; the rules of admission and of turns are those of the flags where it names none."""
    from planner.serving.policy import Policy

    name, _, wait = admission.partition(":")
    try:
        longest = float(wait) if wait else None
    except ValueError:
        raise input_error(f"--admission: {admission!r} is not reject, queue, queue:SECONDS or rate") from None
    policy = Policy.parse(text)
    given: dict[str, Any] = {"turn": turn} if policy.turn == "deadline" else {}
    if policy.admission == "reject":
        given |= {"admission": name, "longest_wait_s": longest}
    return Policy.from_data(policy.model_dump() | given, "policy")


def live_of(
    conditions_file: str | None,
    *,
    jitter: float | None,
    seed: int | None,
    start_up: float | None,
    player_start: int | None,
    player_queue: int | None,
) -> Conditions:
    """The conditions of live viewers, or those of a file, with what the flags say."""
    from planner.capacity import LIVE
    from planner.conditions import Conditions
    from planner.files import read_document

    base = LIVE if conditions_file is None else read_document(Conditions, conditions_file)
    data: dict[str, Any] = base.model_dump()
    if jitter is not None:
        data["jitter"]["passes"] = {"sigma": jitter}
    if seed is not None:
        data["seed"] = seed
    if start_up is not None:
        if not 0 <= start_up <= 10**4:
            raise input_error(f"--start-up: must be seconds from 0, not {start_up}")
        data["start_up"]["ready_us"] = round(start_up * 1e6)
    if player_start is not None:
        data["player"]["start_blocks"] = player_start
    if player_queue is not None:
        data["player"]["queue_blocks"] = player_queue or None
    return Conditions.from_data(data, conditions_file or "command line")
