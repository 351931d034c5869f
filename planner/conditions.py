"""`Conditions`: what the world does to a run that its plan does not know.

What each of them means exactly, whoever plays the plan (`planner.simulate` event by event, `planner.montecarlo` many
runs at once):

- **Times.** An action takes its planned time x the draws of its kind, its rank and its run x `Straggler.factor` of each
  that holds when it begins (from `from_us` to before `until_us`), rounded once to whole microseconds, at least one. A
  share of a gang is stretched for itself; a gang lasts as long as its slowest share. A transfer, or each layer of a
  stream, takes its planned time x a draw x `SlowLink.factor`.
- **Start.** `StartUp.ready_us` is when each rank takes its first action; the first action of each kind of work on a
  rank (equal cost-model keys are one kind) lasts `compile_us` longer, which no straggler stretches. Both are drawn
  with `spread`.
- **Outages.** While a rank is out, nothing begins on it, and what was under way is lost: a compute action that the
  outage cuts begins anew when it ends, with all its gang, and so does a transfer from or to the rank. Its memory is
  kept; whatever it takes to fill it again belongs to `back_us`. What ends at the moment an outage begins is not cut,
  nor is a pass that has done its own time and waits for a live stream's last layers: only its closing layer begins
  anew. Of a stream that is cut, all layers but the last begin anew together. Posts and frees of a rank that is out
  happen when it is back. An outage without an end leaves undone what needs the rank.
- **Viewer.** With `Player.queue_blocks` the action that finishes block b begins only once block b - `queue_blocks` is
  being shown, so a slow viewer holds the whole run back.
- **Links.** `turns` says who goes first where transfers share a lane. `planned`: the plan's order, and what stands
  behind an undone transfer is undone too. `ready`: who was ready first. A transfer that is cut keeps its turn. `fair`:
  nobody waits; n transfers on a lane get 1/n of its bandwidth each (of several lanes the fullest counts), latency
  takes none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from planner.profile import MAX_US
from planner.value import Document, Value

LONGEST_US = 10**13
SLOWEST = 1000.0


class Spread(Value):
    """A factor on a duration: log-normal of median 1 and a logarithm's standard deviation of `sigma`, or by quantiles.

    `quantiles` are the factor's values at equal steps of probability from 0 to 1, a line between two of them:
    `(0.9, 1.2)` is uniform. Without either, the factor is 1.
    """

    sigma: float = Field(ge=0, le=2, default=0.0)
    quantiles: tuple[float, ...] = Field(default=(), max_length=1001)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.quantiles and self.sigma:
            raise ValueError("give sigma or quantiles, not both")
        if len(self.quantiles) == 1:
            raise ValueError("quantiles: at least two, of probability 0 and 1")
        if any(not 0 < value <= SLOWEST for value in self.quantiles):
            raise ValueError(f"quantiles: factors on a time must be above 0 and at most {SLOWEST:.0f}")
        if list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("quantiles: must rise")
        return self

    @property
    def varies(self) -> bool:
        return bool(self.sigma or self.quantiles)


class Jitter(Value):
    """What makes times vary. `passes`, `side` (decode, encode, text, re-caching), `transfers`: each action by itself.
    `ranks`: a factor on all of a rank's compute for the whole run. `runs`: one on all compute of all ranks.
    """

    passes: Spread = Spread()
    side: Spread = Spread()
    transfers: Spread = Spread()
    ranks: Spread = Spread()
    runs: Spread = Spread()

    @classmethod
    def of(cls, sigma: float) -> Self:
        """Every action by itself, log-normal."""
        spread = Spread.from_data({"sigma": sigma}, "jitter")
        return cls(passes=spread, side=spread, transfers=spread)


class Straggler(Value):
    """A rank whose compute takes `factor` times as long if it begins from `from_us` to before `until_us`."""

    rank: int = Field(ge=0)
    factor: float = Field(gt=0, le=SLOWEST)
    from_us: int = Field(default=0, ge=0, le=LONGEST_US)
    until_us: int | None = Field(default=None, gt=0, le=LONGEST_US)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until_us is not None and self.until_us <= self.from_us:
            raise ValueError(f"until_us: must come after from_us ({self.from_us})")
        return self


class SlowLink(Value):
    """Transfers that take `factor` times as long: from `source`, to `target`; None stands for any rank."""

    factor: float = Field(gt=0, le=SLOWEST)
    source: int | None = Field(default=None, ge=0)
    target: int | None = Field(default=None, ge=0)


class Outage(Value):
    """A rank that is gone from `at_us` until `back_us`; None: for good."""

    rank: int = Field(ge=0)
    at_us: int = Field(ge=0, le=LONGEST_US)
    back_us: int | None = Field(default=None, gt=0, le=LONGEST_US)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.back_us is not None and self.back_us <= self.at_us:
            raise ValueError(f"back_us: must come after at_us ({self.at_us})")
        return self


class StartUp(Value):
    """What a run needs before it is warm, microseconds."""

    ready_us: int = Field(default=0, ge=0, le=MAX_US)
    compile_us: int = Field(default=0, ge=0, le=MAX_US)
    spread: Spread = Spread()


class Player(Value):
    """Who watches, at the model's frame rate: starts once `start_blocks` blocks are finished, and stops for those that
    come late. `queue_blocks`: how many finished blocks may wait to be played; None, any number.
    """

    start_blocks: int = Field(default=1, ge=1, le=10**6)
    queue_blocks: int | None = Field(default=None, ge=1, le=10**6)

    @model_validator(mode="after")
    def _queue_holds_the_start(self) -> Self:
        if self.queue_blocks is not None and self.queue_blocks < self.start_blocks:
            raise ValueError(f"queue_blocks: must hold the {self.start_blocks} blocks that the player starts with")
        return self


class Conditions(Document):
    """All that happens to a run besides its plan; as given by default, nothing. Same seed, same run."""

    schema_name: Literal["blockcascade.conditions/1"] = "blockcascade.conditions/1"
    seed: int = Field(default=0, ge=0, lt=2**63)
    jitter: Jitter = Jitter()
    stragglers: tuple[Straggler, ...] = Field(default=(), max_length=1000)
    slow_links: tuple[SlowLink, ...] = Field(default=(), max_length=1000)
    outages: tuple[Outage, ...] = Field(default=(), max_length=1000)
    start_up: StartUp = StartUp()
    player: Player = Player()
    turns: Literal["planned", "ready", "fair"] = "planned"
    host_slots: int | None = Field(default=None, ge=1, description="posts that a node's ranks can make at once")

    @model_validator(mode="after")
    def _outages_apart(self) -> Self:
        for rank in {outage.rank for outage in self.outages}:
            windows = sorted((o for o in self.outages if o.rank == rank), key=lambda o: o.at_us)
            for before, after in pairwise(windows):
                if before.back_us is None or before.back_us >= after.at_us:
                    raise ValueError(f"outages: those of rank {rank} overlap or touch; make them one")
        return self
