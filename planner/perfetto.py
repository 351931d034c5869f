"""Timelines for ui.perfetto.dev: TrackEvent protobuf, a track per rank and per link end, arrows along what travels.

A slice is named by its action's text: `tick 9 b3.s2 b4.s0` is this rank's share of a gang. What streams layer by layer
has tracks of its own, next to what is sent whole. An arrow leads from the action that made something to its sending
and on to its other end, where it stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackDescriptor, TrackEvent
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from planner.action import LEAVING, Action, Kind, Payload, TimedAction

SEQUENCE = 1
Way = tuple[int, int]  # from rank, to rank
# What an action other than a pass leaves behind.
_LEAVES = {Kind.RECACHE: "context", Kind.ENCODE: "encoded", Kind.TEXT: "text", Kind.SLICE: "hidden"}


class Drawn(NamedTuple):
    """A slice to be: its row, its track, the flows that go on from it, and those that end at it."""

    row: TimedAction
    track: int
    flows: tuple[int, ...]
    ends: tuple[int, ...] = ()


def to_perfetto(timelines: Mapping[str, Sequence[Sequence[TimedAction]]]) -> bytes:
    """One group of tracks per named timeline, such as planned and measured, above one another.

    Tracks stay in the order of ranks. Equal rows give equal bytes.
    """
    writer = _Writer(TraceProtoBuilder())
    for place, (name, ranks) in enumerate(timelines.items()):
        group = writer.track(name, place)
        flows = {key: writer.flow() for key in dict.fromkeys(_sent(ranks))}
        for drawn in (*_compute(writer, group, ranks, flows), *_transfers(writer, group, ranks, flows)):
            writer.slice(drawn)
    return writer.written()


def _sent(ranks: Sequence[Sequence[TimedAction]]) -> Iterator[tuple[Way, Payload]]:
    """What is on its way, in the order of the senders' rows."""
    for rank, rows in enumerate(ranks):
        for action, _, _ in rows:
            if action.peer is not None:
                yield ((rank, action.peer) if action.kind in LEAVING else (action.peer, rank)), action.payload


def _compute(
    writer: _Writer, group: int, ranks: Sequence[Sequence[TimedAction]], flows: Mapping[tuple[Way, Payload], int]
) -> Iterator[Drawn]:
    """Each rank's own actions; from what others get of them an arrow goes out."""
    leaving: dict[tuple[int, Payload], list[int]] = {}
    for (way, payload), flow in flows.items():
        leaving.setdefault((way[0], payload), []).append(flow)
    for rank, rows in enumerate(ranks):
        track = writer.track(f"rank {rank}", rank, group)
        for row in rows:
            if row.action.is_compute:
                # Popped: where a payload is named twice, as by two waves, its first maker counts.
                made = [leaving.pop((rank, payload), []) for payload in _makes(row.action)]
                yield Drawn(row, track, tuple(sorted(flow for found in made for flow in found)))


def _makes(action: Action) -> Iterator[Payload]:
    """What an action may leave behind, as far as its name tells."""
    for block, step in action.passes:
        yield Payload("kv", block, step)
        yield Payload("latents", block, step)
    if action.kind is Kind.DECODE:
        yield Payload("pixels", action.block)
        yield Payload("features", action.block, action.step)
    elif action.kind in _LEAVES:
        step = action.step if action.kind is Kind.SLICE else None
        yield Payload(_LEAVES[action.kind], action.block, step)  # type: ignore[arg-type]


def _transfers(
    writer: _Writer, group: int, ranks: Sequence[Sequence[TimedAction]], flows: Mapping[tuple[Way, Payload], int]
) -> Iterator[Drawn]:
    """Each link's ends on tracks of their own; what leaves comes before what arrives, as they begin at once."""
    tracks: dict[tuple[Kind, Way], int] = {}
    arriving = []
    for rank, rows in enumerate(ranks):
        for row in rows:
            kind, peer = row.action.kind, row.action.peer
            if peer is None:
                continue
            leaves = kind in LEAVING
            way = (rank, peer) if leaves else (peer, rank)
            if (kind, way) not in tracks:
                tracks[kind, way] = writer.track(f"{kind} {way[0]} to {way[1]}", len(ranks) + len(tracks), group)
            flow = flows[way, row.action.payload]
            if leaves:
                yield Drawn(row, tracks[kind, way], (flow,))
            else:
                arriving.append(Drawn(row, tracks[kind, way], (), (flow,)))
    yield from arriving


class _Writer:
    """Adds tracks and slices to a trace, numbering tracks and flows."""

    def __init__(self, builder: TraceProtoBuilder) -> None:
        self._builder = builder
        self._tracks = self._flows = 0

    def track(self, name: str, place: int, parent: int | None = None) -> int:
        self._tracks += 1
        descriptor = self._builder.add_packet().track_descriptor
        descriptor.uuid = self._tracks
        descriptor.name = name
        descriptor.sibling_merge_behavior = TrackDescriptor.SIBLING_MERGE_BEHAVIOR_NONE
        descriptor.child_ordering = TrackDescriptor.EXPLICIT
        # By place, not by name, which would put rank 10 before rank 2.
        descriptor.sibling_order_rank = place
        if parent is not None:
            descriptor.parent_uuid = parent
        return self._tracks

    def flow(self) -> int:
        self._flows += 1
        return self._flows

    def slice(self, drawn: Drawn) -> None:
        row = drawn.row
        for kind, at_us in ((TrackEvent.TYPE_SLICE_BEGIN, row.start_us), (TrackEvent.TYPE_SLICE_END, row.end_us)):
            packet = self._builder.add_packet()
            packet.timestamp = at_us * 1000
            packet.trusted_packet_sequence_id = SEQUENCE
            packet.track_event.type = kind
            packet.track_event.track_uuid = drawn.track
            if kind == TrackEvent.TYPE_SLICE_BEGIN:
                packet.track_event.name = str(row.action)
                packet.track_event.categories.append(str(row.action.kind))
                packet.track_event.flow_ids.extend(drawn.flows)
                packet.track_event.terminating_flow_ids.extend(drawn.ends)

    def written(self) -> bytes:
        return bytes(self._builder.serialize())
