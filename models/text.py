"""Prompts as a Wan transformer reads them: UMT5's embeddings, zero past the prompt's end.

As diffusers' `WanPipeline` does it (0.42): the prompt's entities and white space are cleaned, its tokens padded to the
model's text length, and what the encoder makes of the padding is replaced by zeros.

Shape suffixes: B is 1, L tokens (the spec's text_length), K text_dim.
"""

from __future__ import annotations

import html
from collections import OrderedDict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from transformers import UMT5EncoderModel

from models.errors import CheckpointError, PromptError
from models.spec import ModelSpec
from models.umt5 import ENCODER, load_encoder, load_tokenizer, read_config

# Where the encoder's weights wait for the next new prompt: where they ran, in the CPU's memory, or on disk only.
Keep: TypeAlias = Literal["device", "host", "disk"]
REMEMBERED = 64  # prompts; 4 MB each at 512 tokens of 4096 numbers in bfloat16


class WanText:
    """Embeds prompts with the `text_encoder/` and `tokenizer/` of a Wan diffusers folder; made for `LoadedModel`.

    Checks the folder when built and reads the weights (11 GB in bfloat16 for UMT5-XXL) with the first new prompt.
    The last `remembered` prompts are answered without running anything. Safe to call from several threads.

    Raises CheckpointError if the folder lacks a part, or a part is damaged or of another model.
    """

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: torch.device | str = "cpu",
        keep: Keep = "device",
        remembered: int = REMEMBERED,
        truncate: bool = False,
    ) -> None:
        config = read_config(folder)
        if config.d_model != spec.text_dim:
            raise CheckpointError(f"{folder / ENCODER}: d_model is {config.d_model}, {spec.name} reads {spec.text_dim}")
        self._folder, self._config = folder, config
        self._tokenizer = load_tokenizer(folder, config)
        self._length = spec.text_length
        self._dtype, self._device = dtype, torch.device(device)
        self._keep, self._truncate, self._capacity = keep, truncate, max(1, remembered)
        self._encoder: UMT5EncoderModel | None = None
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def __call__(self, prompt: str) -> Tensor:
        """Text embeddings [L, K] of a prompt, on the CPU; not to be written to, as the next call may return them again.

        Raises PromptError if the prompt is no text, or longer than the model reads and `truncate` was not asked for.
        """
        cleaned = clean(prompt)
        with self._lock:
            if cleaned not in self._known:
                self._known[cleaned] = self._embed(cleaned)
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
            self._known.move_to_end(cleaned)
            return self._known[cleaned]

    def release(self) -> None:
        """Frees the encoder's weights; the next new prompt reads them again."""
        with self._lock:
            self._encoder = None

    @torch.no_grad()
    def _embed(self, cleaned: str) -> Tensor:
        tokens_BL, mask_BL = self._tokens(cleaned)
        encoder = self._encoder or load_encoder(self._folder, self._config, self._dtype)
        encoder.to(self._device)
        hidden_BLK = encoder(tokens_BL.to(self._device), mask_BL.to(self._device)).last_hidden_state
        self._encoder = None if self._keep == "disk" else encoder
        if self._keep == "host":
            encoder.to("cpu")
        # Chosen, not multiplied: whatever padding became, even NaN, is zero.
        return torch.where(mask_BL[0, :, None] > 0, hidden_BLK[0].cpu(), 0)

    def _tokens(self, cleaned: str) -> tuple[Tensor, Tensor]:
        """Token ids and mask of what is a token and not padding, both [B, L]."""
        read = self._tokenizer(cleaned, add_special_tokens=True)
        if len(read.input_ids) > self._length and not self._truncate:
            raise PromptError(
                f"the prompt has {len(read.input_ids)} tokens, the model reads {self._length}: shorten it "
                f"({cleaned[:40]!r}...)"
            )
        padded = self._tokenizer(
            [cleaned], padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
        )
        return padded.input_ids, padded.attention_mask


def clean(prompt: str) -> str:
    """A prompt with its HTML entities read and its white space made single; mojibake mended where ftfy is installed.

    Raises PromptError if it is not valid Unicode.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise PromptError(f"prompt {prompt!r} is not valid Unicode ({error.reason}); give it in UTF-8") from None
    if find_spec("ftfy") is not None:
        prompt = import_module("ftfy").fix_text(prompt)
    return " ".join(html.unescape(html.unescape(prompt)).split())
