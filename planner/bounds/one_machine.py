"""The least makespan of a machine that runs one job at a time, if jobs may be interrupted."""

from __future__ import annotations

import heapq


def one_machine(jobs: list[tuple[int, int, int]]) -> int:
    """When the last job's tail ends, for (head, work, tail) jobs; 0 without jobs.

    Of what is there the longest tail runs first, which is optimal, and so a lower bound for jobs that may not be
    interrupted. O(n log n). Source: J. R. Jackson 1955; J. Carlier, "The one-machine sequencing problem", 1982.
    """
    waiting = sorted(jobs, reverse=True)
    queue: list[tuple[int, int]] = []
    now = latest = 0
    while queue or waiting:
        if not queue:
            now = max(now, waiting[-1][0])
        while waiting and waiting[-1][0] <= now:
            _, work, tail = waiting.pop()
            heapq.heappush(queue, (-tail, work))
        minus_tail, work = heapq.heappop(queue)
        spent = min(work, waiting[-1][0] - now) if waiting else work
        now += spent
        latest = max(latest, now - minus_tail)
        if spent < work:
            heapq.heappush(queue, (minus_tail, work - spent))
    return latest
