"""Executing a plan gives what the single-process reference gives, bit for bit, wherever its passes run."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from executor.bind import Rank
from executor.channel import LocalWorld
from executor.errors import RankError, WorldError
from executor.launch import execute
from executor.recorder import Recorder
from executor.worker import Worker
from models.errors import PromptError
from models.generate import generate
from models.loaded import LoadedModel
from models.vae import StreamingDecoder
from planner.action import Action, TimedAction
from planner.cluster import Cluster
from planner.cost import costs
from planner.errors import CheckError, MismatchError
from planner.graph import build_graph
from planner.lower import lower
from planner.patterns import Pattern, all_patterns
from planner.placement import all_placements
from planner.plan import Plan
from planner.problem import Problem
from planner.schedulers.list_schedule import Schedule, Transfer
from planner.search import plan
from planner.timing import retime
from planner.workload import Workload
from tests.tiny import TINY_SPEC, tiny_model

PROMPT = "anything"
PATTERNS = all_patterns(TINY_SPEC)


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


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_latents_equal_the_reference_under_every_placement(model: LoadedModel, ranks: int, pattern: Pattern) -> None:
    given_problem = problem(ranks)
    expected = reference(model, pattern)
    for placement in all_placements(ranks, decode=False):
        chosen = plan(given_problem, pattern=pattern, placement=placement)
        clip = execute(chosen, given_problem, model, prompt=PROMPT, ranks="threads")
        assert clip is not None
        assert same(clip.latents, expected), placement


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_frames_equal_the_reference_decoded(model: LoadedModel, ranks: int, pattern: Pattern) -> None:
    given_problem = problem(ranks, decode=True)
    chosen = plan(given_problem, pattern=pattern)
    clip = execute(chosen, given_problem, model, prompt=PROMPT, ranks="threads")
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
    chosen = plan(given_problem, pattern=pattern)
    clip = execute(chosen, given_problem, model, prompt=PROMPT, seed=4)
    assert clip is not None
    assert same(clip.latents, reference(model, pattern, seed=4))


@settings(max_examples=25)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS))
def test_any_linear_extension_gives_the_same_latents(data: st.DataObject, pattern: Pattern) -> None:
    model, given_problem = tiny_model(), problem(1, blocks=4)
    program = _random_extension(given_problem, pattern, data.draw(st.randoms(use_true_random=False)))
    rank = Rank(model, PROMPT, 0, pattern, program)
    channel = LocalWorld(1).channel(0)
    Worker(rank, channel, Recorder(rank.device, 0), given_problem, pattern).walk(program)
    found = [rank.latents[block] for block in range(4)]
    assert same(found, reference(model, pattern, blocks=4))


@settings(max_examples=25)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS), ranks=st.integers(2, 4))
def test_any_assignment_to_ranks_gives_the_same_latents(data: st.DataObject, pattern: Pattern, ranks: int) -> None:
    model, given_problem = tiny_model(), problem(ranks, blocks=4)
    chosen = _random_plan(given_problem, pattern, data.draw(st.randoms(use_true_random=False)))
    clip = execute(chosen, given_problem, model, prompt=PROMPT, ranks="threads")
    assert clip is not None
    assert same(clip.latents, reference(model, pattern, blocks=4))


def test_the_trace_holds_the_plans_actions_in_its_order(model: LoadedModel) -> None:
    given_problem = problem(2, decode=True)
    chosen = plan(given_problem, pattern=PATTERNS[1])
    clip = execute(chosen, given_problem, model, prompt=PROMPT, ranks="threads")
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
        made = execute(chosen, given_problem, model, prompt=prompt, seed=seed, ranks="threads")
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
        execute(chosen, problem(1, blocks=3), model, prompt=PROMPT)
    broken = chosen.model_copy(update={"ranks": (chosen.ranks[0][1:],)})
    with pytest.raises(CheckError, match=r"denoise b0\.s0"):
        execute(broken, given_problem, model, prompt=PROMPT)
    other = model._replace(spec=TINY_SPEC.model_copy(update={"name": "other"}))
    with pytest.raises(WorldError, match="other"):
        execute(chosen, given_problem, other, prompt=PROMPT)
    blind = problem(1, blocks=2, decode=True)
    with pytest.raises(RankError, match="decode=False"):
        execute(plan(blind), blind, model._replace(vae=None), prompt=PROMPT)

    def refuse(prompt: str) -> Tensor:
        raise PromptError(f"cannot read {prompt}")

    with pytest.raises(PromptError, match="cannot read"):
        execute(chosen, given_problem, model._replace(embed_prompt=refuse), prompt=PROMPT)


@pytest.mark.dist
@pytest.mark.parametrize("ranks", ["threads", "processes"])
def test_a_failing_rank_is_named_with_its_action(model: LoadedModel, ranks: str) -> None:
    given_problem = problem(2, blocks=4)
    chosen = plan(given_problem, pattern=PATTERNS[1])
    inner = model.wan.forward

    class Failing(type(model.wan)):  # type: ignore[misc]
        def forward(self, latents: Tensor, timestep: float, start_frame: int, *rest: object) -> Tensor:
            if start_frame == 4:
                raise ValueError("out of luck")
            return inner(latents, timestep, start_frame, *rest)  # type: ignore[arg-type]

    failing = Failing(model.wan.transformer, model.spec)
    with pytest.raises(RankError, match=r"rank \d at denoise b2\.s0: ValueError: out of luck"):
        execute(chosen, given_problem, model._replace(wan=failing), prompt=PROMPT, ranks=ranks)  # type: ignore[arg-type]


def _random_extension(given_problem: Problem, pattern: Pattern, draw: random.Random) -> list[Action]:
    graph = build_graph(given_problem, pattern, costs(given_problem))
    waiting = {action: graph.in_degree(action) for action in graph}
    order: list[Action] = []
    while len(order) < len(waiting):
        ready = sorted(action for action, count in waiting.items() if count == 0 and action not in order)
        action = draw.choice(ready)
        order.append(action)
        for successor in graph.successors(action):
            waiting[successor] -= 1
    return order


def _random_plan(given_problem: Problem, pattern: Pattern, draw: random.Random) -> Plan:
    """A valid plan whose passes lie on random ranks in a random order, each after the one before."""
    timing, ranks = costs(given_problem), given_problem.cluster.size
    graph = build_graph(given_problem, pattern, timing)
    rows: list[list[TimedAction]] = [[] for _ in range(ranks)]
    transfers: list[Transfer] = []
    held: dict[object, set[int]] = {}
    rank_of: dict[Action, int] = {}
    clock = 0
    for action in _random_extension(given_problem, pattern, draw):
        rank = rank_of[action] = draw.randrange(ranks)
        for maker, _, data in graph.in_edges(action, data=True):
            payload, source = data["payload"], rank_of[maker]
            if source != rank and rank not in held.setdefault(payload, set()):
                transfers.append(Transfer(payload, source, rank, clock, clock + 1))
                held[payload].add(rank)
                clock += 1
        rows[rank].append(TimedAction(action, clock, clock + 1))
        clock += 1
    timed = retime(lower(Schedule(rows, transfers), graph), graph, timing)
    base = plan(given_problem, pattern=pattern)
    value = max(row.end_us for program in timed for row in program)
    evidence = base.evidence.model_copy(
        update={"value_us": value, "status": "OPTIMAL" if value == base.evidence.bound_us else "FEASIBLE"}
    )
    return base.model_copy(update={"ranks": timed, "evidence": evidence})
