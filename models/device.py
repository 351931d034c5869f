"""From the host to a device without holding up what is under way there."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor's copy on a device, or itself if it lies there. From the host to CUDA the copy joins the current stream
    and nobody waits for it: it goes through pinned memory, which torch keeps until the copy is done.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def pin_ahead(like: Tensor, count: int, device: torch.device | str) -> None:
    """Has torch keep pinned memory for so many tensors on their way: to take it first waits for the whole device."""
    if torch.device(device).type == "cuda":
        _ = [torch.empty_like(like, device="cpu", pin_memory=True) for _ in range(count)]
