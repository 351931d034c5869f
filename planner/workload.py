"""What is asked of the cluster: how long a clip."""

from __future__ import annotations

from pydantic import Field

from planner.value import Value

MAX_BLOCKS = 10_000


class Workload(Value):
    """One clip of one prompt: `blocks` blocks, decoded to pixels or left as latents."""

    blocks: int = Field(ge=1, le=MAX_BLOCKS)
    decode: bool = True
