"""When everything in a set of programs happens, if every duration is as the costs say.

A rank runs its compute actions in order, each as soon as its inputs are there; shares of a gang start together when
all are ready, and end together. A send or receive is posted without waiting when the rank reaches it, which takes the
host `post_us`; a transfer begins when both sides are posted, what was posted before on the same way has begun and its
lanes are free; of several that could begin, the one that was ready first, then by place in the sender's program, then
by rank. A stream's layers leave as they are made; its reader starts once the first is there, and ends a layer after
the last. A free waits until no transfer of its payload is under way.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence

from planner.action import LEAVING, TRANSFERS, Action, Kind, Payload, TimedAction
from planner.cost import Costs
from planner.errors import InfeasibleError

Way = tuple[int, int]  # from rank, to rank
Place = tuple[int, int]  # rank, index in its program
UNKNOWN = -1


def retime(programs: Sequence[Sequence[Action]], costs: Costs) -> tuple[tuple[TimedAction, ...], ...]:
    """The programs' rows with the earliest times their order allows.

    Raises InfeasibleError naming what each rank waits for if the programs can never finish.
    """
    run = _Run(programs, costs)
    run.play()
    stuck = [
        f"r{rank} at {action}"
        for rank, program in enumerate(programs)
        for action in [next((a for index, a in enumerate(program) if (rank, index) not in run.times), None)]
        if action is not None
    ]
    if stuck:
        raise InfeasibleError(f"the programs never finish: {', '.join(stuck)}")
    return tuple(
        tuple(TimedAction(action, *run.times[rank, index]) for index, action in enumerate(program))
        for rank, program in enumerate(programs)
    )


class _Transfer:
    """One payload on its way from the k-th send of a way to its k-th receive."""

    def __init__(self, payload: Payload, way: Way, sent: Place, received: Place, *, streams: bool, ready: int) -> None:
        self.payload, self.way, self.sent, self.received, self.streams = payload, way, sent, received, streams
        self.ready_us = ready
        self.start_us = self.end_us = self.first_us = UNKNOWN


class _Run:
    def __init__(self, programs: Sequence[Sequence[Action]], costs: Costs) -> None:
        self._programs, self._costs, self._flow = programs, costs, costs.flow
        self.position = [0] * len(programs)
        self.times: dict[Place, tuple[int, int]] = {}
        self._now = 0
        self._wakes: list[int] = []
        self._dirty = set(range(len(programs)))
        self._free_from = [0] * len(programs)
        self._gangs = _gangs(programs)
        self._arrived: dict[Action, set[int]] = defaultdict(set)
        # What a rank made or makes: since when, a layer's time, until when.
        self._made: dict[tuple[int, Payload], tuple[int, int, int]] = {}
        self._coming: dict[tuple[int, Payload], _Transfer | None] = {}
        self._leaving: dict[tuple[int, Payload], list[_Transfer | None]] = defaultdict(list)
        self._posts: dict[tuple[bool, Way], deque[Place]] = defaultdict(deque)
        self._queues: dict[Way, deque[_Transfer]] = defaultdict(deque)
        self._lane_free: dict[int, int] = defaultdict(int)

    # -- the clock -------------------------------------------------------------------------------

    def play(self) -> None:
        """Runs until nothing more can happen."""
        self._settle()
        while self._wakes:
            self._now = heapq.heappop(self._wakes)
            while self._wakes and self._wakes[0] == self._now:
                heapq.heappop(self._wakes)
            # Waking every rank is cheap beside knowing which one waits for what.
            self._dirty.update(range(len(self._programs)))
            self._settle()

    def _settle(self) -> None:
        """All that happens at this moment: ranks first, then the transfers that can begin, then ranks again."""
        while True:
            while self._dirty:
                rank = self._dirty.pop()
                while self._advance(rank):
                    pass
            if not self._begin_transfers():
                return

    def _wake_at(self, at_us: int) -> None:
        if at_us > self._now:
            heapq.heappush(self._wakes, at_us)

    # -- ranks -----------------------------------------------------------------------------------

    def _advance(self, rank: int) -> bool:
        """Takes the rank's next action if it can begin now."""
        index = self.position[rank]
        if self._free_from[rank] > self._now or index == len(self._programs[rank]):
            return False
        action = self._programs[rank][index]
        if action.kind in TRANSFERS:
            self._post(rank, index, action)
        elif action.kind is not Kind.FREE:
            return self._inputs_ready(rank, action) and self._join(rank, action)
        elif self._may_free(rank, action.payload):
            self.times[rank, index] = self._now, self._now
        else:
            return False
        self.position[rank] += 1
        return True

    def _may_free(self, rank: int, payload: Payload) -> bool:
        transfers = list(self._leaving.get((rank, payload), ()))
        if (rank, payload) in self._coming:
            transfers.append(self._coming[rank, payload])
        return all(transfer is not None and UNKNOWN < transfer.end_us <= self._now for transfer in transfers)

    def _inputs_ready(self, rank: int, action: Action) -> bool:
        release = self._flow.release_us(action)
        self._wake_at(release)
        if release > self._now:
            return False
        beside = self._flow.beside(action)
        for payload in self._flow.needs(action):
            if (rank, payload) in self._coming:
                transfer = self._coming[rank, payload]
                if transfer is None:
                    return False
                ready = transfer.first_us if payload in beside and transfer.streams else transfer.end_us
                if not UNKNOWN < ready <= self._now:
                    return False
        return True

    def _join(self, rank: int, action: Action) -> bool:
        """Starts the action, once all ranks of its gang are here."""
        gang = action.gang
        members = self._gangs.get(gang, (rank,))
        self._arrived[gang].add(rank)
        if len(self._arrived[gang]) < len(members):
            return False
        shares = [(member, self._programs[member][self.position[member]]) for member in members]
        end = max(self._end_us(member, share) for member, share in shares)
        for member, share in shares:
            self.times[member, self.position[member]] = self._now, end
            layer = self._costs.layer_us(share, member)
            for payload in self._flow.makes(share):
                self._made[member, payload] = self._now, layer, end
            if self._flow.pattern.is_live:
                self._wake_at(self._now + layer)
            self._free_from[member] = end
            self.position[member] += 1
        self._wake_at(end)
        return True

    def _end_us(self, rank: int, action: Action) -> int:
        end = self._now + self._costs.compute_us(action, rank)
        for payload in self._flow.beside(action):
            transfer = self._coming.get((rank, payload))
            if transfer is not None and transfer.streams:
                end = max(end, transfer.end_us + self._costs.layer_us(action, rank))
        return end

    # -- transfers -------------------------------------------------------------------------------

    def _post(self, rank: int, index: int, action: Action) -> None:
        assert action.peer is not None
        leaves = action.kind in LEAVING
        way = (rank, action.peer) if leaves else (action.peer, rank)
        if leaves:
            self._leaving[rank, action.payload].append(None)
        else:
            self._coming[rank, action.payload] = None
        self._posts[leaves, way].append((rank, index))
        if self._posts[True, way] and self._posts[False, way]:
            self._pair(way)
        self._free_from[rank] = self._now + self._costs.post_us
        self._wake_at(self._free_from[rank])

    def _pair(self, way: Way) -> None:
        sent, received = self._posts[True, way].popleft(), self._posts[False, way].popleft()
        action = self._programs[sent[0]][sent[1]]
        payload = action.payload
        transfer = _Transfer(payload, way, sent, received, streams=action.kind is Kind.STREAM, ready=self._now)
        pending = self._leaving[way[0], payload]
        pending[pending.index(None)] = transfer
        self._coming[way[1], self._programs[received[0]][received[1]].payload] = transfer
        self._queues[way].append(transfer)

    def _begin_transfers(self) -> bool:
        """Begins what can begin now, longest ready first; whether anything did."""
        begun = False
        heads = [queue[0] for queue in self._queues.values() if queue]
        for transfer in sorted(heads, key=lambda t: (t.ready_us, t.sent[1], t.way)):
            lanes = self._costs.wire(*transfer.way).lanes
            if self._may_leave(transfer) and all(self._lane_free[lane] <= self._now for lane in lanes):
                self._begin(transfer, lanes)
                begun = True
        return begun

    def _may_leave(self, transfer: _Transfer) -> bool:
        """Whether there is something to send: all of it, or its first layer."""
        if not transfer.streams:
            return True
        made = self._made.get((transfer.way[0], transfer.payload))
        if made is None:
            return False
        first = made[0] + made[1]
        transfer.ready_us = max(transfer.ready_us, first)
        return first <= self._now

    def _begin(self, transfer: _Transfer, lanes: tuple[int, ...]) -> None:
        queue = self._queues[transfer.way]
        queue.popleft()
        if queue:
            queue[0].ready_us = max(queue[0].ready_us, self._now)
        start, payload, costs = self._now, transfer.payload, self._costs
        if transfer.streams:
            layer = costs.stream_layer_us(payload, *transfer.way)
            made = self._made[transfer.way[0], payload][2]
            end = max(made, start + (costs.spec.layers - 1) * layer) + layer
            transfer.first_us = start + layer
            self._wake_at(transfer.first_us)
        else:
            end = start + costs.transfer_us(payload, *transfer.way)
        transfer.start_us, transfer.end_us = start, end
        self.times[transfer.sent] = self.times[transfer.received] = start, end
        for lane in lanes:
            self._lane_free[lane] = end
        self._wake_at(end)
        self._dirty.update(transfer.way)


def _gangs(programs: Sequence[Sequence[Action]]) -> dict[Action, tuple[int, ...]]:
    """The ranks of each compute action that several ranks share."""
    members: dict[Action, list[int]] = defaultdict(list)
    for rank, program in enumerate(programs):
        for action in program:
            if action.is_compute:
                members[action.gang].append(rank)
    return {action: tuple(ranks) for action, ranks in members.items() if len(ranks) > 1}
