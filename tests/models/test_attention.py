"""Attention backends: which run here, and what those that do not are told apart by."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import models.attention as attention
from models.attention import backend_named, require_attention
from models.errors import ModelError
from models.generate import generate
from models.wan import CausalWan
from tests.models.variants import text, tiny, variant, wan_for
from tests.tiny import TINY_SPEC


@pytest.mark.parametrize("name", ["native", "_native_math", "_native_flash"])
def test_what_runs_on_the_cpu_computes_the_same(name: str) -> None:
    one, other = wan_for(TINY_SPEC), wan_for(TINY_SPEC)
    other.use_attention(name)
    assert other.attention.value == name
    for a, b in zip(_clip(one), _clip(other), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("flash", "install `flash-attn"),
        ("_flash_3", "build FA3"),
        ("sage", "install `sageattention"),
        ("xformers", "install `xformers"),
    ],
)
def test_a_package_that_is_not_there_is_named(name: str, fix: str) -> None:
    with pytest.raises(ModelError, match=rf"^attention '{name}': .*{fix}.*; or take 'native'"):
        backend_named(name)
    with pytest.raises(ModelError, match=fix):
        CausalWan(tiny().wan.transformer, TINY_SPEC, attention=name)


@pytest.mark.parametrize("name", ["flash_hub", "_flash_3_hub", "sage_hub"])
def test_nothing_is_fetched(name: str) -> None:
    with pytest.raises(ModelError, match=r"downloads code when it runs.*install the package"):
        backend_named(name)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"'fast' is none of diffusers' backends: flash, .*native") as told:
        backend_named("fast")
    assert "_hub" not in str(told.value)


@pytest.mark.parametrize("name", ["_native_cudnn", "_native_efficient"])
def test_what_does_not_run_on_this_device_is_refused_before_a_pass(name: str) -> None:
    wan = wan_for(TINY_SPEC)
    with pytest.raises(ModelError, match=rf"^attention '{name}' does not run on cpu in torch.float32 with heads of 12"):
        wan.use_attention(name)
    assert wan.attention.value == "native"


def test_a_backend_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(query: Tensor, *_: object) -> Tensor:
        return query * 0.5

    monkeypatch.setattr(attention, "attend", wrong)
    with pytest.raises(ModelError, match="its results are wrong"):
        require_attention(backend_named("native"), 2, 12, torch.zeros(1))


def test_naming_a_backend_leaves_diffusers_own_choice_alone() -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    before = _AttentionBackendRegistry.get_active_backend()
    backend_named("_native_math")
    assert _AttentionBackendRegistry.get_active_backend() == before


def _clip(wan: CausalWan) -> list[Tensor]:
    return generate(wan, text(), blocks=3, seed=0)


def test_heads_of_another_size_are_tried_as_they_are() -> None:
    wan = wan_for(variant())
    require_attention(wan.attention, 3, 14, torch.zeros(1, dtype=torch.bfloat16))
