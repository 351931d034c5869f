"""Perfetto timelines, read back with perfetto's own protobuf."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hypothesis import given, settings
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb

from planner.action import COMING, LEAVING, Action, Kind, TimedAction
from planner.conditions import Conditions, Jitter
from planner.perfetto import to_perfetto
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed


class Slice(NamedTuple):
    """A begin and its end: the path of tracks, the name, nanoseconds, the flows that go on, and those that end here."""

    track: str
    name: str
    begin_ns: int
    end_ns: int
    flows: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()


def packets(content: bytes) -> list[Any]:
    trace = pb.Trace()
    trace.ParseFromString(content)
    return list(trace.packet)


def tracks(content: bytes) -> dict[int, str]:
    """Each track's path such as 'planned/rank 0'; parents must come first, and no number twice."""
    paths: dict[int, str] = {}
    for packet in packets(content):
        if packet.HasField("track_descriptor"):
            described = packet.track_descriptor
            assert described.uuid not in paths
            parent = f"{paths[described.parent_uuid]}/" if described.HasField("parent_uuid") else ""
            paths[described.uuid] = parent + described.name
    return paths


def slices(content: bytes) -> list[Slice]:
    """Every slice; asserts that on each track slices begin and end by turns, in the order of time."""
    paths = tracks(content)
    opened: dict[int, Any] = {}
    closed_ns: dict[int, int] = {}
    found = []
    for packet in packets(content):
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        if event.type == pb.TrackEvent.TYPE_SLICE_BEGIN:
            assert event.track_uuid not in opened
            assert packet.timestamp >= closed_ns.get(event.track_uuid, 0)
            opened[event.track_uuid] = packet
        else:
            assert event.type == pb.TrackEvent.TYPE_SLICE_END
            begin = opened.pop(event.track_uuid)
            closed_ns[event.track_uuid] = packet.timestamp
            found.append(
                Slice(
                    paths[event.track_uuid],
                    begin.track_event.name,
                    begin.timestamp,
                    packet.timestamp,
                    tuple(begin.track_event.flow_ids),
                    tuple(begin.track_event.terminating_flow_ids),
                )
            )
    assert not opened
    return found


PROBLEM = clip(model(2), 2, 2, decode=False)
PLAN = plan_of(costed(PROBLEM, cascade(1), "block"))


def test_a_clip_by_hand() -> None:
    content = to_perfetto({"planned": PLAN.ranks})
    assert list(tracks(content).values()) == [
        "planned",
        "planned/rank 0",
        "planned/rank 1",
        "planned/send 0 to 1",
        "planned/recv 0 to 1",
    ]
    first, second = 1, 2
    assert sorted(slices(content)) == sorted(
        [
            Slice("planned/rank 0", "denoise b0.s0", 0, 100_000, (first,)),
            Slice("planned/rank 0", "denoise b0.s1", 100_000, 200_000, (second,)),
            Slice("planned/rank 1", "denoise b1.s0", 249_000, 399_000),
            Slice("planned/rank 1", "denoise b1.s1", 399_000, 549_000),
            Slice("planned/send 0 to 1", "send kv b0.s0 to r1", 100_000, 249_000, (first,)),
            Slice("planned/send 0 to 1", "send kv b0.s1 to r1", 249_000, 398_000, (second,)),
            Slice("planned/recv 0 to 1", "recv kv b0.s0 from r0", 100_000, 249_000, (), (first,)),
            Slice("planned/recv 0 to 1", "recv kv b0.s1 from r0", 249_000, 398_000, (), (second,)),
        ]
    )


def test_several_timelines_share_no_track_and_no_flow() -> None:
    content = to_perfetto({"planned": PLAN.ranks, "measured": PLAN.ranks})
    names = list(tracks(content).values())
    assert [name for name in names if "/" not in name] == ["planned", "measured"]
    assert len(names) == 10
    flows = {
        name: {flow for found in slices(content) if found.track.startswith(name) for flow in found.flows}
        for name in ("planned", "measured")
    }
    assert len(flows["planned"]) == len(flows["measured"]) == 2
    assert flows["planned"].isdisjoint(flows["measured"])


def rows_but_frees(ranks: Iterable[Iterable[TimedAction]]) -> list[tuple[str, int, int]]:
    return sorted(
        (str(row.action), row.start_us * 1000, row.end_us * 1000)
        for rows in ranks
        for row in rows
        if row.action.kind is not Kind.FREE
    )


@settings(max_examples=30)
@given(listed(min_devices=2))
def test_every_action_is_drawn_and_every_transfer_connected(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem, Conditions(jitter=Jitter.of(0.5), seed=1))
    content = to_perfetto({"planned": given_plan.ranks, "simulated": trace.ranks})
    assert to_perfetto({"planned": given_plan.ranks, "simulated": trace.ranks}) == content
    found = slices(content)
    for name, ranks in (("planned", given_plan.ranks), ("simulated", trace.ranks)):
        mine = [one for one in found if one.track.startswith(f"{name}/")]
        assert sorted((one.name, one.begin_ns, one.end_ns) for one in mine) == rows_but_frees(ranks)
        for one in mine:
            leaves, arrives = (
                any(f"/{kind} " in one.track for kind in LEAVING),
                any(f"/{k} " in one.track for k in COMING),
            )
            assert (len(one.ends), len(one.flows) if leaves or arrives else 0) == (arrives, leaves)
    by_flow: dict[int, list[Slice]] = {}
    # In the order in which a viewer meets them: by time, then as they stand in the file.
    for one in sorted(slices(content), key=lambda one: one.begin_ns):
        for flow in (*one.flows, *one.ends):
            by_flow.setdefault(flow, []).append(one)
    for maker, leaving, arriving in by_flow.values():
        here, there = ("stream", "tap") if leaving.name.startswith("stream ") else ("send", "recv")
        group, _, way = leaving.track.partition(f"/{here} ")
        source, target = way.split(" to ")
        assert arriving.track == f"{group}/{there} {way}"
        assert maker.track == f"{group}/rank {source}"
        assert maker.begin_ns <= leaving.begin_ns
        payload = leaving.name.removesuffix(f" to r{target}").removeprefix(f"{here} ")
        assert payload == arriving.name.removesuffix(f" from r{source}").removeprefix(f"{there} ")
        if payload.startswith(("kv ", "latents ")) and " b" in maker.name:
            assert payload.split()[1] in maker.name or maker.name == f"commit {payload.split()[1].removesuffix('.c')}"


def test_streams_and_gangs_by_hand() -> None:
    live = plan_of(costed(clip(model(2), 2, 2, decode=False), cascade(1, "live-causal"), "block"))
    content = to_perfetto({"live": live.ranks})
    assert list(tracks(content).values())[3:] == ["live/stream 0 to 1", "live/tap 0 to 1"]
    maker, stream, tap = (found for found in slices(content) if found.flows or found.ends)
    assert (maker.name, stream.name, tap.name) == ("denoise b0.s1", "stream kv b0.s1 to r1", "tap kv b0.s1 from r0")
    assert stream[2:4] == tap[2:4] == (117_000, 291_000)
    assert maker.flows == stream.flows == tap.ends == (1,)
    joint = plan_of(costed(clip(model(1), 2, 2, decode=False), cascade(1, "live-joint"), "block"))
    shares = [(found.track, found.name) for found in slices(to_perfetto({"joint": joint.ranks}))]
    assert shares == [
        ("joint/rank 0", "tick 0 b0.s0"),
        ("joint/rank 0", "tick 1"),
        ("joint/rank 1", "tick 0"),
        ("joint/rank 1", "tick 1 b1.s0"),
    ]


def test_tracks_are_in_the_order_of_ranks() -> None:
    """Ten ranks and more: a viewer that went by name would put rank 10 before rank 2."""
    rows = tuple((TimedAction(Action.parse(f"denoise b{rank}.s0"), 0, 1),) for rank in range(12))
    described = [p.track_descriptor for p in packets(to_perfetto({"planned": rows})) if p.HasField("track_descriptor")]
    group, *ranks = described
    assert group.child_ordering == pb.TrackDescriptor.EXPLICIT
    assert [(one.name, one.sibling_order_rank) for one in ranks] == [(f"rank {rank}", rank) for rank in range(12)]


def test_what_another_kind_of_action_made_has_an_arrow_too() -> None:
    made = {
        "text p0": "text p0",
        "recache b1": "context b1",
        "decode b0": "pixels b0",
        "decode b0.d1": "features b0.d1",
    }
    made |= {"encode b2": "encoded b2", "slice 3.0 b1.s2": "hidden w3.l0", "tick 4 b0.c": "kv b0.c"}
    for maker, payload in made.items():
        send = TimedAction(Action.parse(f"send {payload} to r1"), 10, 20)
        rows = (
            (TimedAction(Action.parse(maker), 0, 10), send),
            (TimedAction(Action.parse(f"recv {payload} from r0"), 10, 20),),
        )
        assert [found.flows or found.ends for found in slices(to_perfetto({"": rows}))] == [(1,)] * 3, maker
