"""`Trace`: what happened, or in a simulation would have happened, in the same ids as the plan."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from planner.errors import MismatchError
from planner.plan import Plan
from planner.rows import Rows, busy_us, finished_us, makespan_us
from planner.value import Document, as_before


class Trace(Document):
    """Spans of one run of a plan, per rank in the order they happened, microseconds from the clip's start.

    Of a run that could not go on, `stopped` says why, and `ranks` hold what was done by then: blocks from the first up
    to `finished_blocks` are finished.
    """

    schema_name: Literal["blockcascade.trace/1"] = "blockcascade.trace/1"
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["simulated", "measured"]
    last_step: int = Field(ge=0)
    ranks: Rows = Field(min_length=1)
    stopped: str = ""
    finished_blocks: int | None = Field(default=None, ge=0, description="None: all of the clip")

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return as_before(self, handler(self), "stopped", "finished_blocks")

    @property
    def makespan_us(self) -> int:
        return makespan_us(self.ranks)

    @property
    def finished_us(self) -> list[int]:
        """When each block is finished, by block; of a run that stopped, those that are."""
        return finished_us(self.ranks, self.last_step)[: self.finished_blocks]

    @property
    def utilization(self) -> tuple[float, ...]:
        """Share of the makespan that each rank spends in compute actions."""
        total = self.makespan_us
        return tuple(busy_us(rows) / total if total else 0.0 for rows in self.ranks)

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures and the timeline."""
        from planner.pictures.inline import summary

        busy = ", ".join(f"rank {rank} {share:.0%}" for rank, share in enumerate(self.utilization))
        finished = self.finished_us
        first = (("first block", f"after {finished[0] / 1000:.1f} ms"),) if finished else ()
        stopped = (("stopped", self.stopped),) if self.stopped else ()
        facts = (*stopped, ("makespan", f"{self.makespan_us / 1000:.1f} ms"), *first, ("busy", busy))
        return summary(f"Trace, {self.kind}", facts, {self.kind: self.ranks})

    def require(self, plan: Plan) -> None:
        """Raises MismatchError unless this is a trace of exactly this plan."""
        if self.plan_digest != plan.digest:
            raise MismatchError(
                f"trace: of plan {self.plan_digest[:12]}, this plan is {plan.digest[:12]}; run or simulate it again"
            )
