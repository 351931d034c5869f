"""Where two documents differ, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from planner.plan import Plan
from planner.problem import Problem
from planner.value import Value

NOTHING = "-"
SHORT = 60


class Differing(Value):
    """A field, by its path, and what it is on each side; a dash where a side has none."""

    path: str
    one: str
    other: str


def inputs(one: Problem, other: Problem) -> tuple[Differing, ...]:
    """What differs between two problems, in the order of their fields; where each has devices of one kind, once."""
    sides = [problem.model_dump(mode="json") for problem in (one, other)]
    if all(_are_equal(side["cluster"]["devices"]) for side in sides):
        for side in sides:
            devices = side["cluster"]["devices"]
            side["cluster"]["devices"] = {"count": len(devices), "each": devices[0]}
    return tuple(_walk("", *sides))


def schedules(one: Plan, other: Plan) -> tuple[Differing, ...]:
    """What differs between two plans besides their rows."""
    return tuple(_walk("", _of_plan(one), _of_plan(other)))


def _of_plan(plan: Plan) -> dict[str, Any]:
    evidence = plan.evidence
    return {
        "pattern": str(plan.pattern),
        "placement": plan.placement,
        "switch_ticks": list(plan.switch_ticks),
        "actions": sum(len(rows) for rows in plan.ranks),
        "kernel": None if plan.repeat is None else f"{plan.repeat.kernel_blocks} blocks in {plan.repeat.kernel_us} us",
        "objective": evidence.objective,
        "value": evidence.value,
        "bound": evidence.bound,
        "bound_by": evidence.bound_by,
        "status": evidence.status,
        "solver": evidence.solver,
        "warnings": list(plan.warnings),
    }


def _are_equal(devices: list[Any]) -> bool:
    return all(device == devices[0] for device in devices)


def _walk(path: str, one: Any, other: Any) -> Iterator[Differing]:
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from _walk(f"{path}.{key}" if path else str(key), one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and (one + other) and _nested(one + other):
        for at in range(max(len(one), len(other))):
            yield from _walk(f"{path}.{at}", *(side[at] if at < len(side) else None for side in (one, other)))
    else:
        yield Differing(path=path, one=_shown(one), other=_shown(other))


def _nested(values: list[Any]) -> bool:
    return all(isinstance(value, dict | list) for value in values)


def _shown(value: Any) -> str:
    if value is None or value == []:
        return NOTHING
    text = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."
