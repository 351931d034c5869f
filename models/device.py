"""From the host to a device without holding up what is under way there."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on a device. What comes from the host to CUDA joins the current stream and nobody waits for it: it goes
    through pinned memory, which torch keeps until the copy is done.
    """
    if torch.device(device).type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
