"""Keeps what a rank makes, as soon as it is made: finished blocks, and the state that cuts need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from torch import Tensor

from executor.keeping.cuts import START, Cut, Cuts
from executor.keeping.needed import TENSOR, is_past, lacking
from executor.keeping.saved import IN_PARTS, Finished, Kept, Piece, Saved
from executor.keeping.store import Store
from executor.keeping.writer import Copied, Writer, copied
from executor.output.frame_sink import FrameSink
from executor.rank.part import Part
from planner.action import Action, Kind, Payload
from planner.flow import Flow


class Holds(Protocol):
    """What is asked of a rank."""

    @property
    def frames(self) -> Mapping[int, Tensor]: ...
    def tensor(self, payload: Payload) -> Tensor: ...
    def decoder_state(self) -> Mapping[str, Tensor]: ...
    def encoder_state(self) -> Mapping[str, Tensor]: ...


class Keeper:
    """One rank's; a context that ends when all it was given is on disk. `part`: what the rank holds of K/V.

    `sink` gets the frames of each block that is decoded here, once they are on disk, after those of the blocks that
    were finished before `after`, the cut from which the run goes. `adopted`: files of earlier ranks that this one
    deletes once no cut needs them any more.
    """

    def __init__(
        self,
        store: Store,
        flow: Flow,
        cuts: Cuts,
        rank: int,
        part: Part,
        *,
        sink: FrameSink | None = None,
        adopted: Iterable[Saved] = (),
        after: Cut = START,
    ) -> None:
        self._store, self._flow, self._cuts, self._part, self._sink = store, flow, cuts, part, sink
        self._leads = all(rank == ranks[0] for ranks in flow.layout.units if rank in ranks)
        self._own: set[Saved] = set(adopted)
        self._tidier = Tidier(store, flow, cuts, after)
        self._writer = Writer()
        if sink is not None:
            self._writer.do(lambda: show(store, range(cuts.finished(after)), sink))

    def made(self, action: Action, rank: Holds) -> None:
        """To be called after each compute action. Raises OutputError naming the file that could not be written."""
        if action.kind is Kind.DECODE:
            self._decoded(action, rank)
        elif action.kind is Kind.ENCODE and self._cuts.saves_codec(action.block):
            self._write(Kept("encoder", action.block), rank.encoder_state())
        for payload in self._flow.makes(action):
            if self._is_mine(action, payload):
                if self._cuts.saves(payload):
                    self._write(piece_of(payload, self._part), {TENSOR: rank.tensor(payload)})
                if self._is_clip(payload):
                    self._write(Finished(payload.block, False), {TENSOR: rank.tensor(payload)})

    def _decoded(self, action: Action, rank: Holds) -> None:
        parts, part = self._flow.parts, action.step or 0
        if part == parts - 1:
            self._write(Finished(action.block, True), {TENSOR: rank.frames[action.block]}, self._sink)
        if self._cuts.saves_codec(action.block):
            self._write(Kept("decoder", action.block, part, parts), rank.decoder_state())

    def _is_mine(self, action: Action, payload: Payload) -> bool:
        """Whether this rank is the one to write a payload that several may have made."""
        if payload.carries not in IN_PARTS:
            return self._leads
        # A gang's K/V stays on all its ranks.
        return action.kind is not Kind.TICK or payload.block in {block for block, _ in action.batch}

    def _is_clip(self, payload: Payload) -> bool:
        last = self._flow.spec.block_steps(payload.block) - 1
        return not self._flow.decodes and payload.carries == "latents" and payload.step == last

    def _write(self, saved: Saved, tensors: Mapping[str, Tensor], sink: FrameSink | None = None) -> None:
        self._writer.do(self._job(saved, copied(tensors), sink))

    def _job(self, saved: Saved, tensors: Copied, sink: FrameSink | None) -> Callable[[], None]:
        def write() -> None:
            there = tensors.wait()
            self._store.write(saved, there)
            if not isinstance(saved, Finished):
                self._own.add(saved)
            elif sink is not None:
                sink(saved.block, there[TENSOR])
            self._tidier.tidy(self._own)

        return write

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, where)


class Tidier:
    """Deletes what no cut needs any more, once a newer cut is whole."""

    def __init__(self, store: Store, flow: Flow, cuts: Cuts, after: Cut = START) -> None:
        self._store, self._flow, self._cuts = store, flow, cuts
        self._coming = [block for block in reversed(cuts.blocks) if block > after.block]  # the next one last
        self._blocks = 0  # so many from the first on are finished

    def tidy(self, own: set[Saved]) -> None:
        """Deletes of one's own files those that the newest whole cut has left behind."""
        newest = None
        while self._coming and self._is_whole(self._cuts.cut(self._coming[-1])):
            newest = self._cuts.cut(self._coming.pop())
        if not self._coming and self._has_blocks(self._flow.blocks):
            newest = self._cuts.end
        if newest is not None:
            past = {saved for saved in own if is_past(saved, self._cuts, newest)}
            for saved in past:
                self._store.delete(saved)
            own -= past

    def _is_whole(self, cut: Cut) -> bool:
        if not self._has_blocks(self._cuts.finished(cut)):
            return False
        return next(lacking(list(self._store.state()), self._flow, self._cuts, cut), None) is None

    def _has_blocks(self, count: int) -> bool:
        while self._blocks < count and self._store.has(Finished(self._blocks, self._flow.decodes)):
            self._blocks += 1
        return self._blocks >= count


def piece_of(payload: Payload, part: Part) -> Piece:
    """What a rank that holds this part of K/V has of a payload."""
    if payload.carries not in IN_PARTS:
        return Piece(payload)
    return Piece(payload, (part.layers.start, part.layers.stop), (part.heads.start, part.heads.stop))


def show(store: Store, blocks: range, sink: FrameSink) -> None:
    """Hands blocks that are on disk to a sink, one at a time."""
    for block in blocks:
        sink(block, store.read(Finished(block, True), TENSOR))
