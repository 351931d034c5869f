"""Streaming decode: diffusers' `AutoencoderKLWan` block by block, its state kept from one block to the next.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from torch import Tensor


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


class StreamingDecoder:
    """Decodes a stream's blocks in order; equal to decoding the whole clip at once."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self._vae = vae
        config = vae.config
        self._mean = torch.tensor(config.latents_mean, device=vae.device).view(-1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std, device=vae.device).view(-1, 1, 1, 1)
        self._memory: list[Tensor | str | None] = []
        self.reset()

    def reset(self) -> None:
        """Forgets the stream: the next block is a stream's first."""
        self._memory = [None] * self._vae._cached_conv_counts["decoder"]

    @torch.no_grad()
    def decode(self, latents_CThw: Tensor) -> Tensor:
        """Pixel frames [F, H, W, 3] uint8 of the next block; a stream's first latent frame gives one, others four."""
        latents = (latents_CThw.to(self._vae.device) * self._std + self._mean).to(self._vae.dtype)[None]
        hidden = self._vae.post_quant_conv(latents)
        if self._memory[0] is None:
            # The decoder treats a stream's first latent frame apart, so it goes alone.
            chunks = [self._run(hidden[:, :, :1], first=True)]
            if hidden.shape[2] > 1:
                chunks.append(self._run(hidden[:, :, 1:], first=False))
        else:
            chunks = [self._run(hidden, first=False)]
        video_CFHW = torch.cat(chunks, dim=2)[0].float().clamp(-1, 1)
        return ((video_CFHW + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).contiguous()

    def _run(self, hidden: Tensor, *, first: bool) -> Tensor:
        pixels = self._vae.decoder(hidden, feat_cache=self._memory, feat_idx=[0], first_chunk=first)
        patch = self._vae.config.patch_size
        return pixels if patch is None else unpatchify(pixels, patch_size=patch)


def decode_stream(vae: AutoencoderKLWan, latents: Sequence[Tensor]) -> Tensor:
    """A whole stream's blocks decoded in order, [F, H, W, 3] uint8."""
    decoder = StreamingDecoder(vae)
    return torch.cat([decoder.decode(block) for block in latents])
