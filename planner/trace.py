"""`Trace`: what happened, or in a simulation would have happened, in the same ids as the plan."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from planner.errors import MismatchError
from planner.plan import Plan
from planner.rows import Rows, busy_us, finished_us, makespan_us
from planner.value import Document


class Trace(Document):
    """Spans of one run of a plan, per rank in the order they happened, microseconds from the clip's start."""

    schema_name: Literal["blockcascade.trace/1"] = "blockcascade.trace/1"
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["simulated", "measured"]
    last_step: int = Field(ge=0)
    ranks: Rows = Field(min_length=1)

    @property
    def makespan_us(self) -> int:
        return makespan_us(self.ranks)

    @property
    def finished_us(self) -> list[int]:
        """When each block is finished, by block."""
        return finished_us(self.ranks, self.last_step)

    @property
    def utilization(self) -> tuple[float, ...]:
        """Share of the makespan that each rank spends in compute actions."""
        total = self.makespan_us
        return tuple(busy_us(rows) / total if total else 0.0 for rows in self.ranks)

    def require(self, plan: Plan) -> None:
        """Raises MismatchError unless this is a trace of exactly this plan."""
        if self.plan_digest != plan.digest:
            raise MismatchError(
                f"trace: of plan {self.plan_digest[:12]}, this plan is {plan.digest[:12]}; run or simulate it again"
            )
