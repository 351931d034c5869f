"""What is made once is made before the clip: the clip does not make it again, and finds nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import executor.rank.warm_up as warming
import models.wan
from executor.rank.warm_up import PassKinds
from models.wan import CausalWan
from planner.action import Action, Kind
from tests.executor.equal import Case, reference
from tests.executor.one_rank import alone, one_rank, walk

CASES = [
    ("sequential", "free"),
    ("cascade:1", "batched"),
    ("cascade:1:live-joint", "batched"),
    ("layers", "ring"),
    ("sequential-recompute", "free"),
]


def _never(*_: object) -> None:
    raise AssertionError("made within the clip")


def _counted(patch: pytest.MonkeyPatch, where: Any, name: str) -> list[object]:
    """What the function of that name returns from here on."""
    call: Callable[..., object] = getattr(where, name)
    returned: list[object] = []

    def counts(*given: Any, **named: Any) -> object:
        returned.append(call(*given, **named))
        return returned[-1]

    patch.setattr(where, name, counts)
    return returned


def _require_reference(chosen: Case, frames: dict[int, torch.Tensor]) -> None:
    assert chosen.model.vae is not None
    decoder = chosen.model.vae.decoder()
    wanted = [decoder.decode(block) for block in reference(chosen)]
    assert all(torch.equal(frames[block], pixels) for block, pixels in enumerate(wanted))


@pytest.mark.parametrize(("pattern", "placement"), CASES)
def test_the_clip_makes_nothing_that_no_latents_decide(pattern: str, placement: str) -> None:
    chosen = alone(pattern, placement)
    rank = one_rank(chosen)
    rank.warm_up()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("time_embedding", "modulations"):
            patch.setattr(models.wan, name, _never)
        patch.setattr(CausalWan, "encode_text", _never)
        walk(chosen, rank)
    _require_reference(chosen, rank.frames)


def test_a_context_made_anew_has_its_timestep_too() -> None:
    chosen = alone("sequential", switches=[{"at_us": 1, "recache": True}])
    program = [Action(Kind.RECACHE, 2), Action(Kind.DENOISE, 2, 1)]
    spec = chosen.flow.spec
    assert PassKinds.of(program, chosen.flow) == (frozenset({spec.context_timestep, spec.timestep(2, 1)}), 0)


def test_a_rank_without_passes_warms_up_no_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = alone("sequential")
    assert PassKinds.of([Action(Kind.DECODE, 0)], chosen.flow) == (frozenset(), None)
    rank = one_rank(chosen._replace(plan=chosen.plan.model_copy(update={"ranks": (_decodes(chosen),)})))
    monkeypatch.setattr(warming, "Forward", _never)
    rank.warm_up()


def _decodes(chosen: Case) -> tuple[Any, ...]:
    return tuple(row for row in chosen.plan.ranks[0] if row.action.kind is Kind.DECODE)


def test_a_text_that_the_plan_encodes_is_not_made_before_it() -> None:
    """A stand-in is read instead: the real one comes when the plan says."""
    chosen = alone("sequential", encode_text=True)
    rank = one_rank(chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(rank), "_text", _never)
        rank.warm_up()
    walk(chosen, rank)
    _require_reference(chosen, rank.frames)


def test_noise_and_steps_are_taken_in_the_types_of_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    noises, left = _counted(monkeypatch, warming, "block_noise"), _counted(monkeypatch, warming, "after_step")
    rank = one_rank(alone("sequential"))
    rank.warm_up()
    assert len(noises) == len(left) == warming.TIMES
    assert {tensor.shape for tensor in (*noises, *left) if isinstance(tensor, torch.Tensor)} == {(4, 2, 4, 4)}
    assert not rank.held.slots.alive
    assert rank.latents == {}
    assert rank.frames == {}
