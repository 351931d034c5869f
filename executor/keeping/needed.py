"""Which files a cut needs: shapes as the model has them, and parts that together make a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from executor.keeping.cuts import Cut, Cuts
from executor.keeping.saved import IN_PARTS, Finished, Kept, Piece, Range, Saved
from executor.keeping.store import Header
from models.spec import ModelSpec
from planner.action import Payload
from planner.flow import Flow

# Under which a file holds its one tensor.
TENSOR = "tensor"


def header_of(saved: Finished | Piece, spec: ModelSpec, dtype: torch.dtype) -> Header:
    """What a file has to hold; K/V is of the type `dtype`."""
    block = saved.block if isinstance(saved, Finished) else saved.payload.block
    if isinstance(saved, Finished) and saved.decoded:
        return Header.of((spec.pixel_frames(block), spec.pixel_height, spec.pixel_width, 3), torch.uint8)
    if isinstance(saved, Piece) and saved.payload.carries in IN_PARTS:
        held = spec.context_blocks(block) if saved.payload.carries == "context" else (block,)
        tokens = sum(spec.tokens_of(each) for each in held)
        layers, heads = (after - first for first, after in (saved.layers, saved.heads))
        return Header.of((layers, 2, tokens, heads, spec.head_dim), dtype)
    frames = spec.block_frames(block)
    return Header.of((spec.latent_channels, frames, spec.latent_height, spec.latent_width), torch.float32)


def covering(payload: Payload, pieces: Iterable[Piece], layers: Range, heads: Range) -> list[Piece] | None:
    """Pieces that together hold these layers and heads of a payload; None if something is lacking."""
    found = sorted(piece for piece in pieces if piece.payload == payload)
    if payload.carries not in IN_PARTS:
        return found[:1] or None
    open_cells = {(layer, head) for layer in range(*layers) for head in range(*heads)}
    chosen = []
    for piece in found:
        brought = {cell for cell in open_cells if cell[0] in range(*piece.layers) and cell[1] in range(*piece.heads)}
        if brought:
            chosen.append(piece)
            open_cells -= brought
    return None if open_cells else chosen


def lacking(there: Sequence[Saved], flow: Flow, cuts: Cuts, cut: Cut) -> Iterator[str]:
    """What a cut needs of state and is not among the files, in words. Finished blocks are not looked at."""
    spec, pieces = flow.spec, [saved for saved in there if isinstance(saved, Piece)]
    for payload in sorted(cuts.state(cut), key=str):
        if covering(payload, pieces, (0, spec.layers), (0, spec.heads)) is None:
            yield str(payload)
    last = cuts.finished(cut) - 1
    if cut.block < flow.blocks and flow.decodes and last >= 0:
        for half in ("decoder", "encoder") if flow.recomputes else ("decoder",):
            if not kept_after(there, half, last):
                yield f"the {half} after block {last}"


def kept_after(there: Iterable[Saved], half: str, block: int) -> list[Kept]:
    """The parts of a decoder's or encoder's state after a block, if all are there; of several splits the coarsest."""
    found = {saved for saved in there if isinstance(saved, Kept) and (saved.half, saved.block) == (half, block)}
    for parts in sorted({kept.parts for kept in found}):
        whole = [Kept(half, block, part, parts) for part in range(min(parts, len(found)))]
        if len(whole) == parts and found.issuperset(whole):
            return whole
    return []


def needs(saved: Saved, cuts: Cuts, cut: Cut) -> bool:
    """Whether a cut needs a file of state."""
    if isinstance(saved, Piece):
        return saved.payload in cuts.state(cut)
    return not isinstance(saved, Kept) or (cut != cuts.end and saved.block == cuts.finished(cut) - 1)


def is_past(saved: Saved, cuts: Cuts, cut: Cut) -> bool:
    """Whether a file of state was made before a cut that does not need it: then no later cut does."""
    before = cuts.before(cut)
    if isinstance(saved, Piece):
        return before.made(saved.payload) and not needs(saved, cuts, cut)
    return isinstance(saved, Kept) and before.finished(saved.block) and not needs(saved, cuts, cut)
