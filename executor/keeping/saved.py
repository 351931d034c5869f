"""The files of a run's folder that hold tensors: what each name says, and which names are ours.

blocks/b7.frames.safetensors                pixel frames [F, H, W, 3] uint8 of block 7
blocks/b7.latents.safetensors               its clean latents, where the clip is not decoded
state/kv.b3.s2.l0-15.h6-12.safetensors      K/V that step 2 of block 3 made (.c: its clean pass), layers 0..14 and
                                            heads 6..11 of it
state/context.b8.l0-30.h0-12.safetensors    the K/V of the context of block 8, made anew
state/latents.b3.s2.safetensors             what a step left behind
state/encoded.b3.safetensors                the block's pixels back in latents
state/decoder.b7.p0-1.safetensors           what part 0 of 1 of the decoder keeps after block 7; `encoder` likewise
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from planner.action import Payload

Range = tuple[int, int]  # from, and up to but not with

BLOCKS, STATE = "blocks", "state"
IN_PARTS = ("kv", "context")  # what ranks may hold some layers or heads of
_N = r"(?:0|[1-9]\d{0,8})"
_BLOCK = re.compile(rf"{BLOCKS}/b({_N})\.(frames|latents)\.safetensors", re.ASCII)
_KEPT = re.compile(rf"{STATE}/(decoder|encoder)\.b({_N})\.p({_N})-({_N})\.safetensors", re.ASCII)
_PIECE = re.compile(
    rf"{STATE}/(?:(kv)\.b({_N})\.(c|s{_N})|(context)\.b({_N}))\.l({_N})-({_N})\.h({_N})-({_N})\.safetensors", re.ASCII
)
_WHOLE = re.compile(rf"{STATE}/(?:(latents)\.b({_N})\.s({_N})|(encoded)\.b({_N}))\.safetensors", re.ASCII)


class Finished(NamedTuple):
    """A finished block."""

    block: int
    decoded: bool

    def __str__(self) -> str:
        return f"{BLOCKS}/b{self.block}.{'frames' if self.decoded else 'latents'}.safetensors"


class Piece(NamedTuple):
    """A payload, or of K/V the part that some rank holds of it."""

    payload: Payload
    layers: Range = (0, 0)
    heads: Range = (0, 0)

    def __str__(self) -> str:
        carries, block, step = self.payload
        at = {"kv": ".c" if step is None else f".s{step}", "latents": f".s{step}"}.get(carries, "")
        part = ".l{}-{}.h{}-{}".format(*self.layers, *self.heads) if carries in IN_PARTS else ""
        return f"{STATE}/{carries}.b{block}{at}{part}.safetensors"


class Kept(NamedTuple):
    """What a part of the streaming decoder, or the encoder, keeps after a block."""

    half: str
    block: int
    part: int = 0
    parts: int = 1

    def __str__(self) -> str:
        return f"{STATE}/{self.half}.b{self.block}.p{self.part}-{self.parts}.safetensors"


Saved: TypeAlias = Finished | Piece | Kept


def parse(name: str) -> Saved | None:
    """What a name stands for; None if it is none of ours."""
    found = _parse(name)
    # Equal names and equal things are the same, so nothing can be there twice.
    return found if found is not None and str(found) == name else None


def _parse(name: str) -> Saved | None:
    if match := _BLOCK.fullmatch(name):
        return Finished(int(match[1]), match[2] == "frames")
    if match := _KEPT.fullmatch(name):
        return Kept(match[1], int(match[2]), int(match[3]), int(match[4]))
    if match := _WHOLE.fullmatch(name):
        whole = Payload("latents", int(match[2]), int(match[3])) if match[1] else Payload("encoded", int(match[5]))
        return Piece(whole)
    if match := _PIECE.fullmatch(name):
        step = None if match[1] is None or match[3] == "c" else int(match[3][1:])
        payload = Payload("kv", int(match[2]), step) if match[1] else Payload("context", int(match[5]))
        return Piece(payload, (int(match[6]), int(match[7])), (int(match[8]), int(match[9])))
    return None
