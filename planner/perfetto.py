"""Timelines for ui.perfetto.dev: TrackEvent protobuf, a track per rank and per link end, arrows along transfers.

A slice is named by its action's text: `tick 9 b3.s2 b4.s0` is this rank's share of a gang. What streams layer by layer
has tracks of its own, next to what is sent whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackDescriptor, TrackEvent
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from planner.action import LEAVING, Kind, Payload, TimedAction

SEQUENCE = 1


def to_perfetto(timelines: Mapping[str, Sequence[Sequence[TimedAction]]]) -> bytes:
    """One group of tracks per named timeline, such as planned and measured, above one another."""
    builder = TraceProtoBuilder()
    writer = _Writer(builder)
    for name, ranks in timelines.items():
        group = writer.track(name)
        for rank, rows in enumerate(ranks):
            compute = writer.track(f"rank {rank}", group)
            for row in rows:
                if row.action.is_compute:
                    writer.slice(compute, row, ())
        _transfers(writer, name, group, ranks)
    return bytes(builder.serialize())


def _transfers(writer: _Writer, name: str, group: int, ranks: Sequence[Sequence[TimedAction]]) -> None:
    """Each link's sends and streams on tracks of their own, with a flow to the other end of each."""
    tracks: dict[tuple[Kind, int, int], int] = {}
    for rank, rows in enumerate(ranks):
        for row in rows:
            kind, peer = row.action.kind, row.action.peer
            if peer is None:
                continue
            source, target = (rank, peer) if kind in LEAVING else (peer, rank)
            key = (kind, source, target)
            if key not in tracks:
                tracks[key] = writer.track(f"{kind} {source} to {target}", group)
            writer.slice(tracks[key], row, (writer.flow((name, source, target, row.action.payload)),))


class _Writer:
    """Adds tracks and slices to a trace, numbering tracks and flows."""

    def __init__(self, builder: TraceProtoBuilder) -> None:
        self._builder = builder
        self._tracks = 0
        self._flows: dict[tuple[str, int, int, Payload], int] = {}

    def track(self, name: str, parent: int | None = None) -> int:
        self._tracks += 1
        descriptor = self._builder.add_packet().track_descriptor
        descriptor.uuid = self._tracks
        descriptor.name = name
        descriptor.sibling_merge_behavior = TrackDescriptor.SIBLING_MERGE_BEHAVIOR_NONE
        if parent is not None:
            descriptor.parent_uuid = parent
        return self._tracks

    def flow(self, key: tuple[str, int, int, Payload]) -> int:
        return self._flows.setdefault(key, len(self._flows) + 1)

    def slice(self, track: int, row: TimedAction, flows: Sequence[int]) -> None:
        for kind, at_us in ((TrackEvent.TYPE_SLICE_BEGIN, row.start_us), (TrackEvent.TYPE_SLICE_END, row.end_us)):
            packet = self._builder.add_packet()
            packet.timestamp = at_us * 1000
            packet.trusted_packet_sequence_id = SEQUENCE
            packet.track_event.type = kind
            packet.track_event.track_uuid = track
            if kind == TrackEvent.TYPE_SLICE_BEGIN:
                packet.track_event.name = str(row.action)
                packet.track_event.flow_ids.extend(flows)
