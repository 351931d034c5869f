"""The dependency graph of a clip as networkx: to look at, to draw, and to plan one's own."""

from __future__ import annotations

from typing import Any

import networkx as nx

from planner.action import Action
from planner.cost import Costs
from planner.errors import InputError
from planner.expand import expand
from planner.instance import ANY, ORDER, Instance, Wire

MAX_TASKS = 10**6
MAX_US = 10**12
MAX_UNITS = 4096


def build_graph(costs: Costs) -> nx.DiGraph[Action]:
    """The graph of a flow: an action a node, what one hands to another on the edges.

    Nodes have `duration_us` on their fastest unit; a tick's shares are one node. Edges have `payloads` (empty where
    nothing travels), `bytes`, their sum, and `live`: whether the reader runs beside the maker, layer by layer.
    """
    tasks = expand(costs)
    graph: nx.DiGraph[Action] = nx.DiGraph()
    for task, action in enumerate(tasks.actions):
        graph.add_node(action, duration_us=min(us for us in tasks.instance.durations[task] if us))
        read = [(maker, number, False) for maker, number in tasks.instance.inputs[task]]
        read += [(live.source, live.payload, True) for live in tasks.instance.live.get(task, ())]
        for maker, number, live in read:
            source = tasks.actions[maker]
            data = graph.get_edge_data(source, action, {"payloads": (), "bytes": 0, "live": False})
            payloads, size = data["payloads"], data["bytes"]
            if number != ORDER:
                payloads, size = (*payloads, tasks.payloads[number]), size + tasks.instance.payload_bytes[number]
            graph.add_edge(source, action, payloads=payloads, bytes=size, live=live or data["live"])
    return graph


def instance_of(graph: nx.DiGraph[Any], units: int, wire: Wire | None = None) -> tuple[Instance, list[Any]]:
    """A graph of one's own as an instance on equal units, and the node of each task, for any scheduler or bound.

    Each node needs `duration_us`, a whole number from 1; an edge may have `bytes`, which take a `wire` if they cross.
    Raises InputError naming the cycle if the edges are cyclic, or the node or edge whose figure cannot be used.
    """
    if not 1 <= units <= MAX_UNITS:
        raise InputError(f"units: must be 1..{MAX_UNITS}, not {units}")
    if len(graph) > MAX_TASKS:
        raise InputError(f"graph: has {len(graph)} nodes, at most {MAX_TASKS} can be planned")
    nodes = _in_order(graph)
    number = {node: task for task, node in enumerate(nodes)}
    sizes: list[int] = []
    inputs: list[tuple[tuple[int, int], ...]] = []
    payload_of: dict[tuple[int, int], int] = {}
    for node in nodes:
        read = []
        for maker, _, data in graph.in_edges(node, data=True):
            size = _whole(data.get("bytes", 0), f"edge {maker!r} -> {node!r}: bytes", 0, 10**15)
            # What a node hands to several readers is one payload as long as it is of one size.
            key = (number[maker], size)
            if size and key not in payload_of:
                payload_of[key] = len(sizes)
                sizes.append(size)
            read.append((number[maker], payload_of[key] if size and wire is not None else ORDER))
        inputs.append(tuple(sorted(read)))
    durations = [_duration(graph, node) for node in nodes]
    wires = (
        None
        if wire is None or units == 1
        else {(u, v): wire._replace(lanes=(u * units + v,)) for u in range(units) for v in range(units) if u != v}
    )
    instance = Instance(
        units=units,
        durations=[(us,) * units for us in durations],
        inputs=inputs,
        payload_bytes=sizes,
        blocks=list(range(len(nodes))),
        stays=[ANY] * len(nodes),
        wires=wires,
    )
    return instance, nodes


def _in_order(graph: nx.DiGraph[Any]) -> list[Any]:
    try:
        return list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        cycle = [edge[0] for edge in nx.find_cycle(graph)]
        told = " -> ".join(str(node) for node in (*cycle, cycle[0]))
        raise InputError(f"graph: the edges are cyclic: {told}; take one of them away") from None


def _duration(graph: nx.DiGraph[Any], node: Any) -> int:
    data = graph.nodes[node]
    if "duration_us" not in data:
        raise InputError(f"node {node!r}: has no duration_us; give it whole microseconds")
    return _whole(data["duration_us"], f"node {node!r}: duration_us", 1, MAX_US)


def _whole(value: Any, what: str, least: int, most: int) -> int:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not usable or value != int(value):
        # The digits of a huge integer cannot all be written.
        told = "a huge number" if isinstance(value, int) and abs(value) > 10**18 else repr(value)
        raise InputError(f"{what} must be a whole number {least}..{most}, not {told}")
    return int(value)
