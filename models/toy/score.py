"""Scores the toy against the truth its prompts pin down, on scenes training never saw.

    python -m models.toy.score --prompts 200 --blocks 21 --offsets 5 4 3 2 1

A frame counts as present if the shape's pixels are there in the right colour and come closest to the right shape's
drawing; its centre error is the distance of the pixels' centroid from the true frame's, in pixels.
Shape suffixes: F pixel frames, H, W pixels.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from models.generate import generate
from models.loaded import LoadedModel
from models.toy.grammar import COLORS, SHAPES, SIDE, Scene, scenes
from models.toy.model import embed_scene, load_toy
from models.toy.render import BACKGROUND, render, shape_mask
from models.vae import decode_stream

NEAR = 0.05 * SIDE  # pixels: 5 % of the frame's width
REPORTED_BLOCKS = (7, 21)


class FrameScores(NamedTuple):
    """Per pixel frame of one clip."""

    present_F: Tensor  # bool
    error_F: Tensor  # pixels; infinite where nothing was drawn


class Row(NamedTuple):
    """One line of the table: shares over all frames of all clips."""

    offset: int
    blocks: int
    present: float
    near: float
    median_error: float


def score_clip(scene: Scene, video_FHWC: Tensor) -> FrameScores:
    """Scores a uint8 video [F, H, W, 3] against the scene's true clip."""
    truth_FHWC = ((render(scene, len(video_FHWC)).permute(1, 2, 3, 0) + 1) * 127.5).round()
    area_F, centroid_F2 = _blob(video_FHWC)
    true_area_F, true_centroid_F2 = _blob(truth_FHWC)
    error_F = (centroid_F2 - true_centroid_F2).norm(dim=1).nan_to_num(float("inf"))
    drawn_F = area_F > 0.4 * true_area_F
    right_F = (_color(video_FHWC) == list(COLORS).index(scene.color)) & (
        _shape(video_FHWC, scene.color, centroid_F2) == SHAPES.index(scene.shape)
    )
    return FrameScores(drawn_F & right_F, error_F)


def score_scene(index: int, *, seed: int, blocks: int, offset: int) -> FrameScores:
    """Generates and scores the index-th held-out scene."""
    torch.set_num_threads(1)
    model, scene = _toy(), _held_out()[index]
    text = model.wan.encode_text(embed_scene(scene))
    latents = generate(model.wan, text, blocks=blocks, seed=seed + index, offset=offset)
    return score_clip(scene, decode_all(model, latents))


def decode_all(model: LoadedModel, latents: Sequence[Tensor]) -> Tensor:
    """A stream's blocks decoded in order, [F, H, W, 3] uint8."""
    assert model.vae is not None
    return decode_stream(model.vae, latents)


def table(prompts: int, blocks: int, offsets: Sequence[int], seed: int, workers: int) -> list[Row]:
    """One row per offset and clip length; a shorter clip is the longer one's beginning, as nothing reads ahead."""
    spec = load_toy().spec
    rows = []
    with ProcessPoolExecutor(workers) as pool:
        for offset in offsets:
            job = partial(score_scene, seed=seed, blocks=blocks, offset=offset)
            clips = list(pool.map(job, range(prompts)))
            for length in sorted({min(blocks, reported) for reported in REPORTED_BLOCKS}):
                frames = sum(spec.pixel_frames(block) for block in range(length))
                rows.append(_row(offset, length, clips, frames))
    return rows


def _row(offset: int, blocks: int, clips: Sequence[FrameScores], frames: int) -> Row:
    present = torch.cat([clip.present_F[:frames] for clip in clips]).float().mean().item()
    errors = torch.cat([clip.error_F[:frames] for clip in clips])
    return Row(offset, blocks, present, (errors <= NEAR).float().mean().item(), statistics.median(errors.tolist()))


def _blob(video_FHWC: Tensor) -> tuple[Tensor, Tensor]:
    """Area in pixels and centroid (x, y) of what stands out from the background, per frame."""
    mask_FHW = _foreground(video_FHWC)
    area_F = mask_FHW.sum((1, 2))
    axis = torch.arange(SIDE, dtype=torch.float32) + 0.5
    x_F = (mask_FHW * axis[None, None, :]).sum((1, 2)) / area_F
    y_F = (mask_FHW * axis[None, :, None]).sum((1, 2)) / area_F
    return area_F, torch.stack([x_F, y_F], 1)


def _foreground(video_FHWC: Tensor) -> Tensor:
    distance = (video_FHWC.float() - torch.tensor(BACKGROUND, dtype=torch.float32)).abs().amax(-1)
    return (distance > 60).float()


def _color(video_FHWC: Tensor) -> Tensor:
    """Index of the palette colour nearest to the mean foreground pixel."""
    mask_FHW1 = _foreground(video_FHWC)[..., None]
    mean_F3 = (video_FHWC.float() * mask_FHW1).sum((1, 2)) / mask_FHW1.sum((1, 2)).clamp(min=1)
    return torch.cdist(mean_F3, torch.tensor(list(COLORS.values()), dtype=torch.float32)).argmin(1)


def _shape(video_FHWC: Tensor, color: str, centroid_F2: Tensor) -> Tensor:
    """Index of the shape whose drawing at the same centroid comes closest (least squares of the pixels' coverage)."""
    back_C = torch.tensor(BACKGROUND, dtype=torch.float32)
    paint_C = torch.tensor(COLORS[color], dtype=torch.float32) - back_C
    coverage_FHW = (((video_FHWC.float() - back_C) @ paint_C) / paint_C.square().sum()).clamp(0, 1)
    axis = torch.arange(SIDE, dtype=torch.float32) + 0.5
    distances = []
    for shape in SHAPES:
        drawn = shape_mask(shape, torch.full((1, 2), SIDE / 2))
        weight = drawn / drawn.sum()
        offset = torch.stack([(weight * axis).sum(), (weight * axis[:, None]).sum()]) - SIDE / 2
        template_FHW = shape_mask(shape, centroid_F2.nan_to_num(0) - offset)
        distances.append((coverage_FHW - template_FHW).square().sum((1, 2)))
    return torch.stack(distances).argmin(0)


@lru_cache
def _toy() -> LoadedModel:
    return load_toy()


@lru_cache
def _held_out() -> list[Scene]:
    chosen = [scene for scene in scenes() if scene.held_out]
    random.Random("score").shuffle(chosen)
    return chosen


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description="Score the toy on held-out prompts.")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=21)
    parser.add_argument("--offsets", type=int, nargs="+", default=[5, 4, 3, 2, 1])
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if not 1 <= args.prompts <= len(_held_out()):
        parser.error(f"--prompts must be 1..{len(_held_out())}")
    started = time.monotonic()
    print("| offset | blocks | colour and shape right | centre within 5 % | median centre error, px |")
    print("| --- | --- | --- | --- | --- |")
    for row in table(args.prompts, args.blocks, args.offsets, args.seed, args.workers):
        print(f"| {row.offset} | {row.blocks} | {row.present:.1%} | {row.near:.1%} | {row.median_error:.2f} |")
    print(f"\n{args.prompts} held-out prompts, seeds from {args.seed}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
