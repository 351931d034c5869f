"""Executing a plan gives what the single-process reference gives, bit for bit, wherever its passes run."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from executor.channels.local_channel import LocalWorld
from executor.errors import RankError, WorldError
from executor.launch import execute
from executor.rank.bind import Rank
from executor.rank.recorder import Recorder
from executor.rank.worker import Worker
from models.errors import PromptError
from models.generate import generate
from models.loaded import LoadedModel
from models.sampler import block_noise
from models.spec import ModelSpec
from models.vae import StreamingDecoder
from planner.action import TimedAction
from planner.cluster import Cluster
from planner.draft import Draft, Move
from planner.errors import CheckError, MismatchError
from planner.expand import Tasks, expand
from planner.lower import lower
from planner.patterns import Pattern, all_patterns
from planner.plan import Plan
from planner.problem import Problem
from planner.timing import retime
from planner.workload import Workload
from tests.planner.clips import costed, plan_of
from tests.tiny import TINY_SPEC, tiny_model

PROMPT = "anything"
PATTERNS = [p for p in all_patterns(TINY_SPEC) if p.name in ("sequential", "cascade") and p.exchange == "after"]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return tiny_model()


def problem(ranks: int, blocks: int = 6, *, decode: bool = False) -> Problem:
    return Problem(
        model=TINY_SPEC, cluster=Cluster.of("cpu-core", ranks), workload=Workload(blocks=blocks, decode=decode)
    )


def reference(model: LoadedModel, pattern: Pattern, blocks: int = 6, seed: int = 0) -> list[Tensor]:
    text = model.wan.encode_text(model.embed_prompt(PROMPT))
    return generate(model.wan, text, blocks=blocks, seed=seed, offset=pattern.offset)


def plan(given_problem: Problem, pattern: Pattern = PATTERNS[0], placement: str = "free") -> Plan:
    """A list schedule as a plan: what is executed need not be good."""
    return plan_of(costed(given_problem, pattern, placement))


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_latents_equal_the_reference_under_every_placement(model: LoadedModel, ranks: int, pattern: Pattern) -> None:
    given_problem = problem(ranks)
    expected = reference(model, pattern)
    for placement in ("free", "block", "step"):
        chosen = plan(given_problem, pattern, placement)
        clip = execute(chosen, given_problem, model, prompts=PROMPT, ranks="threads")
        assert clip is not None
        assert same(clip.latents, expected), placement


@pytest.mark.parametrize(("ranks", "placement"), [(1, "free"), (2, "free+decoder"), (2, "free"), (3, "step+decoder")])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_frames_equal_the_reference_decoded(model: LoadedModel, ranks: int, placement: str, pattern: Pattern) -> None:
    given_problem = problem(ranks, decode=True)
    chosen = plan(given_problem, pattern, placement)
    clip = execute(chosen, given_problem, model, prompts=PROMPT, ranks="threads")
    assert clip is not None
    assert clip.frames is not None
    assert model.vae is not None
    decoder = StreamingDecoder(model.vae)
    assert torch.equal(clip.frames, torch.cat([decoder.decode(block) for block in reference(model, pattern)]))
    assert clip.latents == []


def test_the_longest_offset_is_the_sequential_pipeline(model: LoadedModel) -> None:
    cascade = Pattern(name="cascade", offset=TINY_SPEC.passes)
    assert same(reference(model, cascade), reference(model, Pattern.sequential(TINY_SPEC)))


@pytest.mark.dist
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("pattern", [PATTERNS[0], PATTERNS[-2]], ids=str)
def test_gloo_processes_equal_the_reference(model: LoadedModel, ranks: int, pattern: Pattern) -> None:
    given_problem = problem(ranks)
    chosen = plan(given_problem, pattern)
    clip = execute(chosen, given_problem, model, prompts=PROMPT, seed=4)
    assert clip is not None
    assert same(clip.latents, reference(model, pattern, seed=4))


@settings(max_examples=25)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS))
def test_any_linear_extension_gives_the_same_latents(data: st.DataObject, pattern: Pattern) -> None:
    model, timing = tiny_model(), costed(problem(1, blocks=4), pattern)
    tasks = expand(timing)
    order = _random_extension(tasks, data.draw(st.randoms(use_true_random=False)))
    program = [tasks.actions[task] for task in order]
    channel = LocalWorld(1).channel(0)
    rank = Rank(model, problem(1, blocks=4), timing.flow, channel, program, prompts=[PROMPT], seed=0)
    Worker(rank, channel, Recorder(rank.device, 0), timing.flow).walk(program)
    found = [rank.latents[block] for block in range(4)]
    assert same(found, reference(model, pattern, blocks=4))


@settings(max_examples=25)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS), ranks=st.integers(2, 4))
def test_any_assignment_to_ranks_gives_the_same_latents(data: st.DataObject, pattern: Pattern, ranks: int) -> None:
    model, given_problem = tiny_model(), problem(ranks, blocks=4)
    chosen = _random_plan(given_problem, pattern, data.draw(st.randoms(use_true_random=False)))
    clip = execute(chosen, given_problem, model, prompts=PROMPT, ranks="threads")
    assert clip is not None
    assert same(clip.latents, reference(model, pattern, blocks=4))


def test_the_trace_holds_the_plans_actions_in_its_order(model: LoadedModel) -> None:
    given_problem = problem(2, decode=True)
    chosen = plan(given_problem, PATTERNS[1])
    clip = execute(chosen, given_problem, model, prompts=PROMPT, ranks="threads")
    assert clip is not None
    clip.trace.require(chosen)
    assert clip.trace.kind == "measured"
    for rows, spans in zip(chosen.ranks, clip.trace.ranks, strict=True):
        assert [row.action for row in rows] == [span.action for span in spans]
        computed = [span for span in spans if span.action.is_compute]
        assert all(a.end_us <= b.start_us for a, b in pairwise(computed))
    assert 0 < clip.trace.makespan_us < 60_000_000


def test_seeds_and_prompts_change_the_clip(model: LoadedModel) -> None:
    given_problem = problem(1, blocks=2)
    chosen = plan(given_problem)

    def clip(prompt: str, seed: int) -> Tensor:
        made = execute(chosen, given_problem, model, prompts=prompt, seed=seed, ranks="threads")
        assert made is not None
        return torch.stack(made.latents)

    first = clip(PROMPT, 0)
    assert torch.equal(first, clip(PROMPT, 0))
    assert not torch.equal(first, clip(PROMPT, 1))
    assert not torch.equal(first, clip("another", 0))


def test_refusals(model: LoadedModel) -> None:
    given_problem = problem(1, blocks=2)
    chosen = plan(given_problem)
    with pytest.raises(MismatchError, match="plan again"):
        execute(chosen, problem(1, blocks=3), model, prompts=PROMPT)
    broken = chosen.model_copy(update={"ranks": (chosen.ranks[0][1:],)})
    with pytest.raises(CheckError, match=r"denoise b0\.s0"):
        execute(broken, given_problem, model, prompts=PROMPT)
    other = model._replace(spec=TINY_SPEC.model_copy(update={"name": "other"}))
    with pytest.raises(WorldError, match="other"):
        execute(chosen, given_problem, other, prompts=PROMPT)
    with pytest.raises(PromptError, match=r"reads 1 prompt\(s\), one more than it has switches, not 2"):
        execute(chosen, given_problem, model, prompts=[PROMPT, PROMPT])
    blind = problem(1, blocks=2, decode=True)
    with pytest.raises(RankError, match="decode=False"):
        execute(plan(blind), blind, model._replace(vae=None), prompts=PROMPT)

    def refuse(prompt: str) -> Tensor:
        raise PromptError(f"cannot read {prompt}")

    with pytest.raises(PromptError, match="cannot read"):
        execute(chosen, given_problem, model._replace(embed_prompt=refuse), prompts=PROMPT)


@pytest.mark.dist
@pytest.mark.parametrize("ranks", ["threads", "processes"])
def test_a_failing_rank_is_named_with_its_action(
    model: LoadedModel, ranks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_problem = problem(2, blocks=4)
    chosen = plan(given_problem, PATTERNS[1])

    def fails(spec: ModelSpec, seed: int, block: int, *rest: object) -> Tensor:
        if block == 2:
            raise ValueError("out of luck")
        return block_noise(spec, seed, block, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("executor.rank.passes.block_noise", fails)
    with pytest.raises(RankError, match=r"rank \d at denoise b2\.s0: ValueError: out of luck"):
        execute(chosen, given_problem, model, prompts=PROMPT, ranks=ranks)  # type: ignore[arg-type]


def _random_extension(tasks: Tasks, draw: random.Random) -> list[int]:
    """All tasks, each after what it reads."""
    order: list[int] = []
    waiting = set(range(len(tasks.actions)))
    while waiting:
        ready = [
            task for task in sorted(waiting) if waiting.isdisjoint(maker for maker, _ in tasks.instance.inputs[task])
        ]
        order.append(draw.choice(ready))
        waiting.remove(order[-1])
    return order


def _random_plan(given_problem: Problem, pattern: Pattern, draw: random.Random) -> Plan:
    """A valid plan whose passes lie on random ranks in a random order, each after the one before."""
    timing, ranks = costed(given_problem, pattern), given_problem.cluster.size
    tasks = expand(timing)
    rows: list[list[TimedAction]] = [[] for _ in range(ranks)]
    moves: list[Move] = []
    rank_of: dict[int, int] = {}
    clock = 0
    for task in _random_extension(tasks, draw):
        rank = rank_of[task] = draw.randrange(ranks)
        for maker, number in tasks.instance.inputs[task]:
            payload, source = tasks.payloads[number], rank_of[maker]
            if source != rank and (payload, rank) not in {(move.payload, move.target) for move in moves}:
                moves.append(Move(payload, source, rank, clock, clock + 1))
                clock += 1
        rows[rank].append(TimedAction(tasks.actions[task], clock, clock + 1))
        clock += 1
    return plan_of(timing, retime(lower(Draft(rows, moves), timing.flow), timing))
