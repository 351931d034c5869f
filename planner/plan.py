"""`Plan`: what every rank does in which order, when that is foretold to happen, and how good it provably is.

The order of each rank's actions is the contract; the times are the prediction. An executor follows the order, so
jitter cannot invalidate a plan.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from planner.errors import InputError, MismatchError
from planner.patterns import Pattern
from planner.problem import Problem
from planner.rows import Rows, finished_us, makespan_us, rows_from_text, rows_to_text
from planner.value import Document, Value


class Evidence(Value):
    """Why to believe the plan: no schedule of this pattern on these devices can take less than `bound_us`."""

    status: Literal["OPTIMAL", "FEASIBLE"]
    objective: Literal["makespan"] = "makespan"
    value_us: int = Field(ge=0)
    bound_us: int = Field(ge=0)
    bound: Literal["critical path", "device area"]
    solver: str
    version: str

    @property
    def gap(self) -> float:
        """How much longer than the best possible the plan takes at most, as a share of the bound."""
        return self.value_us / self.bound_us - 1 if self.bound_us else 0.0


class Plan(Document):
    """A schedule of one problem: a program of timed actions per rank."""

    schema_name: Literal["blockcascade.plan/1"] = "blockcascade.plan/1"
    problem_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    pattern: Pattern
    placement: str
    last_step: int = Field(ge=0, description="the denoise step that leaves a block's clean latents")
    ranks: Rows = Field(min_length=1)
    evidence: Evidence
    warnings: tuple[str, ...] = ()

    @property
    def makespan_us(self) -> int:
        return makespan_us(self.ranks)

    @property
    def finished_us(self) -> list[int]:
        """When each block is finished, by block."""
        return finished_us(self.ranks, self.last_step)

    def require(self, problem: Problem) -> None:
        """Raises MismatchError unless this plan was made for exactly this problem, with a program per device."""
        if self.problem_digest != problem.digest:
            raise MismatchError(
                f"plan: made for problem {self.problem_digest[:12]}, this problem is {problem.digest[:12]}; plan again"
            )
        if len(self.ranks) != problem.cluster.size:
            raise MismatchError(
                f"plan: ranks: has {len(self.ranks)} programs, the cluster has {problem.cluster.size} device(s); "
                "plan again"
            )

    def to_text(self) -> str:
        """A header line, then one line per action; `from_text` reads it back to an equal plan."""
        head = self.model_dump_json(exclude={"ranks"})
        return f"# {head}\n# {len(self.ranks)} ranks\n{rows_to_text(self.ranks)}"

    @classmethod
    def from_text(cls, text: str, origin: str = "plan text") -> Plan:
        """The inverse of `to_text`. Raises InputError naming the line."""
        head, _, rest = text.partition("\n")
        count, _, body = rest.partition("\n")
        match = re.fullmatch(r"# ([1-9][0-9]{0,3}) ranks", count)
        if not head.startswith("# {") or match is None:
            raise InputError(f"{origin}: does not begin with '# {{...}}' and '# N ranks'")
        ranks = rows_from_text(iter(enumerate(body.splitlines(), start=3)), int(match[1]))
        stub = cls.from_json(head[2:-1] + ',"ranks":[[]]}', origin)
        return stub.model_copy(update={"ranks": ranks})
