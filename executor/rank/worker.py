"""Walks one rank's program: receive, run, record, send. It decides nothing.

Transfers are posted where the program has them and waited for where their payload is used or freed. A stream sends
layer by layer as its payload is made, a tap receives so as it is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from torch import Tensor

from executor.channels.channel import Channel, Pending
from executor.channels.live import Lane, Stream, Tap
from executor.errors import RankError
from executor.rank.recorder import Mark, Recorder
from executor.world.pulse import Told, untold
from models.errors import BlockcascadeError
from planner.action import Action, Kind, Payload, TimedAction
from planner.flow import Flow

Posted = tuple[Pending, int]  # and the index of its span
Made = Callable[[Action], None]


class Works(Protocol):
    """What performs a rank's actions: `bind.Rank`."""

    def compute(self, action: Action, between: Callable[[int], None]) -> None: ...

    def tensor(self, payload: Payload) -> Tensor: ...

    def room(self, payload: Payload) -> Tensor: ...

    def arrived(self, payload: Payload) -> None: ...

    def layer(self, payload: Payload, index: int) -> Tensor: ...

    def slot(self, payload: Payload) -> Tensor: ...

    def free(self, payload: Payload) -> None: ...


class Worker:
    """One rank at work on one clip. `told` hears what it is at, `made` of each compute action that is done."""

    def __init__(
        self,
        rank: Works,
        channel: Channel,
        recorder: Recorder,
        flow: Flow,
        told: Told = untold,
        made: Made | None = None,
    ) -> None:
        self._rank, self._channel, self._recorder, self._flow = rank, channel, recorder, flow
        self._told, self._made = told, made
        self._at = Action(Kind.FREE, 0)  # the action it is at
        self._arriving: dict[Payload, Posted] = {}
        self._leaving: dict[Payload, list[Posted]] = defaultdict(list)
        self._streams: dict[Payload, list[Stream]] = defaultdict(list)  # of payloads that are not made yet
        self._taps: dict[Payload, Tap] = {}
        self._lanes: dict[int, Lane] = {}

    def walk(self, program: Iterable[Action]) -> tuple[TimedAction, ...]:
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
        if action.kind in (Kind.SEND, Kind.STREAM):
            self._send(action)
        elif action.kind in (Kind.RECV, Kind.TAP):
            self._receive(action)
        elif action.kind is Kind.FREE:
            self._free(action)
        else:
            self._compute(action)

    def _compute(self, action: Action) -> None:
        beside = self._flow.beside(action)
        for payload in self._flow.needs(action):
            if payload not in beside or payload not in self._taps:
                self._await(payload)
        taps = [self._taps[payload] for payload in beside if payload in self._taps]
        streams = [stream for payload in self._flow.makes(action) for stream in self._streams.pop(payload, ())]
        start = self._recorder.mark()
        self._rank.compute(action, self._between(taps, streams))
        self._recorder.span(action, start, self._recorder.mark())
        for tap in taps:
            self._await(tap.payload)
        if self._made is not None:
            self._made(action)

    def _between(self, taps: list[Tap], streams: list[Stream]) -> Callable[[int], None]:
        """What happens in each layer of a pass between its projections and its attention."""

        def between(layer: int) -> None:
            for stream in streams:
                stream.send(self._rank.layer(stream.payload, layer))
            if taps:
                self._told(self._at, False)
                for tap in taps:
                    tap.take()
                self._told(self._at, True)

        return between

    def _send(self, action: Action) -> None:
        assert action.peer is not None
        payload, start = action.payload, self._recorder.mark()
        pending: Pending
        if action.kind is Kind.STREAM:
            stream = pending = Stream(self._channel, payload, action.peer)
            self._streams[payload].append(stream)
        else:
            self._await(payload)
            start = self._recorder.mark()
            pending = self._channel.send(payload, self._rank.tensor(payload), action.peer)
        self._leaving[payload].append((pending, self._recorder.span(action, start, start)))

    def _receive(self, action: Action) -> None:
        assert action.peer is not None
        payload, start = action.payload, self._recorder.mark()
        pending: Pending
        if action.kind is Kind.TAP:
            lane = self._lanes.setdefault(action.peer, Lane(self._channel, action.peer))
            tap = pending = lane.tap(payload, self._rank.slot(payload))
            self._taps[payload] = tap
        else:
            pending = self._channel.receive(payload, self._rank.room(payload), action.peer)
        self._arriving[payload] = pending, self._recorder.span(action, start, start)

    def _free(self, action: Action) -> None:
        payload = action.payload
        self._await(payload)
        for posted in self._leaving.pop(payload, ()):
            self._finish(posted)
        start: Mark = self._recorder.mark()
        self._rank.free(payload)
        self._recorder.span(action, start, start)

    def _await(self, payload: Payload) -> None:
        """Returns once a payload on its way here has arrived."""
        if payload in self._arriving:
            self._told(self._at, False)
            self._finish(self._arriving.pop(payload))
            if self._taps.pop(payload, None) is None:
                self._rank.arrived(payload)
            self._told(self._at, True)

    def _finish(self, posted: Posted) -> None:
        pending, span = posted
        pending.wait()
        # On CUDA `wait` holds the stream up, not this thread, and the mark is the stream's.
        self._recorder.close(span, self._recorder.mark())
