"""The error that lists broken rules stays readable however many there are."""

from __future__ import annotations

import pytest

from models.errors import BlockcascadeError
from planner.errors import CheckError, InfeasibleError, InputError, MismatchError, PlannerError


@pytest.mark.parametrize(
    ("count", "shown", "last"), [(1, 1, "rule 0"), (20, 20, "rule 19"), (21, 20, "... and 1 more")]
)
def test_broken_rules_are_listed_up_to_twenty(count: int, shown: int, last: str) -> None:
    error = CheckError([f"rule {i}" for i in range(count)])
    lines = str(error).split("\n  ")
    assert lines[0] == f"the plan breaks {count} rule(s):"
    assert sum(line.startswith("rule ") for line in lines) == shown
    assert lines[-1] == last
    assert error.violations == tuple(f"rule {i}" for i in range(count))


def test_the_tree() -> None:
    assert issubclass(MismatchError, InputError)
    assert not issubclass(InfeasibleError, InputError)
    for error in (InputError, InfeasibleError, CheckError):
        assert issubclass(error, PlannerError)
        assert issubclass(error, BlockcascadeError)
