"""Walks one rank's program: receive, run, record, send. It decides nothing.

Sends and receives are posted where the program has them and waited for where their payload is used or freed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from executor.bind import Rank
from executor.channel import Channel, Pending
from executor.errors import RankError
from executor.pulse import Told, untold
from executor.recorder import Mark, Recorder
from models.errors import BlockcascadeError
from planner.action import Action, Kind, Payload, TimedAction
from planner.flow import Flow

Posted = tuple[Pending, int]  # and the index of its span


class Worker:
    """One rank at work on one clip."""

    def __init__(self, rank: Rank, channel: Channel, recorder: Recorder, flow: Flow, told: Told = untold) -> None:
        self._rank = rank
        self._channel = channel
        self._recorder = recorder
        self._flow = flow
        self._told = told
        self._at = Action(Kind.FREE, 0)  # the action it is at
        self._arriving: dict[Payload, Posted] = {}
        self._leaving: dict[Payload, list[Posted]] = defaultdict(list)

    def walk(self, program: Sequence[Action]) -> tuple[TimedAction, ...]:
        """Performs the program and returns its spans. Raises RankError naming the action that failed."""
        for action in program:
            self._at = action
            try:
                self._told(action, True)
                self._step(action)
            except BlockcascadeError as error:
                raise RankError(f"rank {self._channel.rank} at {action}: {error}") from error
            except Exception as error:
                raise RankError(f"rank {self._channel.rank} at {action}: {type(error).__name__}: {error}") from error
        # A clip's output stays, so no free has waited for its sends.
        for posted in [posted for pending in self._leaving.values() for posted in pending]:
            self._finish(posted)
        return self._recorder.rows()

    def _step(self, action: Action) -> None:
        if action.kind is Kind.SEND:
            self._send(action)
        elif action.kind is Kind.RECV:
            self._receive(action)
        elif action.kind is Kind.FREE:
            self._free(action)
        else:
            self._compute(action)

    def _compute(self, action: Action) -> None:
        for payload in self._flow.needs(action):
            self._await(payload)
        start = self._recorder.mark(compute=True)
        self._rank.compute(action)
        self._recorder.span(action, start, self._recorder.mark(compute=True))

    def _send(self, action: Action) -> None:
        assert action.peer is not None
        self._await(action.payload)
        start = self._recorder.mark()
        pending = self._channel.send(action.payload, self._rank.tensor(action.payload), action.peer)
        self._leaving[action.payload].append((pending, self._recorder.span(action, start, start)))

    def _receive(self, action: Action) -> None:
        assert action.peer is not None
        start: Mark = self._recorder.mark()
        pending = self._channel.receive(action.payload, self._rank.room(action.payload), action.peer)
        self._arriving[action.payload] = pending, self._recorder.span(action, start, start)

    def _free(self, action: Action) -> None:
        self._await(action.payload)
        for posted in self._leaving.pop(action.payload, ()):
            self._finish(posted)
        start = self._recorder.mark()
        self._rank.free(action.payload)
        self._recorder.span(action, start, start)

    def _await(self, payload: Payload) -> None:
        """Returns once a payload on its way here has arrived."""
        if payload in self._arriving:
            self._told(self._at, False)
            self._finish(self._arriving.pop(payload))
            self._rank.arrived(payload)
            self._told(self._at, True)

    def _finish(self, posted: Posted) -> None:
        pending, span = posted
        pending.wait()
        self._recorder.close(span, self._recorder.mark())
