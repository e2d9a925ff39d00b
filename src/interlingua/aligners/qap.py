"""Quadratic assignment by local search from many random matchings at once.

Two graphs of k nodes have e symmetric matrices of edge weights each, A and B, and a bonus C for matching two nodes. The
matching ``p`` maximizes ``sum_e <A_e, B_e[p][:, p]> + sum_i C[i, p_i]`` (Koopmans and Beckmann, Econometrica 1957).
Hundreds of random matchings are improved side by side. Each step swaps the two partners whose swap gains most (2-opt
with best improvement). The gains of all k (k - 1) / 2 swaps are kept and updated by matrices of rank e after each swap.
"""

from __future__ import annotations

import numpy as np

from interlingua.core.arrays import FloatArray, IntArray

__all__ = ["search_matchings"]

# Smaller gains are rounding errors.
_MIN_GAIN = 1e-6
# A start needs about k swaps; the bound only prevents cycles through rounding errors.
_SWAPS_PER_NODE = 20


def search_matchings(
    edges_source: FloatArray, edges_target: FloatArray, nodes: FloatArray, *, starts: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Return the matchings that local search reaches from random starts, best first.

    Args:
        edges_source: [e, k, k], symmetric, zero diagonal.
        edges_target: [e, k, k], likewise.
        nodes: [k, k], bonus of matching source node i to target node j.
        starts: number of random starting permutations.
        rng: draws the starts.

    Returns:
        matchings [starts, k] (source node i goes to target node ``matching[i]``) and objectives [starts].
    """
    a, b = (np.ascontiguousarray(edges, np.float32) for edges in (edges_source, edges_target))
    k = a.shape[1]
    matchings = rng.permuted(np.tile(np.arange(k), (starts, 1)), axis=1)
    finished, current = matchings.copy(), matchings
    permuted = b[:, current[:, :, None], current[:, None, :]]  # [e, starts, k, k]
    # links[r, i, j] = C[i, p_j] + 2 sum_e (A_e B_e[p][:, p])_ij; own[r, i, j] = sum_e A_e[i, j] B_e[p_i, p_j].
    links = 2 * sum(a[e] @ permuted[e] for e in range(len(a))) + nodes.astype(np.float32)[:, current].transpose(1, 0, 2)
    own = np.einsum("eij,erij->rij", a, permuted)
    del permuted
    active = np.arange(starts)
    for _ in range(_SWAPS_PER_NODE * k):
        stay = np.einsum("rii->ri", links)
        gains = links + links.transpose(0, 2, 1) - stay[:, :, None] - stay[:, None, :] + 4 * own
        gains = gains.reshape(len(active), -1)
        swap = gains.argmax(axis=1)
        better = gains[np.arange(len(active)), swap] > _MIN_GAIN
        if not better.all():
            finished[active] = current
            active, current, links, own, swap = (x[better] for x in (active, current, links, own, swap))
        if not len(active):
            break
        _swap(a, b, current, links, own, swap // k, swap % k)
    finished[active] = current
    objectives = _objectives(edges_source, edges_target, nodes, finished)
    order = np.argsort(-objectives, kind="stable")
    return finished[order], objectives[order]


def _swap(
    a: FloatArray, b: FloatArray, current: IntArray, links: FloatArray, own: FloatArray, i: IntArray, j: IntArray
) -> None:
    """Swap the partners of nodes ``i`` and ``j`` [active] in every start and update ``links`` and ``own``."""
    r = np.arange(len(current))
    p_i, p_j = current[r, i], current[r, j]
    rows_i, rows_j = (b[:, p[:, None], current] for p in (p_i, p_j))  # [e, active, k]
    links += 2 * np.matmul(
        (a[:, :, i] - a[:, :, j]).transpose(2, 1, 0), np.ascontiguousarray((rows_j - rows_i).transpose(1, 0, 2))
    )
    column = links[r, :, i].copy()
    links[r, :, i] = links[r, :, j]
    links[r, :, j] = column
    current[r, i], current[r, j] = p_j, p_i
    for node in (i, j):
        row = np.einsum("erk,erk->rk", a[:, node], b[:, current[r, node][:, None], current])
        own[r, node, :] = row
        own[r, :, node] = row


def _objectives(
    edges_source: FloatArray, edges_target: FloatArray, nodes: FloatArray, matchings: IntArray
) -> FloatArray:
    i = np.arange(nodes.shape[0])
    return np.array(
        [np.vdot(edges_source, edges_target[:, p[:, None], p]) + nodes[i, p].sum(dtype=np.float64) for p in matchings]
    )
