"""Which noise level a pass reads of each block: by hand, as its definition says, and as the reference loop has it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.errors import InputError
from planner.patterns import (
    Pattern,
    all_patterns,
    level_read,
    newer_read,
    reads,
    runs_beside,
    tolerates,
)
from tests.planner.clips import cascade, model
from tests.strategies import patterns, specs

# Four denoise steps and a clean pass, level 4. By offset: for each distance from 1, the levels that stages 0..4 read.
LEVELS = {
    5: ["44444", "44444", "44444", "44444"],
    4: ["34444", "44444", "44444", "44444"],
    3: ["23444", "44444", "44444", "44444"],
    2: ["12344", "23444", "34444", "44444"],
    1: ["01234", "01234", "01234", "01234"],
}
# The same of the live exchange; a star before the levels that are made in the same tick.
LIVE_LEVELS = {
    5: ["4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4"],
    4: ["*4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4"],
    3: ["*3 *4 4 4 4", "4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4"],
    2: ["*2 *3 *4 4 4", "*4 4 4 4 4", "4 4 4 4 4", "4 4 4 4 4"],
    1: ["*1 *2 *3 *4 4", "*2 *3 *4 4 4", "*3 *4 4 4 4", "*4 4 4 4 4"],
}


@pytest.mark.parametrize("offset", LEVELS)
def test_levels_by_hand(offset: int) -> None:
    spec = load_spec("self-forcing-1.3b")
    table = [[level_read(cascade(offset), spec, stage, distance) for stage in range(5)] for distance in range(1, 5)]
    assert table == [[int(level) for level in row] for row in LEVELS[offset]]
    assert not any(runs_beside(cascade(offset), spec, stage, distance) for stage in range(5) for distance in range(5))


@pytest.mark.parametrize("offset", LIVE_LEVELS)
def test_live_levels_by_hand(offset: int) -> None:
    spec = load_spec("self-forcing-1.3b")
    for pattern in (cascade(offset, "live-causal"), cascade(offset, "live-joint")):
        table = [
            " ".join(
                "*" * runs_beside(pattern, spec, stage, distance) + str(level_read(pattern, spec, stage, distance))
                for stage in range(5)
            )
            for distance in range(1, 5)
        ]
        assert table == LIVE_LEVELS[offset]


def test_newer_blocks_by_hand() -> None:
    # At offset 1 block 2's clean pass runs beside all later steps of the four blocks behind it.
    assert list(newer_read(cascade(1, "live-joint"), 2, 4, 9)) == [(3, 3), (4, 2), (5, 1), (6, 0)]
    assert list(newer_read(cascade(1, "live-joint"), 2, 4, 5)) == [(3, 3), (4, 2)]
    assert list(newer_read(cascade(1, "live-joint"), 2, 0, 9)) == []
    assert list(newer_read(cascade(2, "live-joint"), 2, 4, 9)) == [(3, 2), (4, 0)]
    assert list(newer_read(cascade(2, "live-joint"), 2, 3, 9)) == [(3, 1)]
    for pattern in (cascade(1), cascade(1, "live-causal"), cascade(5, "live-joint")):
        assert list(newer_read(pattern, 2, 4, 9)) == []


def test_reads_by_hand() -> None:
    # A sink of one block and a window of four with the block itself: block 6 reads 0, 4 and 5.
    spec = model(4, clean=True, window=4, sink=1)
    assert list(reads(cascade(2), spec, 6, 0)) == [(0, 4), (4, 2), (5, 1)]
    assert list(reads(cascade(1), spec, 6, 4)) == [(0, 4), (4, 4), (5, 4)]
    assert list(reads(cascade(1, "live-causal"), spec, 6, 1)) == [(0, 4), (4, 3), (5, 2)]
    assert list(reads(Pattern.sequential(spec), spec, 2, 0)) == [(0, 4), (1, 4)]
    assert list(reads(cascade(1), spec, 0, 0)) == []


def test_reads_without_a_clean_pass_by_hand() -> None:
    spec = model(3, window=3)
    assert list(reads(cascade(1), spec, 4, 1)) == [(2, 1), (3, 1)]
    assert list(reads(cascade(2), spec, 4, 1)) == [(2, 2), (3, 2)]
    assert list(reads(Pattern(name="layers", offset=1), spec, 4, 1)) == [(2, 1), (3, 1)]
    assert list(reads(Pattern.sequential(spec), spec, 4, 0)) == [(2, 2), (3, 2)]


# -- the definition ------------------------------------------------------------------------------


@given(st.data(), specs())
def test_what_is_read_has_been_made_or_is_made_beside(data: st.DataObject, spec: ModelSpec) -> None:
    """By the ticks in which passes run when blocks run back to back."""
    pattern = data.draw(patterns(spec))
    block, stage = data.draw(st.integers(0, 9)), data.draw(st.integers(0, spec.passes - 1))
    now = pattern.tick(block, stage)
    for earlier, level in reads(pattern, spec, block, stage):
        made = pattern.tick(earlier, level)
        assert (made == now) == runs_beside(pattern, spec, stage, block - earlier)
        assert made <= now
        # `after`: a tick ago for each block between; the last level stays the cleanest.
        lag = now - made - (block - earlier if pattern.exchange == "after" else 0)
        assert lag == 0 or (lag > 0 and level == spec.passes - 1)


@given(st.data(), specs())
def test_joint_passes_read_one_another(data: st.DataObject, spec: ModelSpec) -> None:
    pattern = cascade(data.draw(st.integers(1, spec.passes)), "live-joint")
    block, stage = data.draw(st.integers(0, 9)), data.draw(st.integers(0, spec.passes - 1))
    newer = list(newer_read(pattern, block, stage, 99))
    for later, level in newer:
        assert pattern.tick(later, level) == pattern.tick(block, stage)
        assert 0 <= level < stage
        if block in spec.context_blocks(later):
            assert (block, stage) in reads(pattern, spec, later, level)
    # All of them: the next would not have begun.
    behind = block + len(newer) + 1
    assert pattern.tick(behind, 0) > pattern.tick(block, stage)


@given(st.data(), specs())
def test_the_chain_implies_the_rest(data: st.DataObject, spec: ModelSpec) -> None:
    """Whoever waits for the block before at the level it reads has waited for what it reads of older ones."""
    pattern = data.draw(patterns(spec))
    assume(pattern.exchange == "after")
    stage, distance = data.draw(st.integers(0, spec.passes - 1)), data.draw(st.integers(2, 6))
    before = level_read(pattern, spec, stage, 1)
    assert level_read(pattern, spec, before, distance - 1) >= level_read(pattern, spec, stage, distance)


@given(st.data(), specs())
def test_an_offset_of_all_passes_is_sequential(data: st.DataObject, spec: ModelSpec) -> None:
    """For every exchange and direction."""
    block, stage = data.draw(st.integers(0, 9)), data.draw(st.integers(0, spec.passes - 1))
    expected = [(earlier, spec.passes - 1) for earlier in spec.context_blocks(block)]
    assert list(reads(Pattern.sequential(spec), spec, block, stage)) == expected
    for longest in (cascade(spec.passes), cascade(spec.passes, "live-causal"), cascade(spec.passes, "live-joint")):
        assert list(reads(longest, spec, block, stage)) == expected
        assert list(newer_read(longest, block, stage, 99)) == []
        assert not any(runs_beside(longest, spec, stage, distance) for distance in range(1, 9))


# -- names ---------------------------------------------------------------------------------------


@given(specs())
def test_all_patterns_go_from_the_cleanest_context_to_the_noisiest(spec: ModelSpec) -> None:
    found = all_patterns(spec)
    assert len(set(found)) == len(found) == 3 + 3 * (spec.passes - 1)
    ways = {(pattern.exchange, pattern.direction) for pattern in found}
    for way in ways:
        offsets = [p.offset for p in found if p.name == "cascade" and (p.exchange, p.direction) == way]
        assert offsets == list(range(spec.passes - 1, 0, -1))


@given(st.data(), specs())
def test_text_round_trips(data: st.DataObject, spec: ModelSpec) -> None:
    pattern = data.draw(patterns(spec))
    assert Pattern.parse(str(pattern), spec) == pattern


def test_forms_by_hand() -> None:
    spec = load_spec("self-forcing-1.3b")
    assert Pattern.parse("sequential", spec) == Pattern(name="sequential", offset=5)
    assert Pattern.parse("cascade:2", spec) == Pattern(name="cascade", offset=2)
    assert Pattern.parse("same-level", spec) == Pattern(name="cascade", offset=1)
    joint = Pattern.parse("cascade:1:live-joint", spec)
    assert joint == Pattern(name="cascade", offset=1, exchange="live", direction="joint")
    assert (joint.is_joint, joint.is_live) == (True, False)
    causal = Pattern.parse("cascade:3:live-causal", spec)
    assert (causal.is_joint, causal.is_live) == (False, True)
    assert [str(pattern) for pattern in all_patterns(spec)] == [
        "sequential",
        *[f"cascade:{offset}" for offset in (4, 3, 2, 1)],
        *[f"cascade:{offset}:live-causal" for offset in (4, 3, 2, 1)],
        *[f"cascade:{offset}:live-joint" for offset in (4, 3, 2, 1)],
        "sequential-recompute",
        "layers",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cascade",
        "cascade:",
        "cascade:x",
        "cascade:-1",
        "cascade:1.0",
        "cascade:1 ",
        "Sequential",
        "live:1",
        "cascade:1:live",
        "cascade:1:after",
        "cascade:1:live-both",
        "layers:1",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is none of 'sequential', .*'cascade:OFFSET:live-joint'"):
        Pattern.parse(text, load_spec("toy"))


@pytest.mark.parametrize("offset", [0, 6, 9999])
def test_an_offset_out_of_range_is_refused(offset: int) -> None:
    with pytest.raises(InputError, match=rf"offset must be 1\.\.5 for toy, not {offset}$"):
        Pattern.parse(f"cascade:{offset}", load_spec("toy"))


@pytest.mark.parametrize("text", ["cascade:02", "cascade:٢"])
def test_an_offset_has_one_spelling(text: str) -> None:
    with pytest.raises(InputError):
        Pattern.parse(text, load_spec("toy"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sequential", {"sequential"}),
        ("cascade:2", {"cascade"}),
        ("cascade:1", {"cascade", "same-level"}),
        ("cascade:1:live-causal", {"cascade-live-causal"}),
        ("cascade:2:live-joint", {"cascade-live-joint"}),
        # What reads what the sequential pipeline reads.
        ("cascade:3", {"sequential", "cascade"}),
        ("cascade:3:live-joint", {"sequential", "cascade"}),
        ("sequential-recompute", {"sequential-recompute"}),
        ("layers", {"layers", "same-level"}),
    ],
)
def test_what_a_checkpoint_must_name(text: str, names: set[str]) -> None:
    every = {"sequential", "sequential-recompute", "cascade", "same-level", "layers"}
    every |= {"cascade-live-causal", "cascade-live-joint"}
    for name in every:
        spec = model(2, clean=True, tolerates=(name,))
        assert tolerates(spec, Pattern.parse(text, spec)) == (name in names)
