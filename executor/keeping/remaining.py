"""What a rank has left to do after a cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from executor.keeping.cuts import Before, Cut
from planner.action import COMING, Action, Kind, Payload
from planner.flow import Flow


def load(payload: Payload, rank: int) -> Action:
    """The payload read from the run's folder: written as a receive from the rank itself, which no plan has."""
    return Action(Kind.RECV, payload.block, payload.step, payload.carries, rank)


def is_load(action: Action, rank: int) -> bool:
    """The inverse of `load`."""
    return action.kind is Kind.RECV and action.peer == rank


def remaining(program: Iterable[Action], flow: Flow, cut: Cut, rank: int) -> list[Action]:
    """A rank's program without what lies before the cut, in the same order.

    What was made before and is read after is loaded where it would have been made or received, so that never more is
    held than the program holds; nobody sends it. Both ends of every other transfer stay, and nothing waits for more
    than before: a program that reaches its end still does.
    """
    program = list(program)
    before = Before(flow, cut)
    left = [before.rest(action) for action in program if action.is_compute]
    wanted = {payload for action in left if action is not None for payload in flow.needs(action)}
    held: set[Payload] = set()
    found: list[Action] = []
    for action in program:
        came, lost, kept = _parted(action, flow, before)
        loads = [payload for payload in lost if payload in wanted]
        found += [load(payload, rank) for payload in loads]
        held.update(loads, came)
        if action.kind is Kind.FREE:
            kept = action if action.payload in held else None
            held.discard(action.payload)
        if kept is not None:
            found.append(kept)
    return found


def _parted(action: Action, flow: Flow, before: Before) -> tuple[Sequence[Payload], Sequence[Payload], Action | None]:
    """What an action still brings to its rank, what it did before the cut, and the action as far as it is left."""
    if action.is_compute:
        kept = before.rest(action)
        came = () if kept is None else flow.makes(kept)
        return came, [payload for payload in flow.makes(action) if payload not in came], kept
    if action.kind is Kind.FREE:
        return (), (), None
    brings = (action.payload,) if action.kind in COMING else ()
    return ((), brings, None) if before.made(action.payload) else (brings, (), action)
