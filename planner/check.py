"""Whether a plan keeps every rule, told by code that shares nothing with what makes plans.

R1   shape: one program per device; each action has the fields of its kind; a peer is another rank that exists.
R2   coverage: each pass and each other action of the clip runs exactly once, and nothing else runs.
R3   time: a rank's compute actions and frees follow one another as its program lists them; posting takes its time.
R4   durations: as the cost model says, to the microsecond; a free takes none. Who reads layers ends one after them.
R5   order: what an action reads or sends was made or received earlier in its rank's program and is not freed yet.
R6   data in time: no action or transfer starts before what it reads is on its rank, or of a stream its first layer.
R7   decoding: each part on one rank, block after block, as the decoder's state never travels; encoding beside it, too.
R8   transfers: each send has one recv at the same time, in the same order on both ends of a way; a lane carries one
     at a time; none starts before both ends post it; no payload comes to a rank that made it or received it before.
R9   frees: each payload on a rank is freed once, when no transfer of it is under way; the clip's output is kept.
R10  progress: walked by all ranks at once, whatever the durations, the programs reach their ends.
R11  memory: weights, working memory and payloads held fit the device at every place of a program.
R12  evidence: value, status, pattern, placement and last step are what the rows and the model say.
R13  units: actions run where the placement has them, on all ranks of a unit; shares of a gang start and end together.
R14  streams: posted before what makes the payload, to be tapped; they leave layer by layer as it is made.
R15  prompts: each switch has a tick, and nothing that reads a prompt starts before the prompt is there.
R16  kernel: rows and copies make the clip, which keeps all rules with as many copies as can make a difference.

R5 and R10 are about the order alone, which is what an executor follows; R3, R4 and R6 about the foretold times.
A valid plan is proven so on arrays of numbers, every rule for every row. Where that leaves a doubt, the rows are
walked one by one, and what is wrong is told; the two ways have nothing but the clip's definition in common.
"""

from __future__ import annotations

from planner.checking.claims import claims, ends_of
from planner.checking.explain import explain
from planner.checking.kernel import enough, few, kernel_faults, of_length
from planner.checking.proof import proven
from planner.checking.shape import faults, readable
from planner.errors import CheckError
from planner.plan import Plan
from planner.problem import Problem


def check(plan: Plan, problem: Problem) -> None:
    """Returns if the plan keeps every rule. Raises MismatchError for a plan of another problem, else CheckError."""
    plan.require(problem)
    found = violations(plan, problem)
    if found:
        raise CheckError(found)


def violations(plan: Plan, problem: Problem) -> list[str]:
    """One line per broken rule such as 'R3 r1 denoise b3.s2: ...', all of them, whatever the plan holds.

    The problem's digest is not compared. Of a plan whose kernel repeats, the lines are of the shortest clip that
    breaks a rule.
    """
    if plan.repeat is not None:
        return _violations_of_stream(plan, problem)
    ends = proven(plan, problem)
    if ends is not None:
        return list(claims(plan, problem, ends))
    return [*_claims(plan, problem), *explain(plan, problem)]


def _claims(plan: Plan, problem: Problem) -> list[str]:
    return list(claims(plan, problem, ends_of(readable(plan.ranks, problem.cluster.size), problem)))


def _violations_of_stream(plan: Plan, problem: Problem) -> list[str]:
    told = _claims(plan, problem)
    wrong = faults(plan.ranks, problem.cluster.size) or kernel_faults(plan, problem)
    if wrong:
        return told + wrong
    for copies in (*few(plan), enough(plan)):
        written, shorter = of_length(plan, problem, copies)
        found = [] if proven(written, shorter) else explain(written, shorter)
        if found:
            return [*told, *(f"{line} (with {copies} copies of the kernel)" for line in found)]
    return told
