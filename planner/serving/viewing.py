"""One session while it is served: its blocks, and its viewer, who plays them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from models.spec import ModelSpec
from planner.conditions import Player
from planner.measuring.playing import play_marks_us
from planner.serving.demand import Session
from planner.serving.outcome import Visited

NEVER = -1  # before the session's first slot


class Viewing:
    """What has been made for a session and when its viewer plays it, microseconds.

    The viewer begins once `start_blocks` blocks are finished and stops for each block that comes late. In time is a
    block that is finished when a viewer who never stopped would need it.
    """

    def __init__(self, session: Session, spec: ModelSpec, player: Player, factors: Sequence[float]) -> None:
        self.session, self.factors = session, factors
        self.next = 0  # the block to begin next
        self.last_slot_us = NEVER
        self.placed_us = self.first_us = self.finished_us = self.start_us = 0
        seen = spec.model_copy(update={"frame_rate": session.fps})
        self._marks_us: list[int] = play_marks_us(seen, session.blocks).tolist()
        self._frames = spec.pixel_frames(0) + (session.blocks - 1) * spec.pixel_frames(1)
        self._start_blocks = min(player.start_blocks, session.blocks)
        self._queue = player.queue_blocks
        # When those blocks begin to be played that may still hold a later one back.
        self._plays: deque[int] = deque(maxlen=player.queue_blocks or 1)
        self._played_us = 0  # until when there is something to play
        self._switches = deque(session.switches_us)
        self._control: list[int | None] = []
        self._in_time = self._stalls = self._stalled_us = 0

    @property
    def done(self) -> bool:
        return self.next == self.session.blocks

    @property
    def needed_us(self) -> int:
        """When the viewer needs the next block; 0, before all others, if it has not begun to play."""
        return self._played_us

    def may_end_us(self) -> int:
        """Since when the next block may be finished: fewer finished ones than the queue holds wait to be played."""
        return self._plays[0] if self._queue is not None and self.next >= self._queue else 0

    def switched_by(self, us: int) -> bool:
        """Whether a change of the prompt, up to a moment, has not been shown yet."""
        return bool(self._switches) and self.placed_us + self._switches[0] <= us

    def show_switches(self, us: int, finished_us: int) -> None:
        """The block that is finished then shows the changes up to a moment."""
        while self.switched_by(us):
            self._control.append(finished_us - self.placed_us - self._switches.popleft())

    def finish(self, us: int) -> None:
        """The next block is finished."""
        block, self.next, self.finished_us = self.next, self.next + 1, us
        if block == 0:
            self.first_us = us
        if self.next < self._start_blocks:
            return
        if self.next == self._start_blocks:
            self.start_us = self._played_us = us
            self._in_time = self._start_blocks
            for earlier in range(self._start_blocks):
                self._play(earlier)
            return
        self._in_time += us <= self.start_us + self._marks_us[block]
        if us > self._played_us:
            self._stalls += 1
            self._stalled_us += us - self._played_us
            self._played_us = us
        self._play(block)

    def _play(self, block: int) -> None:
        self._plays.append(self._played_us)
        self._played_us += self._marks_us[block + 1] - self._marks_us[block]

    def visited(self, group: int) -> Visited:
        """What became of the session, once all its blocks are finished."""
        arrival = self.session.arrival_us
        return Visited(
            number=self.session.number,
            arrival_us=arrival,
            group=group,
            waited_us=self.placed_us - arrival,
            first_frame_us=self.first_us - arrival,
            blocks=self.session.blocks,
            frames=self._frames,
            in_time=self._in_time,
            stalls=self._stalls,
            stalled_us=self._stalled_us,
            fps=self._frames * 1e6 / max(1, self._played_us - self.start_us),
            control_us=(*self._control, *(None for _ in self._switches)),
            played_us=self._played_us,
        )
