"""Everything that can go wrong while planning, by whose fault it is.

BlockcascadeError (models.errors)
└── PlannerError
    ├── InputError          a file or value from outside cannot be used; names the field and the fix
    │   └── MismatchError   two values that are each fine do not belong together (a plan of another problem)
    │       └── DriftError  a replay does not give back the run; tells both makespans
    ├── InfeasibleError     no plan fits the cluster; names the limit that binds, with the numbers
    └── CheckError          a plan breaks the rules; lists every broken one
"""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import BlockcascadeError


class PlannerError(BlockcascadeError):
    """Base of everything that can go wrong while planning."""


class InputError(PlannerError):
    """A file or value from outside cannot be used; the text names the field and the fix."""


class MismatchError(InputError):
    """Two values that are each fine do not belong together, such as a plan and another problem."""


class DriftError(MismatchError):
    """A replay of a run does not give back its makespan, so nothing can be asked of it; the text has both."""


class InfeasibleError(PlannerError):
    """No plan fits the cluster; the text names the limit that binds, with the numbers."""


class CheckError(PlannerError):
    """A plan breaks the rules; `violations` holds one line for each broken one."""

    def __init__(self, violations: Sequence[str]) -> None:
        self.violations = tuple(violations)
        shown = "\n  ".join(self.violations[:20])
        more = f"\n  ... and {len(self.violations) - 20} more" if len(self.violations) > 20 else ""
        super().__init__(f"the plan breaks {len(self.violations)} rule(s):\n  {shown}{more}")
