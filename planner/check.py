"""Whether a plan keeps every rule, told by code that shares nothing with what makes plans.

R1   shape: one program per device; each action has the fields of its kind; a peer is another rank that exists.
R2   coverage: each pass and each decode of the clip runs exactly once, and nothing else runs.
R3   time: a rank's compute actions and frees follow one another as its program lists them.
R4   durations: as the cost model says, to the microsecond; a free takes none.
R5   order: what an action reads or sends was made or received earlier in its rank's program and is not freed yet.
R6   data in time: no action or transfer starts before what it reads is on its rank.
R7   decoding: all on one rank, block after block, as the decoder's state never travels.
R8   transfers: each send has one recv at the same time, in the same order on both ends of a link; a link carries one
     at a time; none starts before both ends post it; no payload comes to a rank that made it or received it before.
R9   frees: each payload on a rank is freed once, when no transfer of it is under way; the clip's output is kept.
R10  progress: walked by all ranks at once, whatever the durations, the programs reach their ends.
R11  memory: weights, working memory and payloads held fit the device at every place of a program.
R12  evidence: value, status, pattern and last step are what the rows and the model say.

R5 and R10 are about the order alone, which is what an executor follows; R3, R4 and R6 about the foretold times.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from models.spec import ModelSpec
from planner.action import Action, Kind, Payload, TimedAction
from planner.cost import Costs, costs
from planner.errors import CheckError
from planner.patterns import Pattern, reads
from planner.plan import Plan
from planner.problem import Problem

TRANSFERS = frozenset({Kind.SEND, Kind.RECV})

Link = tuple[int, int]
Program = Sequence[TimedAction]
Inputs = Mapping[Action, tuple[Payload, ...]]


def check(plan: Plan, problem: Problem) -> None:
    """Returns if the plan keeps every rule. Raises MismatchError for a plan of another problem, else CheckError."""
    plan.require(problem)
    found = violations(plan, problem)
    if found:
        raise CheckError(found)


def violations(plan: Plan, problem: Problem) -> list[str]:
    """One line per broken rule such as 'R3 r1 denoise b3.s2: ...', all of them, whatever the plan holds.

    The problem's digest is not compared. Raises InputError if the problem's own profile does not fit its cluster.
    """
    clip = _Clip(problem.model, plan.pattern, problem.workload.blocks, problem.workload.decode, costs(problem))
    inputs = {action: clip.inputs(action) for action in clip.actions()}
    found = list(_evidence(plan, problem.model))
    programs = _sound(plan, problem.cluster.size, inputs, found)
    found += _coverage(programs, inputs)
    for rank, (rows, device) in enumerate(zip(programs, problem.cluster.devices, strict=False)):
        found += _Walk(rank, rows, clip, inputs).broken(device.memory_bytes)
    found += _decoding(programs)
    found += _links(programs)
    found += _DryRun(programs, inputs).stuck()
    return found


class _Clip(NamedTuple):
    """What the problem and the pattern ask for."""

    spec: ModelSpec
    pattern: Pattern
    blocks: int
    decode: bool
    costs: Costs

    def actions(self) -> Iterator[Action]:
        """Every compute action of the clip. Nothing reads the last block's clean pass, so it has none."""
        for block in range(self.blocks):
            for step in range(self.spec.steps):
                yield Action(Kind.DENOISE, block, step)
            if self.spec.clean_pass and block + 1 < self.blocks:
                yield Action(Kind.COMMIT, block)
            if self.decode:
                yield Action(Kind.DECODE, block)

    def inputs(self, action: Action) -> tuple[Payload, ...]:
        """What a compute action reads: latents first, then K/V, oldest block first."""
        steps, block = self.spec.steps, action.block
        if action.kind is Kind.DECODE:
            return (Payload("latents", block, steps - 1),)
        stage = steps if action.step is None else action.step
        latents = [Payload("latents", block, stage - 1)] if stage else []
        context = reads(self.pattern, self.spec, block, stage)
        return (*latents, *(Payload("kv", of, level if level < steps else None) for of, level in context))

    def is_output(self, payload: Payload) -> bool:
        """Whether latents are the clip itself, to be kept where they were made."""
        return not self.decode and payload.carries == "latents" and payload.step == self.spec.steps - 1


def _made(action: Action) -> tuple[Payload, ...]:
    """What a compute action leaves on its rank."""
    if action.kind is Kind.DECODE:
        return ()
    kv = Payload("kv", action.block, action.step)
    return (kv,) if action.kind is Kind.COMMIT else (kv, Payload("latents", action.block, action.step))


# -- the plan as a whole -------------------------------------------------------------------------


def _evidence(plan: Plan, spec: ModelSpec) -> Iterator[str]:
    evidence, makespan = plan.evidence, plan.makespan_us
    if evidence.value_us != makespan:
        yield f"R12 evidence: value is {evidence.value_us} us, the last row ends at {makespan} us"
    if evidence.bound_us > evidence.value_us:
        yield f"R12 evidence: bound of {evidence.bound_us} us is above the value of {evidence.value_us} us"
    if (evidence.status == "OPTIMAL") != (evidence.bound_us == evidence.value_us):
        yield f"R12 evidence: {evidence.status} with value {evidence.value_us} us, bound {evidence.bound_us} us"
    if plan.last_step != spec.steps - 1:
        yield f"R12 last step: is {plan.last_step}, {spec.name} has {spec.steps} steps from 0"
    if plan.pattern.offset > spec.passes:
        yield f"R12 pattern: offset {plan.pattern.offset} is beyond the {spec.passes} passes of {spec.name}"
    elif plan.pattern.name == "sequential" and plan.pattern.offset != spec.passes:
        yield f"R12 pattern: sequential is offset {spec.passes} for {spec.name}, not {plan.pattern.offset}"


def _sound(plan: Plan, devices: int, inputs: Inputs, found: list[str]) -> list[Program]:
    """The devices' programs without what cannot be, which is added to `found`: the other rules need not guard."""
    if len(plan.ranks) != devices:
        found.append(f"R1 ranks: {len(plan.ranks)} programs for {devices} devices")
    programs: list[Program] = []
    for rank, rows in enumerate(plan.ranks[:devices]):
        sound = []
        for row in rows:
            fault = _fault(row.action, rank, devices)
            if fault:
                found.append(f"R1 r{rank} {row.action}: {fault}")
            elif row.action.is_compute and row.action not in inputs:
                found.append(f"R2 r{rank} {row.action}: not an action of this clip")
            else:
                sound.append(row)
        programs.append(sound)
    return programs


def _fault(action: Action, rank: int, devices: int) -> str:
    kind, block, step, carries, peer = action
    if block < 0 or (step is not None and step < 0):
        return "blocks and steps count from 0"
    named = step is not None if kind is Kind.DENOISE else step is None or not action.is_compute
    if not named or action.is_compute != (carries is None) or (kind in TRANSFERS) != (peer is not None):
        return f"step {step}, payload {carries}, peer {peer} do not make a {kind}"
    if peer == rank:
        return "a rank cannot exchange with itself"
    if peer is not None and not 0 <= peer < devices:
        return f"there is no rank {peer} among {devices}"
    return ""


def _coverage(programs: Sequence[Program], inputs: Inputs) -> Iterator[str]:
    where: dict[Action, list[str]] = {action: [] for action in inputs}
    for rank, rows in enumerate(programs):
        for action, _, _ in rows:
            if action.is_compute:
                where[action].append(f"r{rank}")
    for action, ranks in where.items():
        if not ranks:
            yield f"R2 {action}: missing, no rank runs it"
        elif len(ranks) > 1:
            yield f"R2 {action}: runs {len(ranks)} times, on {', '.join(ranks)}"


def _decoding(programs: Sequence[Program]) -> Iterator[str]:
    done: dict[int, tuple[int, int]] = {}
    for rank, rows in enumerate(programs):
        decodes = (row.action for row in rows if row.action.kind is Kind.DECODE)
        done |= {action.block: (rank, place) for place, action in enumerate(decodes)}
    for block, (rank, place) in sorted(done.items()):
        before, before_place = done.get(block - 1, (rank, -1))
        if before != rank:
            yield f"R7 r{rank} decode b{block}: decode b{block - 1} is on r{before}, where the decoder's state stays"
        elif before_place > place:
            yield f"R7 r{rank} decode b{block}: comes before decode b{block - 1}"


# -- one rank ------------------------------------------------------------------------------------


class _Walk:
    """One rank's program in order: what it holds and since when, and every rule it breaks."""

    def __init__(self, rank: int, rows: Program, clip: _Clip, inputs: Inputs) -> None:
        self._rank, self._rows, self._clip, self._inputs = rank, rows, clip, inputs
        self._found: list[str] = []
        self._now, self._after = 0, "the clip starts"
        self._held: dict[Payload, int] = {}  # from when it is here
        self._origin: dict[Payload, Kind] = {}  # what brought it, kept after it is freed
        self._sent: dict[Payload, tuple[int, Action]] = {}  # until when the last send of it runs
        self._bytes, self._peak, self._peak_at = 0, 0, "the start"

    def broken(self, memory_bytes: int) -> list[str]:
        """Every rule of a single rank that the program breaks."""
        for row in self._rows:
            if row.action.is_compute:
                self._compute(row)
            elif row.action.kind is Kind.FREE:
                self._free(row)
            else:
                self._transfer(row)
        for payload in self._held:
            if not self._is_kept(payload):
                self._found.append(f"R9 r{self._rank} {payload}: never freed")
        self._memory(memory_bytes)
        return self._found

    def _compute(self, row: TimedAction) -> None:
        self._follow(row, self._clip.costs.compute_us(row.action, self._rank))
        for payload in self._inputs[row.action]:
            self._need(row, payload, "reads")
        for payload in _made(row.action):
            if self._origin.get(payload) is Kind.RECV:
                self._break("R8", row, f"makes {payload}, which the rank received before")
            self._hold(row, payload)

    def _transfer(self, row: TimedAction) -> None:
        action, start, end = row
        payload = action.payload
        self._lasts(row, self._clip.costs.transfer_us(payload))
        if start < self._now:
            self._break("R8", row, f"starts at {start} us, before it is posted at {self._now} us, when {self._after}")
        if action.kind is Kind.SEND:
            self._need(row, payload, "sends")
            self._sent[payload] = max(self._sent.get(payload, (end, action)), (end, action))
            return
        if payload in self._origin:
            how = "received" if self._origin[payload] is Kind.RECV else "made"
            self._break("R8", row, f"the rank has {how} {payload} before")
        self._hold(row, payload)

    def _free(self, row: TimedAction) -> None:
        payload = row.action.payload
        self._follow(row, 0)
        if payload not in self._held:
            freed = payload in self._origin
            self._break("R9", row, "freed before (double free)" if freed else "the rank neither made nor received it")
            return
        if self._is_kept(payload):
            self._break("R9", row, "frees the clip's output")
        if row.start_us < self._held[payload]:
            self._break("R9", row, f"freed at {row.start_us} us, before it is here at {self._held[payload]} us")
        end, send = self._sent.get(payload, (0, None))
        if row.start_us < end:
            self._break("R9", row, f"freed at {row.start_us} us, before '{send}' ends at {end} us")
        del self._held[payload]
        self._bytes -= self._clip.costs.payload_bytes(payload)

    def _follow(self, row: TimedAction, lasting_us: int) -> None:
        """Rules of what occupies the rank: one after the other, each as long as it should last."""
        self._lasts(row, lasting_us)
        if row.start_us < self._now:
            self._break("R3", row, f"starts at {row.start_us} us, before {self._now} us, when {self._after}")
        if row.end_us >= self._now:
            self._now, self._after = row.end_us, f"'{row.action}' ends"

    def _lasts(self, row: TimedAction, lasting_us: int) -> None:
        if row.end_us - row.start_us != lasting_us:
            self._break("R4", row, f"lasts {row.end_us - row.start_us} us, the cost model says {lasting_us} us")

    def _need(self, row: TimedAction, payload: Payload, verb: str) -> None:
        here = self._held.get(payload)
        if here is None:
            freed = "freed before" if payload in self._origin else "neither made nor received before"
            self._break("R5", row, f"{verb} {payload}, which the rank has {freed}")
        elif row.start_us < here:
            self._break("R6", row, f"starts at {row.start_us} us, {verb} {payload}, which is here at {here} us")

    def _hold(self, row: TimedAction, payload: Payload) -> None:
        if payload not in self._held:
            self._bytes += self._clip.costs.payload_bytes(payload)
        self._held[payload] = row.end_us
        self._origin[payload] = row.action.kind
        if self._bytes > self._peak:
            self._peak, self._peak_at = self._bytes, f"'{row.action}'"

    def _is_kept(self, payload: Payload) -> bool:
        return self._clip.is_output(payload) and self._origin[payload] is Kind.DENOISE

    def _memory(self, limit: int) -> None:
        kinds = {row.action.kind for row in self._rows}
        denoises, decodes = not kinds.isdisjoint({Kind.DENOISE, Kind.COMMIT}), Kind.DECODE in kinds
        resident = self._clip.costs.resident_bytes(denoises=denoises, decodes=decodes)
        if resident + self._peak > limit:
            self._found.append(
                f"R11 r{self._rank} memory: {resident} bytes of weights and working memory and {self._peak} bytes of "
                f"payloads at {self._peak_at} are more than the device's {limit} bytes"
            )

    def _break(self, rule: str, row: TimedAction, text: str) -> None:
        self._found.append(f"{rule} r{self._rank} {row.action}: {text}")


# -- between ranks -------------------------------------------------------------------------------


def _link_of(rank: int, action: Action) -> Link:
    """(source, target) of a transfer that stands in a rank's program."""
    assert action.peer is not None, "R1 lets no transfer without a peer through"
    return (rank, action.peer) if action.kind is Kind.SEND else (action.peer, rank)


def _links(programs: Sequence[Program]) -> Iterator[str]:
    ends: dict[Link, tuple[list[TimedAction], list[TimedAction]]] = defaultdict(lambda: ([], []))
    for rank, rows in enumerate(programs):
        for row in rows:
            if row.action.kind in TRANSFERS:
                ends[_link_of(rank, row.action)][row.action.kind is Kind.RECV].append(row)
    for (source, target), (sends, receives) in sorted(ends.items()):
        yield from _pairs(source, target, sends, receives)
        taken = 0
        for action, start, end in sends:
            if start < taken:
                yield f"R8 r{source} {action}: starts at {start} us, but the link is taken until {taken} us"
            taken = max(taken, end)


def _pairs(source: int, target: int, sends: list[TimedAction], receives: list[TimedAction]) -> Iterator[str]:
    """Broken rules of one link: sends and receives that lack each other, are crossed or differ in time."""
    sent = Counter(row.action.payload for row in sends)
    received = Counter(row.action.payload for row in receives)
    for payload in sent - received:
        yield f"R8 r{source} send {payload} to r{target}: no matching recv on r{target}"
    for payload in received - sent:
        yield f"R8 r{target} recv {payload} from r{source}: no matching send on r{source}"
    both = sent & received
    ours = (row for row in sends if row.action.payload in both)
    theirs = (row for row in receives if row.action.payload in both)
    for send, receive in zip(ours, theirs, strict=False):
        if send.action.payload != receive.action.payload:
            yield f"R8 r{source} {send.action}: crossed, in its place r{target} has '{receive.action}'"
        elif send[1:] != receive[1:]:
            at, there = f"{send.start_us}..{send.end_us} us", f"{receive.start_us}..{receive.end_us} us"
            yield f"R8 r{source} {send.action}: is at {at}, its recv on r{target} at {there}"


class _DryRun:
    """All programs at once, without times: what an executor does, in any order of events.

    Posting a send or recv does not block; a compute action and a send wait for what they read to arrive, and a free
    for the transfers of its payload. A link takes the k-th send to the k-th recv once both are posted.
    """

    def __init__(self, programs: Sequence[Program], inputs: Inputs) -> None:
        self._programs, self._inputs = programs, inputs
        self._at = [0] * len(programs)
        self._coming: list[set[Payload]] = [set() for _ in programs]
        self._leaving: list[dict[Payload, list[int]]] = [{} for _ in programs]
        self._posted: dict[Link, tuple[deque[Payload], deque[Payload]]] = defaultdict(lambda: (deque(), deque()))
        self._awake = list(range(len(programs)))

    def stuck(self) -> list[str]:
        """For each rank that never reaches its program's end, where it stands and what it waits for."""
        while self._awake:
            self._advance(self._awake.pop())
        places = enumerate(zip(self._programs, self._at, strict=True))
        stops = [(rank, rows[at].action) for rank, (rows, at) in places if at < len(rows)]
        return [f"R10 r{rank} {stop}: waits forever for {', '.join(self._awaits(rank, stop))}" for rank, stop in stops]

    def _advance(self, rank: int) -> None:
        rows = self._programs[rank]
        while self._at[rank] < len(rows):
            action = rows[self._at[rank]].action
            if self._awaits(rank, action):
                return
            if action.kind in TRANSFERS:
                self._post(rank, action)
            self._at[rank] += 1

    def _awaits(self, rank: int, action: Action) -> list[str]:
        if action.kind is Kind.RECV:
            return []
        needed = self._inputs[action] if action.is_compute else (action.payload,)
        waits = [f"{payload} to arrive" for payload in needed if payload in self._coming[rank]]
        if action.kind is Kind.FREE:
            waits += [f"its send to r{peer}" for peer in self._leaving[rank].get(action.payload, ())]
        return waits

    def _post(self, rank: int, action: Action) -> None:
        source, target = link = _link_of(rank, action)
        sends, receives = self._posted[link]
        if action.kind is Kind.SEND:
            sends.append(action.payload)
            self._leaving[rank].setdefault(action.payload, []).append(target)
        else:
            receives.append(action.payload)
            self._coming[rank].add(action.payload)
        while sends and receives:
            self._leaving[source][sends.popleft()].remove(target)
            self._coming[target].discard(receives.popleft())
            self._awake += link
