"""Ranks that load for themselves load what they run and no more, and make the same clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from executor.channels.local_channel import LocalWorld
from executor.launch import execute
from executor.rank.part import Part
from executor.weights import Weights
from models.checkpoint import save, wan_config
from models.source import ModelSource, Needs
from planner.action import Action
from planner.cluster import Cluster
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.equal import SEED, Case, case, reference, require_equal
from tests.models.layouts import known
from tests.models.umt5_folder import write_text_side
from tests.tiny import TINY_SPEC, tiny_vae

PROMPTS = ("red cat",)
WHOLE = Part(range(2), range(2), (0,))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    folder, vae = tmp_path_factory.mktemp("wan"), tiny_vae()
    save(known(), wan_config(TINY_SPEC), folder / "transformer", torch.float32)
    save(vae, dict(vae.config), folder / "vae", torch.float32)
    write_text_side(folder)
    return ModelSource(TINY_SPEC, folder)


def made(source: ModelSource, pattern: str, placement: str, **workload: Any) -> Case:
    asked = Workload.model_validate({"blocks": 4, **workload})
    problem = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 2), workload=asked)
    return case(problem, pattern, placement)._replace(model=source.load(), prompts=PROMPTS)


@pytest.mark.dist
@pytest.mark.parametrize(
    ("pattern", "placement", "workload"),
    [
        ("sequential", "free+decoder", {}),
        ("layers", "ring", {"decode": False}),
        ("cascade:1", "step", {"encode_text": True}),
    ],
)
def test_ranks_may_load_for_themselves(
    source: ModelSource, monkeypatch: pytest.MonkeyPatch, pattern: str, placement: str, workload: dict[str, Any]
) -> None:
    chosen = made(source, pattern, placement, **workload)
    # As on GPUs, which a process must not have touched before it is forked.
    monkeypatch.setattr(Weights, "of", lambda model, here: Weights(model, "digest"))  # noqa: ARG005 - the same names
    clip = execute(chosen.plan, chosen.problem, source, prompts=PROMPTS, seed=SEED)
    require_equal(chosen, clip, reference(chosen))


def test_on_this_machines_cpus_they_share_what_is_loaded_once(source: ModelSource) -> None:
    chosen = made(source, "cascade:2", "free")
    clip = execute(chosen.plan, chosen.problem, source, prompts=PROMPTS, seed=SEED, ranks="threads")
    require_equal(chosen, clip, reference(chosen))


def _on(source: ModelSource, program: str, part: Part = WHOLE, *, encodes: bool = False) -> tuple[Any, Needs]:
    asked = []

    class Noting(ModelSource):
        def load(self, device: Any = "cpu", needs: Needs = Needs(), **rest: Any) -> Any:  # noqa: B008 - frozen value
            asked.append(needs)
            return super().load(device, needs, **rest)

    actions = [Action.parse(text) for text in program.split(", ")]
    channel = LocalWorld(1).channel(0)
    weights = Weights(Noting(*source), "")
    model = weights.on(torch.device("cpu"), channel, part, actions, PROMPTS, encodes=encodes)
    return model, asked[0]


def test_a_rank_loads_what_it_runs(source: ModelSource) -> None:
    assert _on(source, "decode b0")[1] == Needs(range(0), codec=True, text=False)
    assert _on(source, "denoise b0.s0")[1] == Needs(range(2), codec=False, text=False)
    assert _on(source, "recache b1")[1] == Needs(range(2), codec=False, text=False)
    assert _on(source, "text p0, denoise b0.s0", encodes=True)[1] == Needs(range(2), codec=False, text=True)
    model, needs = _on(source, "slice 0.1 b0.s0", Part(range(1, 2), range(2), (1,)))
    assert needs == Needs(range(1, 2), codec=False, text=False)
    assert [layer.attn1.to_q.weight.is_meta for layer in model.wan.transformer.blocks] == [True, False]
    assert model.embed_prompt(PROMPTS[0]).shape == (TINY_SPEC.text_length, TINY_SPEC.text_dim)


def test_the_digest_is_that_of_the_files_and_how_they_are_read(source: ModelSource, tmp_path: Path) -> None:
    def digest(other: ModelSource) -> str:
        return Weights.of(other, here=False).digest

    assert source.checkpoint is not None
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in source.checkpoint.rglob("*"):
        if path.is_file():
            place = copy / path.relative_to(source.checkpoint)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    assert digest(source._replace(checkpoint=copy)) == digest(source)
    assert digest(source._replace(ema=False)) != digest(source)
    weights = next(copy.glob("transformer/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert digest(source._replace(checkpoint=copy)) != digest(source)
