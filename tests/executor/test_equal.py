"""Whatever the pattern, placement, world and workload: ranks make what the single-process reference makes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from executor.launch import execute
from executor.options import RunOptions
from models.spec import ModelSpec
from models.wan import CausalWan
from planner.cluster import Cluster
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.workload import Workload
from tests.executor.equal import SEED, Case, case, cases, deep, reference, require_equal
from tests.tiny import TINY_SPEC

WAYS = [
    ("sequential", "free"),
    ("sequential", "free*ulysses:2@2"),
    ("sequential-recompute", "free+decoder"),
    ("cascade:2", "step"),
    ("cascade:1", "block+decoder"),
    ("cascade:1", "batched@2"),
    ("cascade:1:live-causal", "step"),
    ("cascade:2:live-causal", "block"),
    ("cascade:1:live-joint", "block"),
    ("cascade:2:live-joint", "batched@1"),
    ("cascade:1:live-joint", "block*ulysses:2@4"),
    ("layers", "ring@2"),
]

# Those with several passes at once, and how far off they may be, relative: float32 and bfloat16 keep 24 and 8 bits.
BATCHES = ("cascade:1", "cascade:2:live-joint", "cascade:1:live-joint", "layers")
APART = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def problem(ranks: int, spec: ModelSpec = TINY_SPEC, **workload: Any) -> Problem:
    asked = Workload.model_validate({"blocks": 5, "decode": True, **workload})
    return Problem(model=spec, cluster=Cluster.of("cpu-core", ranks), workload=asked)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_ranks_make_what_the_reference_makes(chosen: Case) -> None:
    clip = execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts, seed=SEED, ranks="threads")
    require_equal(chosen, clip, reference(chosen))


@pytest.mark.dist
@pytest.mark.parametrize(("pattern", "placement"), WAYS)
def test_so_do_processes(pattern: str, placement: str) -> None:
    chosen = case(problem(4), pattern, placement)
    clip = execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts, seed=SEED)
    require_equal(chosen, clip, reference(chosen))


@pytest.mark.dist
@pytest.mark.parametrize(
    ("pattern", "placement"),
    [
        ("sequential", "free*ulysses:2@2"),
        ("cascade:1:live-causal", "step"),
        ("cascade:1:live-joint", "block*ulysses:2@4"),
        ("layers", "ring@2"),
    ],
)
def test_so_do_processes_whose_links_and_gangs_are_groups(
    pattern: str, placement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NCCL: each link and gang a group, transfers posted as batches; K/V in pieces, however small."""
    monkeypatch.setattr("executor.channels.torch_channel.groups_of", lambda: "gloo")
    monkeypatch.setattr("executor.channels.pieces.PIECE_BYTES", 1)
    chosen = case(problem(4), pattern, placement)
    clip = execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts, seed=SEED)
    require_equal(chosen, clip, reference(chosen))


@pytest.mark.dist
@pytest.mark.parametrize(
    ("pattern", "placement"), [("sequential", "free"), ("cascade:1:live-joint", "block@2"), ("layers", "ring@2")]
)
def test_prompts_switch_between_processes(pattern: str, placement: str) -> None:
    switches = [{"at_us": 1, "recache": pattern == "sequential"}, {"at_us": 2}]
    chosen = case(problem(2, encode_text=True, switches=switches), pattern, placement, (3, 6))
    clip = execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts, seed=SEED)
    wanted = reference(chosen)
    require_equal(chosen, clip, wanted)
    unchanged = reference(chosen._replace(prompts=(chosen.prompts[0],) * 3))
    assert [bool((a == b).all()) for a, b in zip(wanted, unchanged, strict=True)] != [True] * 5


@pytest.mark.parametrize("units", [3, 4])
def test_slices_inside_the_model_hand_on_hidden_states(units: int) -> None:
    model = deep(7)
    chosen = case(problem(units, model.spec), "layers", f"ring@{units}")._replace(model=model)
    clip = execute(chosen.plan, chosen.problem, model, prompts=chosen.prompts, seed=SEED, ranks="threads")
    require_equal(chosen, clip, reference(chosen))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("pattern", "placement"), [way for way in WAYS if way[0] in BATCHES])
def test_batches_that_run_as_one_differ_in_the_last_digits(pattern: str, placement: str, dtype: torch.dtype) -> None:
    chosen = _in_type(case(problem(4, decode=False), pattern, placement), dtype)
    wanted = torch.cat(reference(chosen), dim=1)
    for fused in (False, True):
        clip = execute(
            chosen.plan,
            chosen.problem,
            chosen.model,
            prompts=chosen.prompts,
            seed=SEED,
            ranks="threads",
            options=RunOptions(fused=fused),
        )
        assert clip is not None
        apart = float((torch.cat(clip.latents, dim=1) - wanted).norm() / wanted.norm())
        exact = not fused and Placement.parse(placement).degree == 1
        assert apart <= (0 if exact else APART[dtype])


@pytest.mark.parametrize(("pattern", "placement"), WAYS)
def test_packed_kv_changes_little(pattern: str, placement: str) -> None:
    chosen = case(problem(4), pattern, placement)
    wanted = torch.cat(reference(chosen), dim=1)
    options = RunOptions(kv_transfer="fp8")
    clip = execute(
        chosen.plan,
        chosen.problem,
        chosen.model,
        prompts=chosen.prompts,
        seed=SEED,
        ranks="threads",
        options=options,
    )
    assert clip is not None
    assert clip.frames is not None
    assert chosen.model.vae is not None
    decoder = chosen.model.vae.decoder()
    expected = torch.cat([decoder.decode(block) for block in wanted.split(TINY_SPEC.frames_per_block, dim=1)])
    apart = (clip.frames.float() - expected.float()).abs()
    assert apart.mean() < 2
    moves = any(
        row.action.carries == "kv" and row.action.peer is not None for rows in chosen.plan.ranks for row in rows
    )
    goes_round = chosen.flow.pattern.is_joint and chosen.flow.layout.denoising > 1
    assert bool(apart.any()) == (moves or goes_round)


def _in_type(chosen: Case, dtype: torch.dtype) -> Case:
    wan = copy.deepcopy(chosen.model.wan.transformer).to(dtype)
    return chosen._replace(model=chosen.model._replace(wan=CausalWan(wan, TINY_SPEC)))


def test_a_stream_is_run_kernel_by_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.search.LONGEST", 20)
    given_problem = problem(2, blocks=60)
    found = plan(given_problem, pattern=case(given_problem, "cascade:2").plan.pattern)
    assert found.repeat is not None
    chosen = case(given_problem, "cascade:2")._replace(plan=found)
    clip = execute(found, given_problem, chosen.model, prompts=chosen.prompts, seed=SEED, ranks="threads")
    assert clip is not None
    assert clip.frames is not None
    require_equal(chosen, clip, reference(chosen))
