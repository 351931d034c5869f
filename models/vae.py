"""Streaming decode and encode: diffusers' `AutoencoderKLWan` block by block, its state kept from one to the next.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels; B is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from torch import Tensor

from models.codec import Codec, State, StreamDecoder, chunk_sizes, fitting, require_size, to_bytes
from models.errors import ModelError

# What diffusers' decoder leaves where a temporal upsampling has seen nothing but the stream's first frame.
ONLY_FIRST = "Rep"


def skip_zero_taps(vae: AutoencoderKLWan) -> None:
    """Lets each 3x3x3 convolution whose taps on earlier frames are all zero read the present frame only.

    Same results, a third of the work; a convolution that does read earlier frames is left alone.
    """
    for module in vae.modules():
        spatiotemporal = isinstance(module, WanCausalConv3d) and module.kernel_size == (3, 3, 3)
        if spatiotemporal and not module.weight[:, :, :-1].any():
            module.forward = partial(_present_tap, module)


def _present_tap(conv: WanCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:  # noqa: ARG001
    return F.conv3d(F.pad(x, conv._padding[:4]), conv.weight[:, :, -1:], conv.bias)


class WanCodec:
    """`AutoencoderKLWan` as a codec.

    `frames_at_once` latent frames run together. At 1 that is diffusers' own chunking: float32 on the CPU equals its
    `decode` and `encode` of the whole clip bit for bit, however the clip is cut into blocks. More (None: a block's
    all) is faster where one frame leaves the device idle, and then equal within rounding.
    """

    def __init__(self, vae: AutoencoderKLWan, *, frames_at_once: int | None = 1) -> None:
        self.vae = vae
        self.frames_at_once = frames_at_once

    @property
    def device(self) -> torch.device:
        return torch.device(self.vae.device)

    def decoder(self) -> WanDecoder:
        return WanDecoder(self.vae, self.frames_at_once)

    def encoder(self) -> WanEncoder:
        return WanEncoder(self.vae, self.frames_at_once)

    def to(self, device: torch.device) -> Self:
        self.vae.to(device)
        return self


class _Half:
    """One half of the autoencoder with what its causal convolutions keep between chunks."""

    def __init__(self, vae: AutoencoderKLWan, frames_at_once: int | None, half: str) -> None:
        self._vae = vae
        self._frames_at_once = frames_at_once
        config = vae.config
        self._patch: int = config.patch_size or 1
        self._mean = torch.tensor(config.latents_mean, device=vae.device).view(-1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std, device=vae.device).view(-1, 1, 1, 1)
        self._memory: list[Tensor | str | None] = [None] * vae._cached_conv_counts[half]

    def reset(self) -> None:
        self._memory = [None] * len(self._memory)

    def state(self) -> State:
        # diffusers replaces what it keeps and never writes into it, so the tensors may be handed out as they are.
        kept = {str(cell): value for cell, value in enumerate(self._memory) if value is not None}
        return {cell: torch.empty(0) if isinstance(value, str) else value for cell, value in kept.items()}

    def restore(self, state: State) -> None:
        kept = fitting(state, self._forms() if state else (), self._vae.dtype, self._vae.device)
        values = [kept.get(str(cell)) for cell in range(len(self._memory))]
        self._memory = [value if value is None or value.numel() else ONLY_FIRST for value in values]

    def _forms(self) -> list[State]:
        """What a stream's first latent frame leaves, and what any later one does: of one position each."""
        raise NotImplementedError

    def _require_size(self, frames_BCTyx: Tensor) -> None:
        """Raises ModelError if frames as the first convolution reads them are not as large as those before."""
        before = self._memory[0]
        if isinstance(before, Tensor):
            require_size(before, frames_BCTyx)

    @property
    def _fresh(self) -> bool:
        return self._memory[0] is None


class WanDecoder(_Half):
    """A stream's decoder; its first latent frame gives one pixel frame, others as many as the temporal stride."""

    def __init__(self, vae: AutoencoderKLWan, frames_at_once: int | None) -> None:
        super().__init__(vae, frames_at_once, "decoder")

    @torch.no_grad()
    def decode(self, latents_CThw: Tensor) -> Tensor:
        """Pixel frames [F, H, W, 3] uint8 of the next block. Nothing here waits for the device."""
        scaled_CThw = latents_CThw.to(self._vae.device) * self._std + self._mean
        chunks = chunk_sizes(latents_CThw.shape[1], self._frames_at_once, first_alone=self._fresh)
        return torch.cat([self._run(chunk[None]) for chunk in scaled_CThw.to(self._vae.dtype).split(chunks, dim=1)])

    def _run(self, latents_BCThw: Tensor) -> Tensor:
        hidden = self._vae.post_quant_conv(latents_BCThw)
        self._require_size(hidden)
        folded = self._vae.decoder(hidden, feat_cache=self._memory, feat_idx=[0], first_chunk=self._fresh)
        video_BCFHW = unpatchify(folded, patch_size=self._patch)
        return to_bytes(video_BCFHW[0].permute(1, 2, 3, 0), low=-1)

    def _forms(self) -> list[State]:
        least, frame = WanDecoder(self._vae, 1), torch.zeros(len(self._mean), 1, 1, 1, device=self._vae.device)
        forms = []
        for _ in range(2):
            least.decode(frame)
            forms.append(least.state())
        return forms


class WanEncoder(_Half):
    """A stream's encoder: the mean of the latents' distribution, as a sampler would begin from."""

    def __init__(self, vae: AutoencoderKLWan, frames_at_once: int | None) -> None:
        super().__init__(vae, frames_at_once, "encoder")
        self._stride: int = 2 ** sum(vae.config.temperal_downsample)

    @torch.no_grad()
    def encode(self, frames_FHWC: Tensor) -> Tensor:
        """Normalised clean latents [C, T, h, w] float32 of the next block."""
        lead, stride = int(self._fresh), self._stride
        later, odd = divmod(len(frames_FHWC) - lead, stride)
        if odd or later + lead < 1:
            raise ModelError(
                f"a block of {len(frames_FHWC)} frames: a stream's first has 1 + a multiple of {stride}, "
                f"every later one a multiple of {stride}"
            )
        sizes = chunk_sizes(later, self._frames_at_once, first_alone=False)
        chunks = [1] * lead + [stride * latents for latents in sizes]
        video_CFHW = frames_FHWC.to(self._vae.device).permute(3, 0, 1, 2).float() / 127.5 - 1
        means = [self._run(chunk[None]) for chunk in video_CFHW.to(self._vae.dtype).split(chunks, dim=1)]
        return (torch.cat(means, dim=2)[0].float() - self._mean) / self._std

    def _run(self, video_BCFHW: Tensor) -> Tensor:
        folded = patchify(video_BCFHW, patch_size=self._patch)
        self._require_size(folded)
        hidden = self._vae.encoder(folded, feat_cache=self._memory, feat_idx=[0])
        mean: Tensor = self._vae.quant_conv(hidden).chunk(2, dim=1)[0]
        return mean

    def _forms(self) -> list[State]:
        least, side = WanEncoder(self._vae, 1), self._patch * 2 ** (len(self._vae.config.dim_mult) - 1)
        frames = torch.zeros(1 + self._stride, side, side, 3, dtype=torch.uint8, device=self._vae.device)
        forms = []
        for block in (frames[:1], frames[1:]):
            least.encode(block)
            forms.append(least.state())
        return forms


class StreamingDecoder:
    """The decoder of a fresh stream, of a codec or of a bare autoencoder."""

    def __init__(self, vae: Codec | AutoencoderKLWan) -> None:
        codec: Codec = WanCodec(vae) if isinstance(vae, AutoencoderKLWan) else vae
        self._inner: StreamDecoder = codec.decoder()

    def reset(self) -> None:
        self._inner.reset()

    def decode(self, latents_CThw: Tensor) -> Tensor:
        """As `StreamDecoder.decode`."""
        return self._inner.decode(latents_CThw)


def decode_stream(vae: Codec | AutoencoderKLWan, latents: Sequence[Tensor]) -> Tensor:
    """A whole stream's blocks decoded in order, [F, H, W, 3] uint8."""
    decoder = StreamingDecoder(vae)
    return torch.cat([decoder.decode(block) for block in latents])
