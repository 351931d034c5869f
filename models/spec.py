"""What a block-causal video model is, as numbers: enough to plan for it without its weights.

Closed forms only; nothing here imports torch. FLOPs count a multiply-add as two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from models.vae_spec import VaeSpec


class ModelSpec(BaseModel):
    """One checkpoint's shapes, sampler and context. Frames are latent frames unless a name says pixel.

    Raises pydantic.ValidationError naming the field where the shapes contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    source: str

    layers: PositiveInt
    heads: PositiveInt
    head_dim: PositiveInt
    ffn_dim: PositiveInt
    text_length: PositiveInt
    text_dim: PositiveInt
    freq_dim: PositiveInt = 256

    latent_channels: PositiveInt
    latent_height: PositiveInt
    latent_width: PositiveInt
    patch: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2)
    vae_stride: tuple[PositiveInt, PositiveInt, PositiveInt] = (4, 8, 8)
    vae: VaeSpec

    frames_per_block: PositiveInt
    window: PositiveInt = Field(description="frames a pass reads at most: sink, earlier blocks and its own")
    sink: int = Field(ge=0, description="frames at the stream's start that never leave the window")
    relative_sink: bool = Field(default=False, description="rotate the sink to sit just before the window")

    timesteps: tuple[float, ...] = Field(min_length=1, description="nominal, of 1000, noisiest first")
    shift: float = Field(gt=0, default=5.0)
    warp: bool = Field(default=True, description="map the nominal timesteps through the shifted schedule")
    clean_pass: bool = True
    first_block_frames: PositiveInt | None = Field(default=None, description="of block 0, where it has another size")
    first_block_steps: PositiveInt | None = Field(default=None, description="of block 0, where it takes other steps")
    context_timestep: float = Field(ge=0, le=1000, default=0.0)
    tolerates: tuple[str, ...] = Field(min_length=1, description="patterns this checkpoint is known to bear")

    text_encoder_parameters: int = Field(ge=0, default=0, description="0: the prompt's embedding costs nothing")
    frame_rate: float = Field(gt=0, default=16.0, description="pixel frames a second when the video is played")
    weight_bytes_per_parameter: PositiveInt = 2
    activation_bytes_per_number: PositiveInt = 2

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.patch[0] != 1:
            raise ValueError("patch: a temporal patch other than 1 is not supported")
        if self.latent_height % self.patch[1] or self.latent_width % self.patch[2]:
            raise ValueError(f"patch: {self.patch[1:]} does not divide {self.latent_height}x{self.latent_width}")
        if self.head_dim % 2:
            raise ValueError("head_dim: must be even, as rotary embedding turns pairs")
        if self.vae.latent_channels != self.latent_channels or self.vae.stride != self.vae_stride:
            raise ValueError(
                f"vae: makes {self.vae.latent_channels} channels at stride {self.vae.stride}, "
                f"the model has {self.latent_channels} at {self.vae_stride}"
            )
        if self.window % self.frames_per_block or self.sink % self.frames_per_block:
            raise ValueError(f"window, sink: must be whole blocks of {self.frames_per_block} frames")
        if self.window < self.sink + self.frames_per_block:
            raise ValueError("window: too small for the sink and the block itself")
        if self.first_block_steps is not None and self.first_block_steps < self.steps:
            raise ValueError(f"first_block_steps: the first block takes at least the others' {self.steps} steps")
        falling = all(a > b for a, b in zip(self.timesteps, self.timesteps[1:], strict=False))
        if not falling or not 0 < self.timesteps[-1] <= self.timesteps[0] <= 1000:
            raise ValueError("timesteps: must fall strictly within 1000..0")
        return self

    # -- sampler ---------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Denoise steps of a block, n."""
        return len(self.timesteps)

    @property
    def passes(self) -> int:
        """Passes of a block whose K/V later blocks read: n denoise steps, plus the clean pass if there is one."""
        return self.steps + self.clean_pass

    def block_steps(self, block: int) -> int:
        """Denoise steps of one block."""
        return self.first_block_steps if block == 0 and self.first_block_steps else self.steps

    def block_frames(self, block: int) -> int:
        """Latent frames of one block."""
        return self.first_block_frames if block == 0 and self.first_block_frames else self.frames_per_block

    def stage_at(self, block: int, level: int) -> int:
        """The stage of a block that makes a noise level: the block's last stages are the levels all blocks share."""
        return max(0, level + self.block_steps(block) - self.steps)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise share of each denoise step's input, 0..1 (flow matching: x = (1 - sigma) x0 + sigma noise)."""
        return self._warped(self.timesteps)

    def block_sigmas(self, block: int) -> tuple[float, ...]:
        """`sigmas` of one block; a first block that takes other steps spaces them evenly over the schedule."""
        steps = self.block_steps(block)
        if steps == self.steps:
            return self.sigmas
        return self._warped([1000 * (steps - step) / steps for step in range(steps)])

    def timestep(self, block: int, stage: int) -> float:
        """What a pass is told of its input's noise, 0..1000; the stage after the last step is the clean pass."""
        sigmas = self.block_sigmas(block)
        return 1000 * sigmas[stage] if stage < len(sigmas) else self.context_timestep

    def _warped(self, timesteps: Sequence[float]) -> tuple[float, ...]:
        nominal = [t / 1000 for t in timesteps]
        if not self.warp:
            return tuple(nominal)
        return tuple(self.shift * s / (1 + (self.shift - 1) * s) for s in nominal)

    def forward_count(self, blocks: int, cache_passes: int | None = None) -> int:
        """Forwards of a clip: every block's denoise steps, and cache passes for all blocks but the last.

        `cache_passes` per block defaults to the spec's clean pass (HiAR runs one per step).
        """
        cached = int(self.clean_pass) if cache_passes is None else cache_passes
        steps = sum(self.block_steps(block) for block in range(min(blocks, 1))) + max(0, blocks - 1) * self.steps
        return steps + max(0, blocks - 1) * cached

    # -- shapes ----------------------------------------------------------------------------------

    @property
    def dim(self) -> int:
        return self.heads * self.head_dim

    @property
    def pixel_height(self) -> int:
        return self.latent_height * self.vae_stride[1]

    @property
    def pixel_width(self) -> int:
        return self.latent_width * self.vae_stride[2]

    @property
    def tokens_per_frame(self) -> int:
        return (self.latent_height // self.patch[1]) * (self.latent_width // self.patch[2])

    @property
    def tokens_per_block(self) -> int:
        return self.tokens_per_frame * self.frames_per_block

    def tokens_of(self, block: int) -> int:
        """Tokens of one block."""
        return self.tokens_per_frame * self.block_frames(block)

    def pixel_frames(self, block: int) -> int:
        """Pixel frames that decoding one block yields; a stream's very first latent frame decodes to one."""
        frames = self.block_frames(block) * self.vae_stride[0]
        return frames - (self.vae_stride[0] - 1) if block == 0 else frames

    def start_frame(self, block: int) -> int:
        """A block's first latent frame in the stream."""
        return self.block_frames(0) + (block - 1) * self.frames_per_block if block else 0

    @property
    def window_blocks(self) -> int:
        """Blocks that a pass reads at most, the sink's and its own among them."""
        return self.window // self.frames_per_block

    @property
    def sink_blocks(self) -> int:
        return self.sink // self.frames_per_block

    def context_blocks(self, block: int) -> tuple[int, ...]:
        """Earlier blocks whose K/V a pass of `block` reads, oldest first: the sink, then the sliding window."""
        sink = self.sink_blocks
        first = max(sink, block - (self.window_blocks - sink - 1))
        return tuple(range(min(sink, block))) + tuple(range(first, block))

    def ring_place(self, block: int) -> int:
        """A block's place in a ring as long as the window: the sink keeps its own, the others take turns."""
        sink = self.sink_blocks
        return block if block < sink else sink + (block - sink) % (self.window_blocks - sink)

    def key_order(self, block: int, newer: Sequence[int] = ()) -> tuple[int, ...]:
        """The blocks that a pass attends to, its own among them, in the order of the keys: by place in the ring.

        So a window that slides stays where it lies. Newer blocks, which joint patterns read, come last.
        """
        return (*sorted((*self.context_blocks(block), block), key=self.ring_place), *sorted(newer))

    def sink_shift(self, block: int) -> int:
        """Frames by which the sink's keys move so that they sit just before the window `block` slides over."""
        if not (self.relative_sink and self.sink) or block < self.sink_blocks:
            return 0
        sliding = [b for b in self.context_blocks(block) if b >= self.sink_blocks]
        return self.start_frame(sliding[0] if sliding else block) - self.start_frame(self.sink_blocks)

    # -- cost ------------------------------------------------------------------------------------

    @property
    def parameters(self) -> int:
        """Weights of the transformer (text encoder and VAE not counted)."""
        d = self.dim
        patch_numbers = self.latent_channels * math.prod(self.patch)
        attention = 4 * (d * d + d) + 2 * d
        layer = 2 * attention + 2 * d * self.ffn_dim + self.ffn_dim + d + 2 * d + 6 * d
        embed = (patch_numbers + 1) * d + (self.text_dim + 1) * d + (d + 1) * d
        time = (self.freq_dim + 1) * d + (d + 1) * d + (d + 1) * 6 * d
        return self.layers * layer + embed + time + (d + 1) * patch_numbers + 2 * d

    @property
    def weight_bytes(self) -> int:
        return self.parameters * self.weight_bytes_per_parameter

    @property
    def kv_bytes_per_frame(self) -> int:
        """K and V of one latent frame over all layers: tokens x dim x 2 tensors x bytes x layers."""
        return self.tokens_per_frame * self.dim * 2 * self.activation_bytes_per_number * self.layers

    @property
    def kv_bytes_per_block(self) -> int:
        return self.kv_bytes_per_frame * self.frames_per_block

    @property
    def latent_bytes_per_frame(self) -> int:
        """A latent frame as it travels between devices, in float32 whatever the model computes in."""
        return 4 * self.latent_channels * self.latent_height * self.latent_width

    @property
    def latent_bytes_per_block(self) -> int:
        return self.latent_bytes_per_frame * self.frames_per_block

    @property
    def activation_bytes(self) -> int:
        """Working memory of one pass: the widest layer's inputs and outputs, as a rough upper estimate."""
        widest = max(self.ffn_dim, 4 * self.dim) + 4 * self.dim
        return self.tokens_per_block * widest * 4

    def decode_flops(self, block: int) -> int:
        """FLOPs of decoding one block; the stream's first is cheaper by the frames it lacks."""
        return self.vae.decode_flops(self.block_frames(block), self.latent_height, self.latent_width, first=block == 0)

    @property
    def decoder_weight_bytes(self) -> int:
        return self.vae.decoder_parameters * self.weight_bytes_per_parameter

    @property
    def text_flops(self) -> int:
        """FLOPs of encoding one prompt: two per weight and token."""
        return 2 * self.text_encoder_parameters * self.text_length

    @property
    def text_encoder_bytes(self) -> int:
        return self.text_encoder_parameters * self.weight_bytes_per_parameter

    def pass_flops(self, context_blocks: int) -> int:
        """FLOPs of one forward of one block that reads `context_blocks` earlier blocks besides itself."""
        return self.forward_flops(self.frames_per_block, (context_blocks + 1) * self.frames_per_block)

    def forward_flops(self, frames: int, frames_read: int) -> int:
        """FLOPs of one forward of `frames` latent frames that attend to `frames_read`, their own among them."""
        n, d = self.tokens_per_frame * frames, self.dim
        keys = self.tokens_per_frame * frames_read
        self_attention = 2 * n * 4 * d * d + 4 * n * keys * d
        # K/V of the prompt are computed once per prompt, so only queries and outputs count here.
        cross_attention = 2 * n * 2 * d * d + 4 * n * self.text_length * d
        ffn = 4 * n * d * self.ffn_dim
        patch = 4 * n * d * self.latent_channels * math.prod(self.patch)
        return self.layers * (self_attention + cross_attention + ffn) + patch
