"""One rank's share of a run that is kept in a folder: what is left of its program, and what it keeps of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.keeping.cuts import Cuts
from executor.keeping.keeper import Keeper, show
from executor.keeping.needed import TENSOR
from executor.keeping.remaining import is_load, remaining
from executor.keeping.restart import Loads, restore_codec
from executor.keeping.run_folder import Keep, Start, clear
from executor.keeping.saved import Finished
from executor.keeping.store import Store
from executor.rank.bind import Rank
from executor.rank.worker import Made
from planner.action import Action, Kind, TimedAction
from planner.flow import Flow


class KeptShare:
    """`program` is what is left to do, with loads where the rank comes by what was made before."""

    def __init__(self, keep: Keep, start: Start, flow: Flow, rank: int, program: Sequence[Action]) -> None:
        self._keep, self._start, self._flow, self._rank = keep, start, flow, rank
        self._store, self._cuts = Store(keep.folder), Cuts(flow, keep.every)
        self.program = remaining(program, flow, start.cut, rank)
        self._shows = any(a.kind is Kind.DECODE and (a.step or 0) == flow.parts - 1 for a in program)

    def channel(self, channel: Channel, rank: Rank) -> Channel:
        """The channel, with loads."""
        return Loads(channel, self._store, rank.held.part)

    @contextmanager
    def keeping(self, rank: Rank) -> Iterator[Made]:
        """Within: what is to be called of each compute action that is done. On leaving all is on disk.

        The rank's decoder and encoder are brought to where they were at the cut.
        """
        self._restore(rank)
        with ExitStack() as stack:
            opens = self._keep.sink if self._shows else None
            sink = None if opens is None else stack.enter_context(opens())
            keeper = stack.enter_context(
                Keeper(
                    self._store,
                    self._flow,
                    self._cuts,
                    self._rank,
                    rank.held.part,
                    sink=sink,
                    adopted=self._start.adopted,
                    after=self._start.cut,
                )
            )

            def made(action: Action) -> None:
                keeper.made(action, rank)
                if action.kind is Kind.DECODE:
                    rank.frames.pop(action.block, None)  # they are on disk, or on their way

            yield made

    def rows(self, rows: Sequence[TimedAction]) -> tuple[TimedAction, ...]:
        """The spans of what the plan has: loads are no part of it."""
        return tuple(row for row in rows if not is_load(row.action, self._rank))

    def _restore(self, rank: Rank) -> None:
        last = self._cuts.finished(self._start.cut) - 1
        kinds = {action.kind for action in self.program}
        if last >= 0 and Kind.DECODE in kinds:
            restore_codec(self._store, "decoder", last, rank.restore_decoder)
        if last >= 0 and Kind.ENCODE in kinds:
            restore_codec(self._store, "encoder", last, rank.restore_encoder)


def ended(keep: Keep, start: Start, flow: Flow) -> tuple[Tensor | None, list[Tensor]]:
    """Clears the state away, which no one needs any more; the clip's frames and latents as `Clip` has them.

    Of a run that found nothing left to do, the sink gets all frames now.
    """
    store, clip = Store(keep.folder), range(flow.blocks)
    if start.cut.block >= flow.blocks and keep.sink is not None and flow.decodes:
        with keep.sink() as sink:
            show(store, clip, sink)
    clear(store, frozenset())
    if not keep.whole:
        return None, []
    blocks = [store.read(Finished(block, flow.decodes), TENSOR) for block in clip]
    return (torch.cat(blocks), []) if flow.decodes else (None, blocks)
