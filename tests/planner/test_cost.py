"""Durations, transfers and memory: rooflines by their own formula, profiles, lanes and sizes by hand."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given, settings

from models.catalog import load_spec
from planner.action import Action, Kind, Payload
from planner.cluster import Cluster, Device, Link
from planner.cost import Costs
from planner.errors import InputError
from planner.expand import expand
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import KV_US, LATENTS_US, cascade, clip, costed, model, program
from tests.strategies import costings

KV, LATENTS = Payload("kv", 3, 1), Payload("latents", 3, 1)
SEQUENTIAL = Pattern.sequential(load_spec("toy"))


def rooflines(*devices: Device) -> Costs:
    link = Link(kind="given", latency_us=7, bandwidth_gbps=2)
    cluster = Cluster(devices=devices, link=link)
    return costed(Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=9)), SEQUENTIAL)


def device(tflops: float, memory_gbps: float) -> Device:
    return Device(kind="given", peak_tflops=tflops, memory_bytes=10**12, memory_gbps=memory_gbps)


def take(timing: Costs, text: str, rank: int = 0) -> int:
    return timing.compute_us(Action.parse(text), rank)


# -- durations -----------------------------------------------------------------------------------


def test_a_roofline_bound_by_arithmetic() -> None:
    spec = load_spec("toy")
    timing = rooflines(device(1e-3, 1e9), device(2e-3, 1e9))
    # 1e-3 TFLOP/s is a thousand FLOPs a microsecond, of which a pass reaches half and a decode 14 %. The toy's window
    # is four blocks: its own and at most three more.
    for block, context in ((0, 0), (1, 1), (2, 2), (3, 3), (7, 3)):
        expected = 50 + math.ceil(spec.pass_flops(context) / 500)
        assert take(timing, f"denoise b{block}.s0") == take(timing, f"denoise b{block}.s3") == expected
        assert take(timing, f"commit b{block}") == expected
    assert take(timing, "denoise b7.s0", 1) == 50 + math.ceil(spec.pass_flops(3) / 1000)
    assert take(timing, "decode b0") == 50 + math.ceil(spec.decode_flops(0) / 140)
    assert take(timing, "decode b1") == take(timing, "decode b7") == 50 + math.ceil(spec.decode_flops(1) / 140)
    assert take(timing, "decode b0") < take(timing, "decode b1")


def test_a_roofline_bound_by_memory() -> None:
    spec = load_spec("toy")
    timing = rooflines(device(1e9, 1))
    # One gigabyte a second is a thousand bytes a microsecond: weights once, K/V of the context and of the block.
    for block in range(4):
        moved = spec.weight_bytes + (block + 1) * spec.kv_bytes_per_block
        assert take(timing, f"denoise b{block}.s0") == 50 + math.ceil(moved / 1000)


def test_a_roofline_never_beats_a_launch() -> None:
    assert take(rooflines(device(1e12, 1e12)), "denoise b3.s0") == 51


def test_a_profile_by_hand() -> None:
    problem = clip(model(2, clean=True), 9, denoise_us=(100, 150), clean_us=(80,), decode_us=(40, 60))
    timing = costed(problem, cascade(1))
    # Beyond the second entry along the slope of 50; a table of one entry is level.
    assert [take(timing, f"denoise b{block}.s1") for block in range(5)] == [100, 150, 200, 250, 300]
    assert [take(timing, f"commit b{block}") for block in range(3)] == [80, 80, 80]
    assert [take(timing, f"decode b{block}") for block in range(3)] == [40, 60, 60]


def test_extrapolation_starts_from_the_last_two_and_stays_positive() -> None:
    timing = costed(clip(model(1), 9, denoise_us=(500, 100, 40)), cascade(1))
    assert [take(timing, f"denoise b{block}.s0") for block in range(6)] == [500, 100, 40, 1, 1, 1]


def test_a_profile_stops_at_the_window() -> None:
    timing = costed(clip(model(1, window=3), 9, denoise_us=(100, 150)), cascade(1))
    assert [take(timing, f"denoise b{block}.s0") for block in range(5)] == [100, 150, 200, 200, 200]


def test_a_table_may_leave_contexts_out() -> None:
    """Between two entries and beyond them on the line through the nearest two."""
    entries = [
        {"median_us": us, "p95_us": us, "samples": 1, "context": context}
        for context, us in ((1, 100), (3, 200), (6, 230))
    ]
    timing = costed(clip(model(1), 9, measured={"denoise": entries}), cascade(1))
    assert [take(timing, f"denoise b{block}.s0") for block in range(8)] == [50, 100, 150, 200, 210, 220, 230, 240]


def test_a_blocks_first_pass_takes_its_overhead() -> None:
    timing = costed(clip(model(2, clean=True), 3, measured={"block_overhead_us": 7}), cascade(1))
    assert [take(timing, text) for text in ("denoise b0.s0", "denoise b0.s1", "commit b0", "denoise b1.s0")] == [
        107,
        100,
        80,
        157,
    ]


def test_a_first_block_of_its_own_size() -> None:
    spec = model(2, first_block_frames=2)
    timing = costed(
        Problem(
            model=spec,
            cluster=Cluster(devices=(device(1e-3, 1e9),), link=Link(kind="given", latency_us=7, bandwidth_gbps=2)),
            workload=Workload(blocks=3),
        ),
        cascade(1),
    )
    assert take(timing, "denoise b0.s0") == 50 + math.ceil(spec.forward_flops(2, 2) / 500)
    assert take(timing, "denoise b1.s0") == 50 + math.ceil(spec.forward_flops(1, 2) / 500)
    assert timing.payload_bytes(Payload("kv", 0, 1)) == 2 * timing.payload_bytes(Payload("kv", 1, 1))
    assert timing.payload_bytes(Payload("latents", 0, 1)) == 2 * timing.payload_bytes(Payload("latents", 1, 1))


def test_side_work_as_measured_and_from_the_data_sheet() -> None:
    given = {"encode_us": 11, "recache_us": 12, "text_us": 13}
    problem = clip(model(2, clean=True), 4, measured=given, asked={"encode_text": True})
    recompute = Pattern(name="sequential-recompute", offset=3)
    timing = costed(problem, recompute)
    assert [take(timing, text) for text in ("encode b1", "recache b2", "text p0")] == [11, 12, 13]
    spec = model(2, clean=True, text_encoder_parameters=1000)
    cluster = Cluster(devices=(device(1e-3, 1e9),), link=problem.cluster.link)
    sheet = costed(Problem(model=spec, cluster=cluster, workload=Workload(blocks=4, encode_text=True)), recompute)
    assert take(sheet, "encode b0") == take(sheet, "decode b0")
    assert take(sheet, "encode b1") == take(sheet, "decode b1")
    # The two blocks of context at once, each attending to both.
    assert take(sheet, "recache b2") == 50 + math.ceil(spec.forward_flops(2, 2) / 500)
    assert take(sheet, "text p0") == 50 + math.ceil(2 * 1000 * 6 / 500)


def test_a_layer_is_rounded_up() -> None:
    timing = costed(clip(model(1), 3, denoise_us=(100, 102)), cascade(1))
    assert [timing.layer_us(action, 0) for action in program("denoise b0.s0\ndenoise b1.s0")] == [17, 17]
    assert timing.layer_us(program("denoise b2.s0")[0], 0) == 18


def test_a_profile_of_another_device_is_refused() -> None:
    problem = clip(model(1), 3, 3)
    devices = (*problem.cluster.devices[:2], *Cluster.of("h100").devices)
    mixed = problem.model_copy(update={"cluster": Cluster(devices=devices, link=problem.cluster.link)})
    with pytest.raises(InputError, match="profile: measured on 'cpu-core', but rank 2 is 'h100'"):
        costed(mixed, cascade(1))


def test_a_group_that_does_not_divide_the_model_is_refused() -> None:
    with pytest.raises(InputError, match=r"placement: free\*ulysses:3: by-hand has 4 attention heads, not divisible"):
        costed(clip(model(1), 3, 3), cascade(1), "free*ulysses:3")


# -- transfers -----------------------------------------------------------------------------------


def test_transfers_by_hand() -> None:
    timing = costed(clip(model(2), 3, 2), cascade(1))
    assert (timing.transfer_us(KV, 0, 1), timing.transfer_us(LATENTS, 1, 0)) == (KV_US, LATENTS_US) == (149, 6)
    # A sixth of the K/V, a layer of it, takes 24 us and the latency.
    assert timing.stream_layer_us(KV, 0, 1) == 29
    # 147456 bytes at 1 byte per nanosecond are 147.456 us, rounded up.
    for bandwidth, us in ((1, 148), (1e9, 1)):
        bare = costed(clip(model(2), 3, 2, latency_us=0, bandwidth_gbps=bandwidth), cascade(1))
        assert bare.transfer_us(KV, 0, 1) == us


def test_a_profiles_link_replaces_the_clusters() -> None:
    # The toy's K/V of three frames are 442368 bytes, its latents 3072.
    timing = rooflines(device(1, 1), device(1, 1))
    assert (timing.transfer_us(KV, 0, 1), timing.transfer_us(LATENTS, 0, 1)) == (7 + 222, 7 + 2)
    assert (timing.payload_bytes(KV), timing.payload_bytes(LATENTS)) == (442_368, 3_072)


def nodes(link_sharing: str, network_sharing: str = "pair") -> Costs:
    """Ranks 0 and 1 on one node, 2 and 3 on another."""
    link = Link.model_validate({"kind": "l", "latency_us": 1, "bandwidth_gbps": 1, "sharing": link_sharing})
    network = Link.model_validate({"kind": "n", "latency_us": 50, "bandwidth_gbps": 0.5, "sharing": network_sharing})
    cluster = Cluster(devices=(device(1, 1),) * 4, link=link, nodes=(2, 2), network=network)
    return costed(Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=2)), SEQUENTIAL)


def contend(timing: Costs) -> set[frozenset[tuple[int, int]]]:
    """Pairs of ways that share a lane."""
    lanes = {way: set(timing.wire(*way).lanes) for way in permutations(range(4), 2)}
    return {frozenset(pair) for pair in permutations(lanes, 2) if lanes[pair[0]] & lanes[pair[1]]}


WAYS = list(permutations(range(4), 2))
NODE_OF = (0, 0, 1, 1)


def crosses(way: tuple[int, int]) -> bool:
    return NODE_OF[way[0]] != NODE_OF[way[1]]


def test_the_network_joins_nodes_as_the_link_joins_their_devices() -> None:
    timing = nodes("pair")
    for way in WAYS:
        # 3072 bytes at half a byte, or one byte, per nanosecond.
        assert timing.transfer_us(LATENTS, *way) == (50 + 7 if crosses(way) else 1 + 4)


def test_a_profiles_link_does_not_replace_the_network() -> None:
    problem = clip(model(1), 3, 2)
    network = Link(kind="n", latency_us=50, bandwidth_gbps=0.512)
    apart = problem.cluster.model_copy(update={"nodes": (1, 1), "network": network})
    timing = costed(problem.model_copy(update={"cluster": apart}), cascade(1))
    assert timing.transfer_us(LATENTS, 0, 1) == 50 + 2
    assert timing.wire(0, 1).lanes != timing.wire(1, 0).lanes


def test_on_links_of_pairs_nothing_contends() -> None:
    assert contend(nodes("pair")) == set()


def test_at_ports_what_leaves_or_reaches_one_device_contends() -> None:
    # With two devices a node, each has both its ports to itself.
    assert contend(nodes("port")) == set()
    link = Link(kind="l", latency_us=1, bandwidth_gbps=1, sharing="port")
    cluster = Cluster(devices=(device(1, 1),) * 4, link=link)
    timing = costed(Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=2)), SEQUENTIAL)
    pairs = permutations(WAYS, 2)
    assert contend(timing) == {frozenset((a, b)) for a, b in pairs if a[0] == b[0] or a[1] == b[1]}


def test_at_a_networks_ports_what_leaves_or_reaches_one_node_contends() -> None:
    pairs = permutations([way for way in WAYS if crosses(way)], 2)
    expected = {frozenset((a, b)) for a, b in pairs if NODE_OF[a[0]] == NODE_OF[b[0]]}
    assert contend(nodes("pair", "port")) == expected


def test_on_a_bus_all_of_a_node_contends() -> None:
    pairs = permutations([way for way in WAYS if not crosses(way)], 2)
    expected = {frozenset((a, b)) for a, b in pairs if NODE_OF[a[0]] == NODE_OF[b[0]]}
    assert contend(nodes("bus")) == expected


def test_a_network_that_is_a_bus_is_one_of_its_own() -> None:
    across = [way for way in WAYS if crosses(way)]
    assert contend(nodes("pair", "bus")) == {frozenset(pair) for pair in permutations(across, 2)}
    # Beside the nodes' own.
    assert contend(nodes("bus", "bus")) == contend(nodes("bus")) | contend(nodes("pair", "bus"))
    assert contend(nodes("port", "port")) == contend(nodes("pair", "port"))


def test_a_profile_says_how_its_link_is_shared() -> None:
    shared = costed(clip(model(1), 3, 3, measured={"link_sharing": "port"}), cascade(1))
    assert set(shared.wire(0, 1).lanes) & set(shared.wire(0, 2).lanes)
    alone = costed(clip(model(1), 3, 3), cascade(1))
    assert not set(alone.wire(0, 1).lanes) & set(alone.wire(0, 2).lanes)


# -- memory --------------------------------------------------------------------------------------


def test_payload_bytes_by_hand() -> None:
    timing = costed(clip(model(2, clean=True), 4, 2, asked={"encode_text": True}), cascade(1))
    spec = timing.spec
    assert timing.payload_bytes(Payload("kv", 2, None)) == 147_456
    # Three blocks' K/V, anew.
    assert timing.payload_bytes(Payload("context", 3)) == 3 * 147_456
    # A first block's latent frame is one pixel frame, another's four; 32 x 32 pixels of three bytes.
    pixels = spec.pixel_height * spec.pixel_width * 3
    assert [timing.payload_bytes(Payload("pixels", block)) for block in (0, 1)] == [pixels, 4 * pixels]
    assert timing.payload_bytes(Payload("encoded", 1)) == timing.payload_bytes(Payload("latents", 1, 0)) == 1024
    assert timing.payload_bytes(Payload("text", 0)) == 6 * 22 * 4


def test_what_is_split_is_smaller() -> None:
    problem = clip(model(2), 4, 2, decode=False)
    group = costed(problem, cascade(1), "free*ulysses:2")
    assert group.payload_bytes(KV) == 147_456 // 2
    ring = costed(problem, Pattern(name="layers", offset=1), "ring")
    assert ring.payload_bytes(KV) == 147_456 // 2
    # Wave 2 holds stage 1 of block 0 and stage 0 of block 2; a token's hidden state is 192 numbers.
    assert ring.payload_bytes(Payload("hidden", 2, 0)) == 2 * 16 * 192 * 4


def test_resident_bytes_by_hand() -> None:
    spec, timing = load_spec("toy"), rooflines(device(1, 1))

    def resident(text: str) -> int:
        return timing.resident_bytes(program(text))

    # 48 tokens x (4 x 192 + 4 x 192) numbers x 4 bytes of working memory; the decoder's two maps of 24 channels in
    # float32 over 12 frames of 16 x 16 patches, and two frames of what each of its convolutions over time reads.
    assert resident("denoise b0.s0") == resident("commit b0") == spec.weight_bytes + 294_912
    assert resident("decode b0") == resident("encode b0") == spec.decoder_weight_bytes + 589_824 + 413_696
    assert resident("decode b0\nencode b0") == resident("decode b0") + 413_696
    both = spec.weight_bytes + spec.decoder_weight_bytes + 294_912 + 589_824 + 413_696
    assert resident("denoise b0.s0\ndecode b0") == both
    assert resident("batch 3.0 b0.s3 b1.s2 b2.s1") == spec.weight_bytes + 3 * 294_912
    assert resident("send kv b0.s0 to r1") == 0


def test_resident_bytes_of_a_share() -> None:
    spec = load_spec("toy").model_copy(update={"text_encoder_parameters": 10})
    cluster = Cluster(devices=(device(1, 1),) * 2, link=Link(kind="l", latency_us=1, bandwidth_gbps=1))
    problem = Problem(model=spec, cluster=cluster, workload=Workload(blocks=2))

    def resident(pattern: Pattern, placement: str, text: str) -> int:
        return costed(problem, pattern, placement).resident_bytes(program(text))

    # Ulysses shares the work, tensor parallelism and a ring share the weights too.
    assert resident(SEQUENTIAL, "free*ulysses:2", "denoise b0.s0") == spec.weight_bytes + 294_912 // 2
    assert resident(SEQUENTIAL, "free*tensor:2", "denoise b0.s0") == spec.weight_bytes // 2 + 294_912 // 2
    ring = resident(Pattern(name="layers", offset=1), "ring", "slice 0.0 b0.s0")
    assert ring == spec.weight_bytes // 2 + 294_912
    # While a layer runs its K/V of all five blocks in flight is on every rank.
    gang = resident(cascade(1, "live-joint"), "block", "tick 0 b0.s0")
    assert gang == spec.weight_bytes + 294_912 + 5 * 442_368 // 6
    assert resident(SEQUENTIAL, "free", "text p0") == 10 * spec.weight_bytes_per_parameter


@settings(max_examples=60)
@given(costings())
def test_everything_takes_time(timing: Costs) -> None:
    ranks = range(timing.problem.cluster.size)
    tasks = expand(timing)
    for action in tasks.actions:
        for unit in timing.flow.layout.units:
            duration = timing.compute_us(action, unit[0])
            assert type(duration) is int
            assert duration >= 1
            # A group's ranks say the same.
            assert {timing.compute_us(action, rank) for rank in unit} == {duration} or action.kind in (
                Kind.DECODE,
                Kind.ENCODE,
                Kind.TEXT,
            )
    for payload in tasks.payloads:
        empty = payload.carries == "context" and not timing.spec.context_blocks(payload.block)
        assert (timing.payload_bytes(payload) == 0) == empty
        for source, target in permutations(ranks, 2):
            assert timing.transfer_us(payload, source, target) >= timing.stream_layer_us(payload, source, target) >= 1
