"""The flags that say what happens to a run besides its plan, and the conditions they make."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from executor.command import section
from executor.flags import Command, input_error
from executor.names import FILE

if TYPE_CHECKING:
    from planner.conditions import Conditions

STRAGGLER, SLOW_LINK, OUTAGE = "RANK:FACTOR", "FACTOR|FROM:TO:FACTOR", "RANK:AT[:BACK]"


conditions_option = click.option(
    "--conditions", "conditions_file", type=FILE, help="A file of conditions; flags change it or add to it."
)


def jitter_option(of: str, usual: str) -> Callable[[Command], Command]:
    told = f"Spread of {of} (log-normal sigma).  [default: {usual}]"
    return click.option("--jitter", type=float, metavar="SIGMA", help=told)


def seed_option(of: str) -> Callable[[Command], Command]:
    return click.option("--seed", type=int, metavar="SEED", help=f"Seed of {of}.  [default: 0]")


def start_up_option(until: str) -> Callable[[Command], Command]:
    return click.option("--start-up", type=float, metavar="SECONDS", help=f"Until {until}.  [default: 0]")


def player_start_option(usual: int) -> Callable[[Command], Command]:
    told = f"Finished when playing starts.  [default: {usual}]"
    return click.option("--player-start", type=int, metavar="BLOCKS", help=told)


def player_queue_option(usual: str) -> Callable[[Command], Command]:
    told = f"Most finished ones that wait; 0: any number.  [default: {usual}]"
    return click.option("--player-queue", type=int, metavar="BLOCKS", help=told)


def condition_options(command: Command) -> Command:
    """Conditions as a file, as flags, or as a file that flags change."""
    return section(
        "Conditions",
        conditions_option,
        jitter_option("durations", "0"),
        seed_option("all that is drawn"),
        click.option(
            "--straggler",
            "stragglers",
            multiple=True,
            metavar=STRAGGLER,
            help="A rank that takes so many times as long; may be repeated.",
        ),
        click.option(
            "--slow-link",
            "slow_links",
            multiple=True,
            metavar=SLOW_LINK,
            help="Transfers that take so many times as long: all, or one way's; may be repeated.",
        ),
        click.option(
            "--outage",
            "outages",
            multiple=True,
            metavar=OUTAGE,
            help="A rank that is gone, from and to, in seconds; without BACK for good; may be repeated.",
        ),
        start_up_option("a rank takes its first action"),
        click.option(
            "--compile-time",
            "compile_s",
            type=float,
            metavar="SECONDS",
            help="More for a rank's first of each kind.",
        ),
        player_start_option(1),
        player_queue_option("any number"),
        click.option(
            "--turns",
            type=click.Choice(["planned", "ready", "fair"]),
            help="Who goes first on a shared link.  [default: planned]",
        ),
        click.option(
            "--host-slots", type=int, metavar="COUNT", help="Posts that a node makes at once.  [default: any number]"
        ),
    )(command)


def conditions_of(
    conditions_file: str | None,
    *,
    jitter: float | None,
    seed: int | None,
    stragglers: tuple[str, ...],
    slow_links: tuple[str, ...],
    outages: tuple[str, ...],
    start_up: float | None,
    compile_s: float | None,
    player_start: int | None,
    player_queue: int | None,
    turns: str | None,
    host_slots: int | None,
) -> Conditions:
    """Raises InputError naming the flag or the field, and its form."""
    from planner.conditions import Conditions
    from planner.files import read_document

    base = Conditions() if conditions_file is None else read_document(Conditions, conditions_file)
    data = base.model_dump()
    if jitter is not None:
        spread = {"sigma": jitter}
        data["jitter"] = {"passes": spread, "side": spread, "transfers": spread}
    for field, texts, read in (
        ("stragglers", stragglers, _straggler),
        ("slow_links", slow_links, _slow_link),
        ("outages", outages, _outage),
    ):
        data[field] = [*data[field], *map(read, texts)]
    _set(data, {"seed": seed, "turns": turns, "host_slots": host_slots})
    _set(data["start_up"], {"ready_us": _us("--start-up", start_up), "compile_us": _us("--compile-time", compile_s)})
    _set(data["player"], {"start_blocks": player_start})
    if player_queue is not None:
        data["player"]["queue_blocks"] = player_queue or None
    return Conditions.from_data(data, conditions_file or "command line")


def _set(data: dict[str, Any], given: dict[str, object]) -> None:
    data.update({name: value for name, value in given.items() if value is not None})


def _us(flag: str, seconds: float | None) -> int | None:
    if seconds is not None and not 0 <= seconds <= 10**7:
        raise input_error(f"{flag}: must be seconds from 0, not {seconds}")
    return None if seconds is None else round(seconds * 1e6)


def _parts(flag: str, form: str, text: str, kinds: tuple[Callable[[str], float], ...]) -> list[Any]:
    parts = text.split(":")
    try:
        found = [kind(part) for kind, part in zip(kinds, parts, strict=True)]
    except ValueError:
        raise input_error(f"{flag}: {text!r} is not {form}") from None
    if not all(math.isfinite(value) for value in found):
        raise input_error(f"{flag}: {text!r} is not {form}")
    return found


def _straggler(text: str) -> dict[str, object]:
    rank, factor = _parts("--straggler", STRAGGLER, text, (int, float))
    return {"rank": rank, "factor": factor}


def _slow_link(text: str) -> dict[str, object]:
    if ":" not in text:
        return {"factor": _parts("--slow-link", SLOW_LINK, text, (float,))[0]}
    source, target, factor = _parts("--slow-link", SLOW_LINK, text, (int, int, float))
    return {"source": source, "target": target, "factor": factor}


def _outage(text: str) -> dict[str, object]:
    kinds = (int, float, float)[: 2 + (text.count(":") > 1)]
    rank, *times = _parts("--outage", OUTAGE, text, kinds)
    at_us, *back_us = (_us("--outage", time) for time in times)
    return {"rank": rank, "at_us": at_us, "back_us": back_us[0] if back_us else None}
