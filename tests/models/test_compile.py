"""Compiled layers: one form for all of them, one more for each shape, and the same numbers but for rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from models.forward import Forward, PassInput, Past
from models.generate import generate
from models.layer import TextView
from models.loaded import LoadedModel
from models.wan import FORMS, CausalWan
from tests.models.variants import variant
from tests.tiny import embed, tiny_model

SPEC = variant(layers=9, first_block_frames=1)
close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
# Traces as the real compiler does, and then runs what it traced as it is: as quick to compile as to run.
TRACED = "aot_eager"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


@cache
def _model() -> LoadedModel:
    return tiny_model(SPEC)


@cache
def _texts() -> tuple[tuple[TextView, ...], tuple[TextView, ...]]:
    return _model().wan.encode_text(embed("one")), _model().wan.encode_text(embed("other"))


def _wan() -> CausalWan:
    return CausalWan(_model().wan.transformer, SPEC)


def _batch(wan: CausalWan, frames: Sequence[int], texts: int = 1) -> list[Tensor]:
    """Passes of so many frames each that attend to one another and go as one batch."""
    own = [torch.zeros(SPEC.layers, 2, 4 * count, SPEC.heads, SPEC.head_dim) for count in frames]
    generator = torch.Generator().manual_seed(0)
    reads = [Past(slot) for slot in own]
    inputs = [
        PassInput(torch.randn(4, count, 4, 4, generator=generator), 500.0, 1, slot, reads, _texts()[at % texts])
        for at, (count, slot) in enumerate(zip(frames, own, strict=True))
    ]
    return Forward(wan, inputs, fused=True).run()


def _forms() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_layers_share_their_compiled_forms() -> None:
    wan = _wan()
    exact = generate(wan, _texts()[0], blocks=3, seed=0)
    wan.compile(backend=TRACED, fullgraph=True)
    made = generate(wan, _texts()[0], blocks=3, seed=0)
    # What comes before attention and what comes after it, for the first block's shape and the others'.
    assert _forms() == 4
    for a, b in zip(exact, made, strict=True):
        close(a, b)


def test_more_shapes_than_torch_allows_by_itself() -> None:
    wan = _wan()
    # The first block, and batches of one and two passes, with one prompt and, where it makes a difference, with two.
    shapes = [((1,), 1), ((2,), 1), ((2,), 2), ((2, 2), 1), ((2, 2), 2)]
    exact = [_batch(wan, *shape) for shape in shapes]
    wan.compile(backend=TRACED, fullgraph=True)
    with torch._dynamo.config.patch(recompile_limit=2):
        for shape, wanted in zip(shapes, exact, strict=True):
            for a, b in zip(wanted, _batch(wan, *shape), strict=True):
                close(a, b)
    # Before attention and after it; only there does it matter whether a batch has one prompt.
    assert _forms() == 3 + 4
    # Five passes in flight, and a first block of its own, need 10, which torch's own limit of 8 does not allow.
    assert FORMS >= 10


def test_models_do_not_use_each_others_allowance_up() -> None:
    for _ in range(2):
        wan = _wan()
        wan.compile(backend=TRACED, fullgraph=True, recompile_limit=1)
        _batch(wan, (2,))
    assert _forms() == 4


def test_a_pass_begins_anew_for_graphs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[bool] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marked.append(True))
    wan = _wan()
    wan.begin_pass()
    wan.compile(mode="default")
    wan.begin_pass()
    assert not marked
    wan.compile(mode="reduce-overhead")
    wan.begin_pass()
    assert marked == [True]


def test_compiling_is_this_models_own_and_not_its_weights() -> None:
    wan = _wan()
    wan.compile(backend=TRACED)
    assert isinstance(wan.transformer, nn.Module)
    other = _wan()
    assert other.project is not wan.project
    _batch(other, (2,))
    assert _forms() == 0


@pytest.mark.slow
def test_the_real_compiler_agrees() -> None:
    wan = _wan()
    exact = generate(wan, _texts()[0], blocks=1, seed=0)
    wan.compile(fullgraph=True)
    close(exact, generate(wan, _texts()[0], blocks=1, seed=0))
    assert _forms() == 2
