"""The best of a point's candidates: the most promising are laid out until no other can be better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.objective import Limits
from planner.plan import Objective
from planner.sweeping.basis import Basis
from planner.sweeping.promise import Candidate
from planner.sweeping.stream_clip import Laid

# Schedules at most for a point, of those that fit in memory; how soon a change shows is foretold less well.
TRIED, TRIED_FOR_CONTROL = 4, 12
CLOSE = 0.995  # what promises no more than this is not laid out
REFUSED = 40  # how many that do not fit are looked at


class Ask(NamedTuple):
    """What a candidate is judged by. `frames`: of a full block; `money_per_us`: what a device costs for a video's
    minute if it takes a microsecond a block.
    """

    objective: Objective
    limits: Limits
    blocks: int
    frames: int
    money_per_us: float

    def value(self, it: Merit) -> float:
        """Smaller is better."""
        if self.objective == "makespan":
            return it.makespan_us
        if self.objective == "first-frame":
            return it.first_frame_us
        if self.objective == "control":
            return it.control_us
        if self.objective == "devices":
            return it.devices
        return it.period_us * (it.devices if self.objective == "money" else 1)

    def missed(self, it: Merit) -> list[Missed]:
        """The limits that are not kept."""
        fps, money = self.frames * 1e6 / it.period_us, it.devices * it.period_us * self.money_per_us
        limits = self.limits
        found = []
        if limits.fps is not None and fps < limits.fps:
            found.append(Missed(f"fps {fps:.4g} < {limits.fps:g}", limits.fps / fps - 1))
        for name, figure, most, unit in (
            ("first frame", it.first_frame_us, limits.first_frame_us, 1e6),
            ("control-to-output", it.control_us, limits.control_us, 1e6),
            ("makespan", it.makespan_us, limits.makespan_us, 1e6),
            ("devices", it.devices, limits.devices, 1),
            ("money per minute", money, limits.money_per_minute, 1),
        ):
            if most is not None and figure > most:
                text = f"{name} {figure / unit:.4g}{' s' if unit > 1 else ''} > {most / unit:.4g}"
                found.append(Missed(text, figure / most - 1))
        return found

    def rank(self, it: Merit) -> tuple[bool, float]:
        """Smaller is better: within the limits by the objective, else by how far it is from them."""
        missed = self.missed(it)
        return (True, sum(each.by for each in missed)) if missed else (False, self.value(it))


class Missed(NamedTuple):
    """A limit that is not kept: what is told of it, and by which share it is missed."""

    text: str
    by: float


class Merit(NamedTuple):
    """The figures that candidates are compared by."""

    period_us: float
    first_frame_us: float
    control_us: float
    makespan_us: float
    devices: int


class Choice(NamedTuple):
    """What was chosen for a point and laid out, its figures, and which limits it misses."""

    candidate: Candidate
    laid: Laid
    merit: Merit
    missed: tuple[str, ...]


Chosen = Choice | str  # or why nothing can run


def choose(basis: Basis, found: Sequence[Candidate], ask: Ask, known: Chosen = "") -> Chosen:
    """The best that was laid out, one that keeps the limits if any does; or why nothing can run.

    `known`: what was chosen from other candidates, which stands unless one of these is better.
    """
    order = sorted(range(len(found)), key=lambda at: (*_promise(found[at], ask), at))
    best = None if isinstance(known, str) else known
    refused: list[str] = []
    over_memory: list[str] = []
    tried, most = 0, TRIED_FOR_CONTROL if ask.objective == "control" else TRIED
    for at in order:
        candidate = found[at]
        if candidate.refused:
            refused.append(candidate.refused)
            continue
        if tried >= most or len(over_memory) >= REFUSED or _is_beaten(candidate, best, ask):
            break
        made = _made(basis, candidate, ask)
        if best is not None and not isinstance(made, str) and _key(made, ask) >= _key(best, ask):
            tried += 1
            continue
        over = (
            made
            if isinstance(made, str)
            else basis.over_memory(candidate.pattern, candidate.placement, candidate.ranks)
        )
        if over or isinstance(made, str):
            over_memory.append(over)
            continue
        tried += 1
        best = made
    return best or "; ".join(list(dict.fromkeys((*over_memory, *refused)))[:2]) or known


def merit_of(laid: Laid, blocks: int) -> Merit:
    """The figures of a schedule for a clip of so many blocks."""
    clip = laid.clip
    return Merit(clip.period_us, clip.finished_us[0], clip.control_at(blocks), clip.finished_at(blocks), laid.devices)


def _made(basis: Basis, candidate: Candidate, ask: Ask) -> Choice | str:
    laid = basis.laid(candidate.pattern, candidate.placement, candidate.ranks)
    if isinstance(laid, str):
        return laid
    merit = merit_of(laid, ask.blocks)
    return Choice(candidate, laid, merit, tuple(each.text for each in ask.missed(merit)))


def _at_best(candidate: Candidate, ask: Ask) -> Merit:
    return Merit(
        max(candidate.period_us, 1.0),
        candidate.first_frame_us,
        candidate.control_us,
        candidate.makespan_us(ask.blocks),
        candidate.ranks,
    )


def _promise(candidate: Candidate, ask: Ask) -> tuple[bool, float, float, int]:
    """What a candidate would be sorted by if all went as well as can be hoped."""
    merit = _at_best(candidate, ask)
    return *ask.rank(merit), merit.first_frame_us, merit.devices


def _is_beaten(candidate: Candidate, best: Choice | None, ask: Ask) -> bool:
    """Whether nothing that comes from here on can be better."""
    if best is None:
        return False
    misses, value = ask.rank(best.merit)
    return (misses, value * CLOSE) <= _promise(candidate, ask)[:2]


def _key(choice: Choice, ask: Ask) -> tuple[bool, float, float, int]:
    return *ask.rank(choice.merit), choice.merit.first_frame_us, choice.merit.devices
