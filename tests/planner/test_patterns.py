"""Which noise level a pass reads of each earlier block: by hand, and as the reference loop has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.errors import InputError
from planner.patterns import Pattern, all_patterns, level_read, reads
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


@pytest.mark.parametrize("offset", LEVELS)
def test_levels_by_hand(offset: int) -> None:
    spec = load_spec("self-forcing-1.3b")
    table = [[level_read(cascade(offset), spec, stage, distance) for stage in range(5)] for distance in range(1, 5)]
    assert table == [[int(level) for level in row] for row in LEVELS[offset]]


def test_reads_by_hand() -> None:
    # A sink of one block and a window of four with the block itself: block 6 reads 0, 4 and 5.
    spec = model(4, clean=True, window=4, sink=1)
    assert list(reads(cascade(2), spec, 6, 0)) == [(0, 4), (4, 2), (5, 1)]
    assert list(reads(cascade(1), spec, 6, 4)) == [(0, 4), (4, 4), (5, 4)]
    assert list(reads(Pattern.sequential(spec), spec, 2, 0)) == [(0, 4), (1, 4)]
    assert list(reads(cascade(1), spec, 0, 0)) == []


def test_reads_without_a_clean_pass_by_hand() -> None:
    spec = model(3, window=3)
    assert list(reads(cascade(1), spec, 4, 1)) == [(2, 1), (3, 1)]
    assert list(reads(cascade(2), spec, 4, 1)) == [(2, 2), (3, 2)]
    assert list(reads(Pattern.sequential(spec), spec, 4, 0)) == [(2, 2), (3, 2)]


@pytest.fixture(scope="module")
def reference() -> Callable[[ModelSpec, int, int, int], list[tuple[int, int]]]:
    """The reference loop's own derivation: (spec, block, stage, offset) to the versions read."""
    module = pytest.importorskip("models.generate", reason="the reference needs torch")
    levels: Callable[[ModelSpec, int, int, int], list[tuple[int, int]]] = module._levels
    return levels


@given(st.data(), specs())
def test_the_reference_loop_reads_the_same(
    reference: Callable[[ModelSpec, int, int, int], list[tuple[int, int]]], data: st.DataObject, spec: ModelSpec
) -> None:
    pattern = data.draw(patterns(spec))
    block, stage = data.draw(st.integers(0, 9)), data.draw(st.integers(0, spec.passes - 1))
    assert list(reads(pattern, spec, block, stage)) == reference(spec, block, stage, pattern.offset)


@given(st.data(), specs())
def test_an_offset_of_all_passes_is_sequential(data: st.DataObject, spec: ModelSpec) -> None:
    block, stage = data.draw(st.integers(0, 9)), data.draw(st.integers(0, spec.passes - 1))
    sequential, longest = Pattern.sequential(spec), cascade(spec.passes)
    assert list(reads(sequential, spec, block, stage)) == list(reads(longest, spec, block, stage))
    assert all(level == spec.passes - 1 for _, level in reads(sequential, spec, block, stage))


@given(specs())
def test_all_patterns_go_from_the_cleanest_context_to_the_noisiest(spec: ModelSpec) -> None:
    found = all_patterns(spec)
    assert [pattern.offset for pattern in found] == list(range(spec.passes, 0, -1))
    assert [pattern.name for pattern in found] == ["sequential"] + ["cascade"] * (spec.passes - 1)


@given(st.data(), specs())
def test_text_round_trips(data: st.DataObject, spec: ModelSpec) -> None:
    pattern = data.draw(patterns(spec))
    assert Pattern.parse(str(pattern), spec) == pattern


def test_forms_by_hand() -> None:
    spec = load_spec("self-forcing-1.3b")
    assert Pattern.parse("sequential", spec) == Pattern(name="sequential", offset=5)
    assert Pattern.parse("cascade:2", spec) == Pattern(name="cascade", offset=2)
    assert [str(pattern) for pattern in all_patterns(spec)] == [
        "sequential",
        "cascade:4",
        "cascade:3",
        "cascade:2",
        "cascade:1",
    ]


@pytest.mark.parametrize(
    "text", ["", "cascade", "cascade:", "cascade:x", "cascade:-1", "cascade:1.0", "cascade:1 ", "Sequential", "live:1"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is neither 'sequential' nor 'cascade:OFFSET'"):
        Pattern.parse(text, load_spec("toy"))


@pytest.mark.parametrize("offset", [0, 6, 9999])
def test_an_offset_out_of_range_is_refused(offset: int) -> None:
    with pytest.raises(InputError, match=rf"offset must be 1\.\.5 for toy, not {offset}$"):
        Pattern.parse(f"cascade:{offset}", load_spec("toy"))


@pytest.mark.parametrize("text", ["cascade:02", "cascade:٢"])
def test_an_offset_has_one_spelling(text: str) -> None:
    with pytest.raises(InputError):
        Pattern.parse(text, load_spec("toy"))
