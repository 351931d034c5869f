"""`Plan`: what every rank does in which order, when that is foretold to happen, and how good it provably is.

The order of each rank's actions is the contract; the times are the prediction. An executor follows the order, so
jitter cannot invalidate a plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from pydantic import Field, PositiveInt

from planner.errors import InputError, MismatchError
from planner.patterns import Pattern
from planner.problem import Problem
from planner.rows import Rows, finished_us, makespan_us, rows_from_text, rows_to_text
from planner.value import Document, Value

RATIO = r"^[1-9][0-9]{0,30}(/[1-9][0-9]{0,30})?$"

Objective = Literal["makespan", "period", "first-frame", "control", "devices", "money"]


class Evidence(Value):
    """Why to believe the plan: nothing of what `proves` names can have a smaller `value` than `bound`.

    Times are microseconds, money is what a clip costs. `proves` says which schedules the bound holds for: all of the
    problem that `plan()` could have chosen, all of the plan's pattern, or all of its pattern and placement.
    """

    status: Literal["OPTIMAL", "FEASIBLE"]
    objective: Objective = "makespan"
    value: int | float = Field(ge=0)
    bound: int | float = Field(ge=0)
    bound_by: str = Field(description="what the bound rests on, such as 'critical path' or 'device area'")
    proves: Literal["problem", "pattern", "placement"] = "pattern"
    solver: str
    version: str
    seed: int = 0

    @property
    def gap(self) -> float | None:
        """How much more than the best possible the value is at most, as a share of the bound; None without a bound."""
        if self.bound:
            return self.value / self.bound - 1
        return None if self.value else 0.0


class Alternative(Value):
    """What else was tried, and why it is not the plan."""

    pattern: str
    placement: str
    name: str = Field(default="", description="of the published system that runs this schedule, if one does")
    devices: int = Field(ge=0)
    value: int | float | None = Field(default=None, description="of the objective; None if there is no such plan")
    lost: str = Field(description="why it was not chosen; empty for the plan itself")


class Repeat(Value):
    """A stream's kernel: rows that stand in the plan once and run `copies` times more.

    Rows `places[r]` = [begin, end) of rank r are the kernel. In its c-th copy every block from `first_block` on is
    c x `kernel_blocks` later, and every time c x `kernel_us`; what follows the kernel moves on by all copies.
    """

    first_block: int = Field(ge=0)
    kernel_blocks: PositiveInt
    kernel_us: PositiveInt
    copies: int = Field(ge=0)
    places: tuple[tuple[int, int], ...]

    @property
    def period_us(self) -> Fraction:
        """Time between finished blocks, exactly."""
        return Fraction(self.kernel_us, self.kernel_blocks)


class Steady(Value):
    """The endless stream behind a plan. Periods are microseconds between finished blocks, exact, like `12345/2`.

    No schedule of the plan's pattern and placement can have a period below `bound`, because of `limit`: `certificate`
    names the tasks on the critical cycle, or the resource that is busy all the time. More devices than
    `most_useful` cannot lower the bound; None if each further one does.
    """

    period: str = Field(pattern=RATIO)
    bound: str = Field(pattern=RATIO)
    limit: str
    certificate: tuple[str, ...]
    most_useful: int | None = None

    @property
    def gap(self) -> float:
        """How much longer the plan's period is at most than the best possible, as a share of that."""
        return float(Fraction(self.period) / Fraction(self.bound)) - 1


class Plan(Document):
    """A schedule of one problem: a program of timed actions per rank.

    A plan with a `repeat` holds a shorter clip: prologue, one kernel, epilogue; `unrolled` gives the whole.
    """

    schema_name: Literal["blockcascade.plan/2"] = "blockcascade.plan/2"
    problem_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    pattern: Pattern
    placement: str
    switch_ticks: tuple[int, ...] = Field(default=(), description="from which tick on each further prompt is read")
    last_step: int = Field(ge=0, description="the denoise step that leaves a block's clean latents")
    ranks: Rows = Field(min_length=1)
    repeat: Repeat | None = None
    steady: Steady | None = None
    evidence: Evidence
    alternatives: tuple[Alternative, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def makespan_us(self) -> int:
        return makespan_us(self.ranks)

    @property
    def whole_us(self) -> int:
        """The makespan of the whole clip, all copies of a kernel counted."""
        return self.makespan_us + (0 if self.repeat is None else self.repeat.copies * self.repeat.kernel_us)

    @property
    def finished_us(self) -> list[int]:
        """When each block is finished, by block."""
        return finished_us(self.ranks, self.last_step)

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures, the proof and the timeline."""
        from planner.pictures.inline import summary

        return summary(f"Plan: {self.pattern} on {self.placement}", self._facts(), {"planned": self.ranks})

    def _facts(self) -> Iterator[tuple[str, str]]:
        evidence, ranks = self.evidence, len(self.ranks)
        gap = "no bound" if evidence.gap is None else f"gap {evidence.gap:.2%}"
        yield "makespan", f"{self.whole_us / 1000:.1f} ms on {ranks} rank{'s' * (ranks > 1)}"
        if self.finished_us:
            yield "first block", f"after {self.finished_us[0] / 1000:.1f} ms"
        yield "proof", f"{evidence.objective}: {gap} over all schedules of this {evidence.proves} ({evidence.bound_by})"
        if self.steady is not None:
            period, limit = float(Fraction(self.steady.period)), self.steady.limit
            yield (
                "endless",
                f"a block every {period / 1000:.1f} ms, {self.steady.gap:.2%} above the bound set by {limit}",
            )
        if self.repeat is not None:
            yield "shown", f"prologue, one kernel of {self.repeat.kernel_blocks} blocks, epilogue"
        yield from (("warning", warning) for warning in self.warnings)

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
