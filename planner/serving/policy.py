"""`Policy`: how a cluster's devices are made into groups, and who is let in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from planner.errors import InputError
from planner.value import Value

FORMS = "'single', 'group:4', 'groups:4+2+1+1', 'shared:4x2', 'shared:4' (as many as the group bears) or 'shared:4+2'"
RULES = "'once', 'turns', 'queue', 'queue:SECONDS' or 'rate'"
_FORM = re.compile(
    r"(?P<kind>group|shared|groups):(?P<sizes>[1-9]\d{0,3}(?:\+[1-9]\d{0,3})*)(?:x(?P<each>[1-9]\d{0,3}))?"
)
_RULE = re.compile(r"(?P<once>once)|(?P<turns>turns)|(?P<admission>rate|queue(?::(?P<wait>\d+(?:\.\d+)?(?:e-?\d+)?))?)")
MOST_GROUPS = 4096


class Policy(Value):
    """Groups of devices, in rank order, and how many sessions each takes.

    `sizes`: devices of each group; a single number with `repeat` stands for as many such groups as the cluster holds.
    `each`: sessions a group serves at once, block by block in turn; None, as many as fit in memory and can all have
    their frames in time. `turn`, whose block comes next: `deadline`, that which its viewer needs first (those that
    have not begun to play before all others); `turns`, the session that has waited longest since its last block.
    `admission` of one that finds no place: `reject` turns it away, `queue` lets it wait, at most `longest_wait_s`.
    A newcomer goes to the smallest group with a place that can still give all it serves their frames, else to the
    group with a place that comes nearest; `rate` turns away rather than that.

    The text form says all of it, and `parse` gives back an equal policy: rules follow the groups after commas, as in
    `shared:4,queue:30,turns`; `shared:4,once` is one such group, however many the cluster has room for.
    """

    sizes: tuple[PositiveInt, ...] = Field(min_length=1, max_length=MOST_GROUPS)
    repeat: bool = False
    each: PositiveInt | None = 1
    turn: Literal["deadline", "turns"] = "deadline"
    admission: Literal["reject", "queue", "rate"] = "reject"
    longest_wait_s: float | None = Field(default=None, gt=0, le=10**6)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.repeat and len(self.sizes) != 1:
            raise ValueError("repeat: stands for groups of one size")
        if self.longest_wait_s is not None and self.admission != "queue":
            raise ValueError("longest_wait_s: belongs to admission 'queue'")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """The policy of a text form. Raises InputError with the forms there are."""
        form, *named = text.split(",")
        rules = _rules(text, named)
        once = rules.pop("once", False)
        if form == "single":
            form = "group:1"
        match = _FORM.fullmatch(form)
        if match is None or (match["kind"] == "group" and (match["each"] or "+" in match["sizes"])):
            raise InputError(f"policy: {text!r} is none of {FORMS}")
        sizes = tuple(int(size) for size in match["sizes"].split("+"))
        kind = match["kind"]
        each = int(match["each"]) if match["each"] else None if kind == "shared" else 1
        repeat = kind != "groups" and len(sizes) == 1 and not once
        return cls.from_data({"sizes": sizes, "repeat": repeat, "each": each} | rules, "policy")

    def __str__(self) -> str:
        return ",".join((self._groups_text(), *self._rules_text()))

    def _groups_text(self) -> str:
        sizes = "+".join(map(str, self.sizes))
        if self.repeat and self.each == 1:
            return "single" if self.sizes == (1,) else f"group:{sizes}"
        if self.each is None:
            return f"shared:{sizes}"
        kind = "shared" if self.repeat else "groups"
        return f"{kind}:{sizes}" + (f"x{self.each}" if self.each > 1 else "")

    def _rules_text(self) -> Iterator[str]:
        if self.each is None and len(self.sizes) == 1 and not self.repeat:
            yield "once"
        if self.turn == "turns":
            yield "turns"
        if self.admission != "reject":
            wait = self.longest_wait_s
            yield self.admission + ("" if wait is None else f":{wait!r}".removesuffix(".0"))

    def groups(self, nodes: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The first rank and the size of each group on nodes of so many devices, each within a node if it can be.

        Raises InputError if there are too few devices.
        """
        devices = sum(nodes)
        if not self.repeat:
            wanted = list(self.sizes)
        elif self.sizes[0] <= max(nodes):
            wanted = [self.sizes[0]] * sum(node // self.sizes[0] for node in nodes)
        else:
            wanted = [self.sizes[0]] * (devices // self.sizes[0])
        if not wanted or sum(wanted) > devices:
            raise InputError(
                f"policy: {self} needs {sum(wanted) or self.sizes[0]} device(s), there are {devices}; "
                "name smaller groups or more devices"
            )
        return _within_nodes(wanted, nodes) or _in_a_row(wanted)


def _rules(text: str, named: Sequence[str]) -> dict[str, Any]:
    """The fields that a text form's rules give. Raises InputError for a rule there is not, or one named twice."""
    found: dict[str, Any] = {}
    for rule in named:
        match = _RULE.fullmatch(rule)
        if match is None:
            raise InputError(f"policy: {rule!r} in {text!r} is none of {RULES}")
        field = str(match.lastgroup if match["admission"] is None else "admission")
        field = "turn" if field == "turns" else field
        if field in found:
            raise InputError(f"policy: {text!r} names {rule!r} beside another rule of its kind; drop one")
        found[field] = rule == "once" or rule.partition(":")[0]
        if match["wait"] is not None:
            found["longest_wait_s"] = float(match["wait"])
    return found


def _within_nodes(sizes: Sequence[int], nodes: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
    """Each group in the first node that has room for it, the largest first; None if one finds none."""
    begins = [sum(nodes[:node]) for node in range(len(nodes))]
    ends = [begin + node for begin, node in zip(begins, nodes, strict=True)]
    made: dict[int, tuple[int, int]] = {}
    for place in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        size = sizes[place]
        node = next((at for at, begin in enumerate(begins) if begin + size <= ends[at]), None)
        if node is None:
            return None
        made[place] = (begins[node], size)
        begins[node] += size
    return tuple(made[place] for place in range(len(sizes)))


def _in_a_row(sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((sum(sizes[:place]), size) for place, size in enumerate(sizes))
