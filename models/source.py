"""Where a model's parts lie, and how they become a `LoadedModel`: on each rank, on its device, as far as it needs them.

A Wan diffusers folder holds all parts. A weight file holds the transformer only; the codec and the text side then come
from places of their own, such as any Wan 2.1 diffusers folder. The toy needs no place: it ships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from models.checkpoint import load_vae, load_wan
from models.codec import Codec
from models.errors import CheckpointError, PromptError
from models.folder import CONFIG
from models.loaded import LoadedModel
from models.spec import ModelSpec
from models.text import WanText
from models.tiny_decoder import load_tiny_decoder
from models.toy.model import embed_prompt, load_toy
from models.umt5 import ENCODER, TOKENIZER
from models.vae import WanCodec

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TOY, VAE = "toy", "vae"

Embed = Callable[[str], Tensor]


class Needs(NamedTuple):
    """What a rank runs. `layers` are the transformer's, all if None and none if empty; `text`: it embeds prompts."""

    layers: range | None = None
    codec: bool = True
    text: bool = True


ALL = Needs()


class ModelSource(NamedTuple):
    """The parts of a model by their places. Nothing is read before `load`, so other processes take it as it is.

    `checkpoint`: a weight file, a table of shards or a folder; None is the toy as it ships. `vae`: an
    `AutoencoderKLWan` folder, or a tiny decoder's file. `text_encoder`: a folder with text_encoder/ and tokenizer/.
    Both are found in the checkpoint where that is a whole diffusers folder. `lora`, `lora_alpha`, `ema`: as
    `open_model`. `dtype`: a name in DTYPES; None is float32 if the spec's weights take four bytes, else bfloat16.
    """

    spec: ModelSpec
    checkpoint: Path | None = None
    vae: Path | None = None
    text_encoder: Path | None = None
    lora: Path | None = None
    lora_alpha: float | None = None
    ema: bool = True
    dtype: str | None = None

    def check(self, needs: Needs = ALL) -> None:
        """Finds each part that is needed, without reading weights; worth calling before ranks start.

        Raises CheckpointError that says which part is nowhere, and how to name its place.
        """
        if self.checkpoint is None:
            self._require_toy()
            return
        if not self.checkpoint.exists():
            raise CheckpointError(f"{self.checkpoint}: no such file or folder; name the weights with --checkpoint")
        if self.lora is not None and not self.lora.exists():
            raise CheckpointError(f"{self.lora}: no such file; name the LoRA's weight file with --lora")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise CheckpointError(f"dtype {self.dtype!r}: must be one of {', '.join(DTYPES)}")
        if needs.codec:
            self._vae_place()
        if needs.text and not self._is_toy:
            self._text_folder()

    def load(
        self,
        device: torch.device | str = "cpu",
        needs: Needs = ALL,
        *,
        embeds: Mapping[str, Tensor] | None = None,
    ) -> LoadedModel:
        """The parts that are needed, with their weights on a device.

        Layers that are not needed have shapes and no memory, so `LoadedModel.to` elsewhere would fail; without a codec
        `vae` is None. `embeds` are prompts embedded before (`embed`): then no text encoder is read.

        Raises CheckpointError for what is missing, damaged or does not belong together, and as `check`.
        """
        self.check(needs._replace(text=needs.text and embeds is None))
        device = torch.device(device)
        text = _known(embeds) if embeds is not None else self._text(device) if needs.text else _known({})
        if self.checkpoint is None:
            return load_toy().to(device)._replace(embed_prompt=text)
        wan = load_wan(
            self.checkpoint,
            self.spec,
            self.compute_dtype,
            lora=self.lora,
            lora_alpha=self.lora_alpha,
            ema=self.ema,
            device=device,
            layers=needs.layers,
        )
        return LoadedModel(self.spec, wan, self._codec(device) if needs.codec else None, text)

    def embed(self, prompts: Iterable[str], device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Text embeddings [L, text_dim] by prompt, on the CPU; the encoder's weights are gone afterwards.

        To be done once for all ranks: UMT5-XXL is larger than most of the models that read it. Raises PromptError,
        and CheckpointError as `load`.
        """
        text = self._text(torch.device(device))
        return {prompt: text(prompt) for prompt in prompts}

    # -- pieces ----------------------------------------------------------------------------------

    @property
    def _is_toy(self) -> bool:
        return self.spec.name == TOY

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type that weights are loaded in, and K/V has."""
        if self.dtype is not None:
            return DTYPES[self.dtype]
        return torch.float32 if self.spec.weight_bytes_per_parameter == 4 else torch.bfloat16

    def _require_toy(self) -> None:
        if not self._is_toy:
            raise CheckpointError(
                f"model {self.spec.name}: its weights do not ship; name them with --checkpoint: a weight file, or a "
                "diffusers folder"
            )
        given = [name for name in ("vae", "text_encoder", "lora", "dtype") if getattr(self, name) is not None]
        if given:
            raise CheckpointError(
                f"--{given[0].replace('_', '-')}: is for a checkpoint, and the toy as it ships has none"
            )

    def _vae_place(self) -> Path:
        place = self.vae or self.checkpoint
        if place is not None and (place / VAE / CONFIG).is_file():
            return place / VAE
        if self.vae is None:
            raise CheckpointError(
                f"{self.checkpoint}: holds the transformer only; add --vae PLACE (an AutoencoderKLWan folder, or a "
                "tiny decoder's file), or plan with --no-decode"
            )
        if not self.vae.exists():
            raise CheckpointError(f"{self.vae}: no such file or folder; name an AutoencoderKLWan folder with --vae")
        return self.vae

    def _codec(self, device: torch.device) -> Codec:
        place = self._vae_place()
        if not place.is_dir():
            return load_tiny_decoder(place, self.spec, self.compute_dtype).to(device)
        vae = load_vae(place, self.compute_dtype)
        _require_same_latents(vae, place, self.spec)
        return WanCodec(vae).to(device)

    def _text_folder(self) -> Path:
        given = self.text_encoder
        for place in (given, None if given is None else given.parent, None if given else self.checkpoint):
            if place is not None and (place / ENCODER).is_dir() and (place / TOKENIZER).is_dir():
                return place
        wanted = f"a Wan diffusers folder with {ENCODER}/ and {TOKENIZER}/"
        if given is None:
            raise CheckpointError(f"{self.checkpoint}: holds no text encoder; add --text-encoder FOLDER ({wanted})")
        raise CheckpointError(f"{given}: is no text encoder; expected {wanted}")

    def _text(self, device: torch.device) -> Embed:
        if self._is_toy:
            return embed_prompt
        self.check(Needs(codec=False))
        # Its weights go as soon as they have been used: they would lie beside the model's for the whole clip.
        return WanText(self._text_folder(), self.spec, device=device, keep="disk")


def _known(embeds: Mapping[str, Tensor]) -> Embed:
    def embed(prompt: str) -> Tensor:
        if prompt not in embeds:
            raise PromptError(
                f"prompt {prompt[:40]!r} was not embedded before the ranks were loaded; name it with the rest"
            )
        return embeds[prompt]

    return embed


def _require_same_latents(vae: AutoencoderKLWan, place: Path, spec: ModelSpec) -> None:
    config = vae.config
    across = 2 ** (len(config.dim_mult) - 1) * (config.patch_size or 1)
    made = config.z_dim, (2 ** sum(config.temperal_downsample), across, across)
    if made != (spec.latent_channels, spec.vae_stride):
        raise CheckpointError(
            f"{place}: decodes {made[0]} channels at stride {made[1]}, {spec.name} makes {spec.latent_channels} at "
            f"{spec.vae_stride}; name this model's own autoencoder"
        )
