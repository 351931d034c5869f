"""What is asked of the cluster: how long a clip, from how many prompts."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from planner.value import Value

MAX_BLOCKS = 10**7
MAX_SWITCHES = 100
MAX_AT_US = 10**13


class PromptSwitch(Value):
    """Another prompt from a time on, counted from the clip's start: it is read from the first tick that lies after it.

    `recache`: a sequential pattern first makes the K/V of the context anew, with the new prompt (as LongLive does);
    cascades never do, since blocks in flight take the prompt in their next tick.
    """

    at_us: int = Field(ge=0, le=MAX_AT_US)
    recache: bool = False


class Workload(Value):
    """One clip: `blocks` blocks, decoded to pixels or left as latents.

    `encode_text`: encoding the prompts is part of the clip; else their embeddings are there before it starts.
    """

    blocks: int = Field(ge=1, le=MAX_BLOCKS)
    decode: bool = True
    encode_text: bool = False
    switches: tuple[PromptSwitch, ...] = Field(default=(), max_length=MAX_SWITCHES)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [switch.at_us for switch in self.switches]
        if times != sorted(set(times)):
            raise ValueError("switches: must be in order of time, no two at once")
        return self
