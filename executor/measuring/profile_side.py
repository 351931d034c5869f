"""What runs beside a model's passes, to be timed: decoding, encoding and reading prompts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch

from executor.measuring.profile_passes import Call
from executor.measuring.rounds import Point
from models.codec import Codec
from models.errors import ModelError
from models.loaded import LoadedModel
from models.sampler import block_noise
from models.spec import ModelSpec


def side_points(model: LoadedModel, prompt: str) -> Iterator[Point]:
    """`decode_first` and `decode` of a stream's first block and of others, `encode` where the codec can, and `text`
    where there is an encoder to read prompts.
    """
    if model.vae is not None:
        yield from _decodes(model.spec, model.vae)
        yield from _encodes(model.spec, model.vae)
    if _reads_text(model):
        # A prompt that was read before is only looked up.
        numbers = count()
        yield Point("text", lambda: lambda: model.embed_prompt(f"{prompt} {next(numbers)}"))


def _decodes(spec: ModelSpec, codec: Codec) -> Iterator[Point]:
    beginner, streaming = codec.decoder(), codec.decoder()
    first, later = (block_noise(spec, 0, block, 0, codec.device) for block in (0, 1))
    begun: list[bool] = []

    def begin() -> Call:
        beginner.reset()
        return lambda: beginner.decode(first)

    def go_on() -> Call:
        if not begun:
            streaming.reset()
            streaming.decode(first)
            begun.append(True)
        return lambda: streaming.decode(later)

    def drop() -> None:
        begun.clear()
        streaming.reset()

    yield Point("decode_first", begin, beginner.reset)
    yield Point("decode", go_on, drop)


def _encodes(spec: ModelSpec, codec: Codec) -> Iterator[Point]:
    try:
        encoder = codec.encoder()
    except ModelError:
        return
    shape = spec.pixel_height, spec.pixel_width, 3
    begun: list[bool] = []

    def frames(block: int) -> torch.Tensor:
        return torch.randint(256, (spec.pixel_frames(block), *shape), dtype=torch.uint8).to(codec.device)

    def go_on() -> Call:
        if not begun:
            encoder.reset()
            encoder.encode(frames(0))
            begun.append(True)
        block = frames(1)
        return lambda: encoder.encode(block)

    def drop() -> None:
        begun.clear()
        encoder.reset()

    yield Point("encode", go_on, drop)


def _reads_text(model: LoadedModel) -> bool:
    from models.text import WanText

    return isinstance(model.embed_prompt, WanText)
