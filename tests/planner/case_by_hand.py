"""A program per rank as text, and the rows that it must give."""

from __future__ import annotations

from typing import NamedTuple

from planner.action import Action
from planner.cost import Costs
from planner.patterns import Pattern
from planner.problem import Problem
from tests.planner.clips import clip, costed, model, program


class Case(NamedTuple):
    """A program per rank as text, and the rows it must give as text."""

    problem: Problem
    pattern: Pattern
    programs: tuple[str, ...]
    rows: str
    placement: str = "free"
    switch_ticks: tuple[int, ...] = ()

    @property
    def costs(self) -> Costs:
        return costed(self.problem, self.pattern, self.placement, self.switch_ticks)

    @property
    def actions(self) -> list[list[Action]]:
        return [program(text) for text in self.programs]

    @property
    def lines(self) -> list[str]:
        return lines(self.rows)


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def independent(steps: int, ranks: int, **measured: object) -> Problem:
    """Blocks that read nothing of one another, so that only what the programs say makes them wait."""
    return clip(model(steps, window=1), 3, ranks, decode=False, measured=measured)


def case(problem: Problem, pattern: Pattern, *texts: str, rows: str, where: str = "free", ticks: str = "") -> Case:
    return Case(problem, pattern, texts, rows, where, tuple(map(int, ticks.split())))
