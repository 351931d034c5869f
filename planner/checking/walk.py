"""R3 to R6, R9, R11, R14 and R15 on one rank: its program in order, what it holds and since when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.action import LEAVING, Action, Kind, Payload, TimedAction
from planner.checking.clip import Clip, Read


class Held(NamedTuple):
    """What brought a payload to a rank, when it is all there, and when its first layer is."""

    by: Action
    here_us: int
    first_us: int


class Ran(NamedTuple):
    """A compute action as its rank ran it: how long the costs say, and when the streams it reads let it end."""

    rank: int
    row: TimedAction
    duration_us: int
    streams_end_us: int


class Walk:
    """One rank's program, walked once. `ran` holds its compute actions afterwards."""

    def __init__(self, rank: int, rows: Sequence[TimedAction], clip: Clip) -> None:
        self.ran: list[Ran] = []
        self._rank, self._rows, self._clip = rank, rows, clip
        self._found: list[str] = []
        self._now, self._after = 0, "the clip starts"
        self._held: dict[Payload, Held] = {}
        self._origin: dict[Payload, Action] = {}  # what brought it, kept after it is freed
        self._leaves: dict[Payload, tuple[int, Action]] = {}  # until when the last transfer of it runs
        self._streams: dict[Payload, list[TimedAction]] = {}  # posted before it is made
        self._bytes, self._peak, self._peak_at = 0, 0, "the start"

    def broken(self) -> list[str]:
        """Every rule of a single rank that the program breaks."""
        for row in self._rows:
            if row.action.is_compute:
                self._compute(row)
            elif row.action.kind is Kind.FREE:
                self._free(row)
            else:
                self._transfer(row)
        for payload, rows in self._streams.items():
            for row in rows:
                self._break("R5", row, f"streams {payload}, which the rank does not make after that")
        for payload in self._held:
            if not self._is_kept(payload):
                self._found.append(f"R9 r{self._rank} {payload}: never freed")
        self._memory()
        return self._found

    # -- compute ---------------------------------------------------------------------------------

    def _compute(self, row: TimedAction) -> None:
        action, start, end = row
        self._follow(row)
        release = self._clip.release_us(action)
        if start < release:
            self._break("R15", row, f"starts at {start} us, its prompt is there at {release} us")
        lasts = self._clip.costs.compute_us(action, self._rank)
        self.ran.append(Ran(self._rank, row, lasts, self._streams_read(row)))
        for payload in self._clip.leaves(action):
            if payload in self._origin and not self._origin[payload].is_compute:
                self._break("R8", row, f"makes {payload}, which the rank received before")
            self._hold(row, payload, end)
            for stream in self._streams.pop(payload, ()):
                self._stream(stream, row)

    def _streams_read(self, row: TimedAction) -> int:
        """Whether all is there that an action reads; returns a layer after the last of the streams it reads."""
        layer = self._clip.costs.layer_us(row.action, self._rank)
        ends = [0]
        for read in self._clip.reads(row.action):
            held = self._held.get(read.payload)
            if held is not None and held.by.kind is Kind.TAP and read.beside:
                ends.append(held.here_us + layer)
            self._need(row, read, "reads")
        return max(ends)

    def _follow(self, row: TimedAction) -> None:
        """What occupies the rank comes one after the other."""
        if row.start_us < self._now:
            self._break("R3", row, f"starts at {row.start_us} us, before {self._now} us, when {self._after}")
        if row.end_us >= self._now:
            self._now, self._after = row.end_us, f"'{row.action}' ends"

    # -- transfers -------------------------------------------------------------------------------

    def _transfer(self, row: TimedAction) -> None:
        action, start, end = row
        payload = action.payload
        if start < self._now:
            self._break("R8", row, f"starts at {start} us, before it is posted at {self._now} us, when {self._after}")
        if self._clip.costs.post_us:
            self._now, self._after = self._now + self._clip.costs.post_us, f"'{action}' is posted"
        if action.kind in (Kind.SEND, Kind.RECV):
            self._lasts(row, self._transfer_us(action))
        if action.kind in LEAVING:
            self._leaves[payload] = max(self._leaves.get(payload, (end, action)), (end, action))
            if action.kind is Kind.STREAM:
                self._post_stream(row)
            else:
                self._need(row, Read(payload), "sends")
            return
        if payload in self._origin:
            how = "made" if self._origin[payload].is_compute else "received"
            self._break("R8", row, f"the rank has {how} {payload} before")
        first = start + self._layer_us(action) if action.kind is Kind.TAP else end
        self._hold(row, payload, end, first)

    def _post_stream(self, row: TimedAction) -> None:
        payload = row.action.payload
        if not (self._clip.pattern.is_live and payload.carries == "kv"):
            self._break("R14", row, f"pattern {self._clip.pattern} reads no {payload} layer by layer")
        if payload in self._origin:
            self._break("R14", row, f"posted after '{self._origin[payload]}', when {payload} is there: send it")
        else:
            self._streams.setdefault(payload, []).append(row)

    def _stream(self, stream: TimedAction, maker: TimedAction) -> None:
        """A stream leaves when the first layer is made, and is there a layer after the last is made and has left."""
        action, start, end = stream
        first = maker.start_us + self._clip.costs.layer_us(maker.action, self._rank)
        if start < first:
            self._break("R14", stream, f"starts at {start} us, '{maker.action}' has made its first layer at {first} us")
        layer = self._layer_us(action)
        there = max(maker.end_us, start + (self._clip.spec.layers - 1) * layer) + layer
        if end != there:
            self._break("R4", stream, f"ends at {end} us, its last layer is there at {there} us")

    def _way(self, action: Action) -> tuple[int, int]:
        assert action.peer is not None, "R1 lets no transfer without a peer through"
        return (self._rank, action.peer) if action.kind in LEAVING else (action.peer, self._rank)

    def _transfer_us(self, action: Action) -> int | None:
        known = self._clip.knows(action.payload)
        return self._clip.costs.transfer_us(action.payload, *self._way(action)) if known else None

    def _layer_us(self, action: Action) -> int:
        known = self._clip.knows(action.payload)
        return self._clip.costs.stream_layer_us(action.payload, *self._way(action)) if known else 0

    # -- what is held ----------------------------------------------------------------------------

    def _free(self, row: TimedAction) -> None:
        payload = row.action.payload
        self._follow(row)
        self._lasts(row, 0)
        if payload not in self._held:
            freed = payload in self._origin
            self._break("R9", row, "freed before (double free)" if freed else "the rank neither made nor received it")
            return
        if self._is_kept(payload):
            self._break("R9", row, "frees the clip's output")
        if row.start_us < self._held[payload].here_us:
            here = self._held[payload].here_us
            self._break("R9", row, f"freed at {row.start_us} us, before it is here at {here} us")
        end, transfer = self._leaves.get(payload, (0, None))
        if row.start_us < end:
            self._break("R9", row, f"freed at {row.start_us} us, before '{transfer}' ends at {end} us")
        del self._held[payload]
        self._bytes -= self._clip.size(payload)

    def _need(self, row: TimedAction, read: Read, verb: str) -> None:
        payload, held = read.payload, self._held.get(read.payload)
        if held is None:
            freed = "freed before" if payload in self._origin else "neither made nor received before"
            self._break("R5", row, f"{verb} {payload}, which the rank has {freed}")
        elif read.beside and row.start_us < held.first_us:
            first = held.first_us
            self._break(
                "R6", row, f"starts at {row.start_us} us, {verb} {payload}, whose first layer is here at {first} us"
            )
        elif not read.beside and row.start_us < held.here_us:
            here = held.here_us
            self._break("R6", row, f"starts at {row.start_us} us, {verb} {payload}, which is here at {here} us")

    def _hold(self, row: TimedAction, payload: Payload, here_us: int, first_us: int | None = None) -> None:
        if payload not in self._held:
            self._bytes += self._clip.size(payload)
        self._held[payload] = Held(row.action, here_us, here_us if first_us is None else first_us)
        self._origin[payload] = row.action
        if self._bytes > self._peak:
            self._peak, self._peak_at = self._bytes, f"'{row.action}'"

    def _is_kept(self, payload: Payload) -> bool:
        return self._clip.is_output(payload) and self._origin[payload].is_compute

    def _lasts(self, row: TimedAction, lasting_us: int | None) -> None:
        lasts = row.end_us - row.start_us
        if lasting_us is not None and lasts != lasting_us:
            self._break("R4", row, f"lasts {lasts} us, the cost model says {lasting_us} us")

    def _memory(self) -> None:
        limit = self._clip.devices[self._rank].memory_bytes
        resident = self._clip.costs.resident_bytes([row.action for row in self._rows])
        if resident + self._peak > limit:
            self._found.append(
                f"R11 r{self._rank} memory: {resident} bytes of weights and working memory and {self._peak} bytes of "
                f"payloads at {self._peak_at} are more than the device's {limit} bytes"
            )

    def _break(self, rule: str, row: TimedAction, text: str) -> None:
        self._found.append(f"{rule} r{self._rank} {row.action}: {text}")


# -- gangs ---------------------------------------------------------------------------------------


def durations(ran: Sequence[Ran], clip: Clip) -> Iterator[str]:
    """R4 and R13: shares of a gang start and end together, as the slowest of them and the streams they read allow."""
    gangs: dict[tuple[Action, tuple[int, ...]], list[Ran]] = {}
    for one in ran:
        action = one.row.action
        unit = () if action.kind is Kind.TICK else clip.mates(one.rank)
        gangs.setdefault((action.gang, unit), []).append(one)
    for shares in gangs.values():
        first, lasting = shares[0], max(share.duration_us for share in shares)
        streams = max(share.streams_end_us for share in shares)
        for rank, (action, start, end), _, _ in shares:
            if start != first.row.start_us:
                at = f"r{first.rank} at {first.row.start_us} us"
                yield f"R13 r{rank} {action}: starts at {start} us, its share on {at}"
            least = max(start + lasting, streams)
            if end != least:
                says = "the cost model says" if least == start + lasting else "what it reads layer by layer makes it"
                yield f"R4 r{rank} {action}: lasts {end - start} us, {says} {least - start} us"
