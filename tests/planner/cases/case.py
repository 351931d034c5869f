"""What a case is made of: facts, and rows of predicted against published."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from models.spec import ModelSpec
from planner.latencies import Latencies
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.system import System
from planner.workload import Workload

FACTS = Path(__file__).parent / "published.yaml"


class Row(NamedTuple):
    """One figure. A `tolerance` of None: a miss that is told and explained, not held to."""

    what: str
    predicted: float
    published: float
    tolerance: float | None

    @property
    def off(self) -> float:
        return self.predicted / self.published - 1

    @property
    def kept(self) -> bool:
        return self.tolerance is None or abs(self.off) <= self.tolerance


class Case(NamedTuple):
    """A published measurement: what was given to the planner, what was fitted, and what it said."""

    name: str
    source: str
    given: str
    fitted: str
    rows: tuple[Row, ...]
    note: str = ""


@cache
def all_facts() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(FACTS.read_text())
    return data


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = all_facts()[name]
    return found


def system(**fields: Any) -> System:
    return System.from_data(fields, "case")


def by_hand(spec: ModelSpec, device: str, **latencies: Any) -> Profile:
    return Latencies.from_data(latencies, "case").profile(spec, device)


def planned(problem: Problem, pattern: str, placement: str) -> Plan:
    chosen, where = Pattern.parse(pattern, problem.model), Placement.parse(placement)
    return plan(problem, pattern=chosen, placement=where, objective="makespan")


def steady_fps(problem: Problem, pattern: str, placement: str) -> float:
    """12 frames over the exact period of the plan's endless stream."""
    endless = problem.model_copy(update={"workload": Workload(blocks=1000, decode=problem.workload.decode)})
    steady = planned(endless, pattern, placement).repeat
    assert steady is not None
    return float(12e6 / steady.period_us)
