"""What takes a clip's frames as blocks finish: a file, a pipe, a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

# Takes a block's number and its frames [F, H, W, 3] uint8; called once a block, in the stream's order.
FrameSink: TypeAlias = Callable[[int, Tensor], None]
