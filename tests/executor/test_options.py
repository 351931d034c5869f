"""How ranks run a model: what can be told before they start, and what it changes once they have."""

from __future__ import annotations

import pytest
import torch

from executor.errors import WorldError
from executor.options import RunOptions
from models.layer import project
from planner.errors import InputError
from tests.planner.clips import clip, model
from tests.tiny import tiny_model

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_by_default_a_run_is_the_references() -> None:
    options, tiny = RunOptions(), tiny_model()
    options.check()
    options.apply(tiny)
    assert tiny.wan.project is project
    assert tiny.wan.attention.value == "native"
    assert not options.packs(clip(model(2), 2))


def test_batches_are_fused_where_that_pays() -> None:
    assert (RunOptions().fuses(CPU), RunOptions().fuses(CUDA)) == (False, True)
    assert RunOptions(fused=True).fuses(CPU)
    assert not RunOptions(fused=False).fuses(CUDA)


def test_kv_is_packed_as_planned_or_as_told() -> None:
    full = clip(model(2), 2)
    packed = full.model_copy(update={"kv_transfer": "fp8"})
    assert RunOptions().packs(packed)
    assert RunOptions(kv_transfer="fp8").packs(full)
    assert not RunOptions(kv_transfer="full").packs(packed)


def test_what_is_not_installed_is_told_before_ranks_start() -> None:
    with pytest.raises(WorldError, match=r"attention 'flash': .*install `flash-attn"):
        RunOptions(attention="flash").check()
    with pytest.raises(WorldError, match="'max-autotune' without compiling: add --compile"):
        RunOptions(compile_mode="max-autotune").check()
    with pytest.raises(InputError, match="compile_mode"):
        RunOptions.from_data({"compile_mode": "fast"}, "test")


def test_what_does_not_run_on_the_ranks_device_is_told_before_the_clip() -> None:
    options = RunOptions(attention="_native_cudnn")
    options.check()
    with pytest.raises(WorldError, match="does not run on cpu"):
        options.apply(tiny_model())


def test_they_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, given = tiny_model(), list[str]()
    monkeypatch.setattr(tiny.wan, "compile", lambda mode: given.append(mode))
    RunOptions(attention="_native_math", compile=True, compile_mode="reduce-overhead").apply(tiny)
    assert tiny.wan.attention.value == "_native_math"
    assert given == ["reduce-overhead"]
