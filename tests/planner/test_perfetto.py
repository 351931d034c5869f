"""Perfetto timelines, read back with perfetto's own protobuf."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hypothesis import given, settings
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb

from planner.action import Kind, TimedAction
from planner.perfetto import to_perfetto
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import Jitter, simulate
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed


class Slice(NamedTuple):
    """A begin and its end: the path of tracks, the name, nanoseconds, the flows."""

    track: str
    name: str
    begin_ns: int
    end_ns: int
    flows: tuple[int, ...]


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
    first, second = {found.flows[0] for found in slices(content) if found.flows}
    assert sorted(slices(content)) == sorted(
        [
            Slice("planned/rank 0", "denoise b0.s0", 0, 100_000, ()),
            Slice("planned/rank 0", "denoise b0.s1", 100_000, 200_000, ()),
            Slice("planned/rank 1", "denoise b1.s0", 249_000, 399_000, ()),
            Slice("planned/rank 1", "denoise b1.s1", 399_000, 549_000, ()),
            Slice("planned/send 0 to 1", "send kv b0.s0 to r1", 100_000, 249_000, (first,)),
            Slice("planned/send 0 to 1", "send kv b0.s1 to r1", 249_000, 398_000, (second,)),
            Slice("planned/recv 0 to 1", "recv kv b0.s0 from r0", 100_000, 249_000, (first,)),
            Slice("planned/recv 0 to 1", "recv kv b0.s1 from r0", 249_000, 398_000, (second,)),
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
    trace = simulate(given_plan, problem, Jitter(spread=0.5, seed=1))
    content = to_perfetto({"planned": given_plan.ranks, "simulated": trace.ranks})
    assert to_perfetto({"planned": given_plan.ranks, "simulated": trace.ranks}) == content
    found = slices(content)
    for name, ranks in (("planned", given_plan.ranks), ("simulated", trace.ranks)):
        mine = [one for one in found if one.track.startswith(f"{name}/")]
        assert sorted((one.name, one.begin_ns, one.end_ns) for one in mine) == rows_but_frees(ranks)
        for one in mine:
            assert len(one.flows) == (" to " in one.track)
    by_flow: dict[int, list[Slice]] = {}
    for one in found:
        for flow in one.flows:
            by_flow.setdefault(flow, []).append(one)
    for pair in by_flow.values():
        arriving, leaving = sorted(pair, key=lambda one: " to r" in one.name)
        here, there = ("stream", "tap") if leaving.name.startswith("stream ") else ("send", "recv")
        assert arriving.track == leaving.track.replace(f"/{here} ", f"/{there} ")
        source, target = leaving.track.split(f"/{here} ")[1].split(" to ")
        assert leaving.name.removesuffix(f" to r{target}").removeprefix(f"{here} ") == arriving.name.removesuffix(
            f" from r{source}"
        ).removeprefix(f"{there} ")


def test_streams_and_gangs_by_hand() -> None:
    live = plan_of(costed(clip(model(2), 2, 2, decode=False), cascade(1, "live-causal"), "block"))
    content = to_perfetto({"live": live.ranks})
    assert list(tracks(content).values())[3:] == ["live/stream 0 to 1", "live/tap 0 to 1"]
    stream, tap = (found for found in slices(content) if found.flows)
    assert (stream.name, tap.name) == ("stream kv b0.s1 to r1", "tap kv b0.s1 from r0")
    assert stream[2:] == tap[2:] == (117_000, 291_000, stream.flows)
    joint = plan_of(costed(clip(model(1), 2, 2, decode=False), cascade(1, "live-joint"), "block"))
    shares = [(found.track, found.name) for found in slices(to_perfetto({"joint": joint.ranks}))]
    assert shares == [
        ("joint/rank 0", "tick 0 b0.s0"),
        ("joint/rank 0", "tick 1"),
        ("joint/rank 1", "tick 0"),
        ("joint/rank 1", "tick 1 b1.s0"),
    ]
