"""R1: which rows can be understood at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from planner.action import OF_PASSES, TRANSFERS, Action, Carried, Kind, TimedAction

Program = Sequence[TimedAction]

CARRIED = frozenset(get_args(Carried))
STEPPED = frozenset({Kind.DENOISE, Kind.BATCH, Kind.SLICE})
MAY_STEP = STEPPED | {Kind.DECODE}


def readable(ranks: Sequence[Program], devices: int) -> list[list[TimedAction]]:
    """The devices' programs without the rows that no rule could be asked of."""
    programs = [[row for row in rows if not _fault(row, rank, devices)] for rank, rows in enumerate(ranks[:devices])]
    return programs + [[] for _ in range(devices - len(programs))]


def faults(ranks: Sequence[Program], devices: int) -> list[str]:
    """R1, which needs no clip."""
    found = [] if len(ranks) == devices else [f"R1 ranks: {len(ranks)} programs for {devices} devices"]
    rows = ((rank, row) for rank, program in enumerate(ranks[:devices]) for row in program)
    wrong = ((rank, row.action, _fault(row, rank, devices)) for rank, row in rows)
    return [*found, *(f"R1 r{rank} {_text(action)}: {text}" for rank, action, text in wrong if text)]


def _fault(row: TimedAction, rank: int, devices: int) -> str:
    """What is wrong with a row by itself, or nothing."""
    action = row.action
    kind, block, step, carries, peer, batch = action
    if type(row.start_us) is not int or type(row.end_us) is not int:
        return f"times {row.start_us!r}, {row.end_us!r} are not whole microseconds"
    if not _counts(block) or not (step is None or _counts(step)):
        return "blocks and steps count from 0"
    if not _is_whole(action):
        passes = f", passes {batch}" if batch != () else ""
        return f"step {step}, payload {carries}, peer {peer}{passes} do not make a {kind}"
    if peer == rank:
        return "a rank cannot exchange with itself"
    if peer is not None and not (_counts(peer) and peer < devices):
        return f"there is no rank {peer} among {devices}"
    return ""


def _is_whole(action: Action) -> bool:
    """Whether the fields are those of the action's kind."""
    kind, _, step, carries, peer, batch = action
    if kind in TRANSFERS or kind is Kind.FREE:
        return carries in CARRIED and (kind in TRANSFERS) == (peer is not None) and batch == ()
    if carries is not None or peer is not None or (step is None and kind in STEPPED):
        return False
    return (step is None or kind in MAY_STEP) and (_are_passes(batch) if kind in OF_PASSES else batch == ())


def _are_passes(batch: object) -> bool:
    return isinstance(batch, tuple) and all(
        isinstance(item, tuple) and len(item) == 2 and _counts(item[0]) and (item[1] is None or _counts(item[1]))
        for item in batch
    )


def _counts(value: object) -> bool:
    return type(value) is int and value >= 0


def _text(action: Action) -> str:
    """The action's text form, or where it has none its fields."""
    if action.carries is None or action.carries in CARRIED:
        try:
            return str(action)
        except (TypeError, ValueError):
            pass
    return repr(tuple(action))
