"""The tiny model's weights under other windows, samplers and block sizes: none of these shapes a weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st
from torch import Tensor, equal

from models.layer import TextView
from models.loaded import LoadedModel
from models.spec import ModelSpec
from models.wan import CausalWan
from tests.tiny import TINY_SPEC, embed, tiny_model


def variant(**changes: object) -> ModelSpec:
    """The tiny spec with other fields, validated."""
    return ModelSpec.model_validate(TINY_SPEC.model_dump() | changes)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """1..4 steps, with or without a clean pass, 0..2 blocks of sink and 0..3 between the sink and the block itself."""
    frames = draw(st.integers(1, 2))
    sink, sliding = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    return variant(
        frames_per_block=frames,
        window=frames * (sink + sliding + 1),
        sink=frames * sink,
        relative_sink=draw(st.booleans()),
        timesteps=(1000, 750, 500, 250)[: draw(st.integers(1, 4))],
        clean_pass=draw(st.booleans()),
        context_timestep=draw(st.sampled_from([0.0, 40.0])),
    )


@st.composite
def streams(draw: st.DrawFn) -> ModelSpec:
    """`specs`, some with a first block of its own frames or more steps."""
    spec, other = draw(specs()), draw(st.booleans())
    first = {
        "first_block_frames": draw(st.none() | st.integers(1, 3)) if other else None,
        "first_block_steps": draw(st.none() | st.integers(spec.steps, spec.steps + 2)) if other else None,
    }
    return ModelSpec.model_validate(spec.model_dump() | first)


@st.composite
def specs_and_offsets(draw: st.DrawFn) -> tuple[ModelSpec, int]:
    """A spec, maybe with a first block of its own, and a number of passes by which its blocks may trail one another."""
    spec = draw(streams())
    return spec, draw(st.integers(1, spec.passes))


@cache
def tiny() -> LoadedModel:
    """The tiny model, built once."""
    return tiny_model()


def wan_for(spec: ModelSpec) -> CausalWan:
    """The tiny transformer, run as the spec says."""
    return CausalWan(tiny().wan.transformer, spec)


@cache
def text(prompt: str = "a prompt") -> tuple[TextView, ...]:
    """The prompt as the tiny transformer reads it."""
    return tiny().wan.encode_text(embed(prompt))


def same(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Whether two clips are equal, block by block and bit for bit."""
    return len(found) == len(wanted) and all(equal(a, b) for a, b in zip(found, wanted, strict=True))
