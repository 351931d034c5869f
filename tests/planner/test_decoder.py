"""The decoder in parts: as even as can be, by trying every way to cut it; what each takes and hands on by hand."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.action import Payload
from planner.cluster import Cluster
from planner.decoder import Decoder
from planner.errors import InputError
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import clip, costed, model, program, us

WAN = load_spec("self-forcing-1.3b")


def measured(*parts: int) -> Problem:
    return clip(model(1), 3, 4, measured={"decode_parts": us(*parts)}, decode_us=(30, 60))


def data_sheet(kind: str = "h100") -> Problem:
    return Problem(model=WAN, cluster=Cluster.of(kind, 4), workload=Workload(blocks=3))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.data())
def test_no_other_cut_has_a_lighter_heaviest_part(parts: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(parts)))
    problem = measured(*parts)
    decoder, device = Decoder.of(problem, count), problem.cluster.devices[0]
    if count == 1:
        return
    found = [decoder.part_us(1, part, device) for part in range(count)]
    assert sum(found) == sum(parts)
    places = ((0, *cut, len(parts)) for cut in combinations(range(1, len(parts)), count - 1))
    assert max(found) == min(max(sum(parts[a:b]) for a, b in pairwise(place)) for place in places)


def test_measured_parts_by_hand() -> None:
    timing = costed(measured(10, 30, 20, 20), Pattern(name="sequential", offset=1), "free+decoder:2")
    # The first block's decode is twice as fast as the others', and so is each of its parts.
    texts = ("decode b1.d0", "decode b1.d1", "decode b0.d0", "decode b0.d1")
    assert [timing.compute_us(program(text)[0], 2) for text in texts] == [40, 40, 20, 20]


def test_a_whole_decoder_takes_what_was_measured_of_it() -> None:
    """Whatever its parts add up to."""
    timing = costed(measured(10, 30, 20, 20), Pattern(name="sequential", offset=1), "free+decoder")
    assert [timing.compute_us(action, 3) for action in program("decode b0\ndecode b1")] == [30, 60]


@pytest.mark.parametrize("parts", [2, 3])
def test_the_data_sheets_decoder_splits_by_its_flops(parts: int) -> None:
    """Wan's decoder in two or three parts: none takes a fifth more than its even share, as Block Cascading found."""
    problem = data_sheet()
    device = problem.cluster.devices[0]
    decoder = Decoder.of(problem, parts)
    whole = Decoder.of(problem, 1).part_us(1, 0, device)
    found = [decoder.part_us(1, part, device) for part in range(parts)]
    assert sum(found) == pytest.approx(whole)
    assert max(found) <= 1.2 * whole / parts


def test_parts_hand_on_a_layers_numbers() -> None:
    """Where the cut falls: all numbers that the last layer of a part leaves, two bytes each."""
    problem = data_sheet()
    timing = costed(problem, Pattern.sequential(WAN), "free+decoder:2")
    layers = WAN.vae.decode_layers(WAN.frames_per_block, WAN.latent_height, WAN.latent_width)
    size = timing.payload_bytes(Payload("features", 1, 0))
    cuts = [at for at, (_, numbers) in enumerate(layers) if 2 * numbers == size]
    total = sum(flops for flops, _ in layers)
    share = [sum(flops for flops, _ in layers[: at + 1]) / total for at in cuts]
    first = Decoder.of(problem, 2).shares[0]
    assert min(abs(found - first) for found in share) < 1e-9


def test_more_parts_than_there_are_is_refused() -> None:
    message = r"^placement: the decoder has 2 parts that can be told apart, not 3$"
    with pytest.raises(InputError, match=message):
        Decoder.of(measured(10, 10), 3)
    layers = len(WAN.vae.decode_layers(1, 1, 1))
    assert len(Decoder.of(data_sheet(), layers).shares) == layers
    with pytest.raises(InputError, match=f"has {layers} parts"):
        Decoder.of(data_sheet(), layers + 1)


def test_a_decoders_memory_by_hand() -> None:
    """The weights, and two maps of 96 channels in float32 over 12 frames of 480 x 832."""
    assert Decoder.of(data_sheet(), 1).resident_bytes == WAN.decoder_weight_bytes + 2 * 4 * 96 * 12 * 480 * 832
