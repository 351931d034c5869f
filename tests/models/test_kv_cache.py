"""A slot belongs to one version from its taking to its giving back, and to nobody else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.errors import ModelError
from models.kv_cache import KVSlots, Version
from tests.tiny import TINY_SPEC

CAPACITY = 3

versions = st.tuples(st.integers(0, 3), st.integers(0, 2))


def _slots(capacity: int = CAPACITY) -> KVSlots:
    return KVSlots(TINY_SPEC, capacity, torch.float32, "cpu")


def test_a_slot_holds_a_blocks_keys_and_values_of_all_layers() -> None:
    slot = _slots().take(0, 0)
    assert slot.shape == (2, 2, 8, 2, 12)  # layers, K and V, tokens, heads, head dim
    assert slot.dtype == torch.float32
    assert KVSlots(TINY_SPEC, 1, torch.bfloat16, "cpu").take(0, 0).dtype == torch.bfloat16


def test_get_is_the_slot_taken() -> None:
    slots = _slots()
    slots.take(4, 1).fill_(7)
    slots.take(4, 2).fill_(8)
    assert slots.get(4, 1).unique().tolist() == [7]
    assert slots.get(4, 2).unique().tolist() == [8]


def test_a_slot_given_back_is_taken_again() -> None:
    slots = _slots(1)
    for block in range(5):
        slots.take(block, 0)
        slots.give_back(block, 0)
    assert slots.alive == frozenset()


def test_the_last_slot_can_be_taken_and_no_more() -> None:
    slots = _slots(2)
    slots.take(1, 0)
    slots.take(0, 4)
    with pytest.raises(ModelError, match=r"all 2 K/V slots are taken \(b0\.4, b1\.0\); none for b2\.3"):
        slots.take(2, 3)
    assert slots.alive == {(0, 4), (1, 0)}


def test_a_version_lives_once() -> None:
    slots = _slots()
    slots.take(1, 2)
    with pytest.raises(ModelError, match="K/V of block 1 at level 2 is alive already"):
        slots.take(1, 2)


def test_no_use_after_give_back_and_none_before_take() -> None:
    slots = _slots()
    slots.take(1, 2)
    slots.give_back(1, 2)
    for call in (slots.get, slots.give_back):
        with pytest.raises(ModelError, match="K/V of block 1 at level 2 is not here"):
            call(1, 2)
    with pytest.raises(ModelError, match="K/V of block 2 at level 1 is not here"):
        slots.get(2, 1)


class AnyOrder(RuleBasedStateMachine):
    """Versions taken, written and given back in any order keep what was last written to them."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = _slots()
        self.written: dict[Version, int] = {}
        self.marks = 0

    @rule(version=versions)
    def take(self, version: Version) -> None:
        if version in self.written or len(self.written) == CAPACITY:
            with pytest.raises(ModelError):
                self.slots.take(*version)
            return
        self.marks += 1
        self.slots.take(*version).fill_(self.marks)
        self.written[version] = self.marks

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def overwrite(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.written)))
        self.marks += 1
        self.slots.get(*version).fill_(self.marks)
        self.written[version] = self.marks

    @rule(version=versions)
    def give_back(self, version: Version) -> None:
        if version not in self.written:
            with pytest.raises(ModelError):
                self.slots.give_back(*version)
            return
        self.slots.give_back(*version)
        del self.written[version]

    @invariant()
    def each_living_version_holds_what_was_written_to_it(self) -> None:
        assert self.slots.alive == set(self.written)
        assert {v: self.slots.get(*v).unique().tolist() for v in self.written} == {
            v: [mark] for v, mark in self.written.items()
        }


test_any_order = AnyOrder.TestCase
