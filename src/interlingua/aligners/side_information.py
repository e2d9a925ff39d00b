"""Known pairs, categories of rows and views of the target as users give them: checked and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, IntArray, as_array
from interlingua.core.errors import InputError
from interlingua.core.neighbors import neighbor_overlap
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.wording import be, count_of, first_of, some_of

__all__ = [
    "NO_PAIRS",
    "check_pairs",
    "check_same_order",
    "check_view_rows",
    "check_views",
    "distinct_pairs",
    "is_copy",
    "named_views",
    "read_labels",
    "shared_categories",
    "view_label",
]

# A row with more partners than this is refused if it is also in more than half of all pairs.
_MAX_PARTNERS = 10
_MIN_CATEGORIES = 2
# Nearest neighbors that show whether a view belongs to the target row by row, and rows that are compared. Two models
# of the same 2,000 texts share 0.3 of them. In shuffled rows they overlap by chance, and by 0.02 more where rows are
# sorted by topic. A copy of the target, also a rotated one, has the same neighbors.
_NEIGHBORS, _COMPARED_ROWS, _ABOVE_CHANCE, _COPY = 10, 2_000, 0.08, 0.999
# Parts of the rows that must each have more neighbors in common than by chance, where a part has 50 rows and more.
_PARTS, _ROWS_OF_A_PART, _ABOVE_CHANCE_OF_A_PART = 10, 50, 0.04
# With fewer rows, the fit is refused for that reason.
_FEWEST_COMPARED = 100
# The step of the trace for an empty list of pairs.
NO_PAIRS: Mapping[str, Any] = MappingProxyType(
    {"step": "pairs", "given": 0, "repeated": 0, "sharing_rows": 0, "used": 0}
)


def check_pairs(pairs: npt.ArrayLike | None, rows: tuple[int, int]) -> IntArray | None:
    """Return pairs as int64 [p, 2], or None where there are none.

    Args:
        pairs: as a caller gives them.
        rows: number of source rows and of target rows.

    Raises:
        InputError: another shape or type, or rows that do not exist.
    """
    if pairs is None:
        return None
    array = as_array(pairs, "pairs")
    if array.shape in ((0,), (0, 2)):
        return None
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"pairs has shape {array.shape} and dtype {array.dtype}; whole numbers of shape [p, 2] are needed, "
            "each a source row and the target row with the same text."
        )
    outside = ((array < 0) | (array >= np.array(rows))).any(axis=1)
    if outside.any():
        first, name = int(outside.argmax()), "rows that do not exist"
        wrong = some_of(int(outside.sum()), len(array), "pair", f"names {name}", f"name {name}")
        raise InputError(
            f"pairs: {wrong}{first_of(int(outside.sum()), f'pair {first}')}: {array[first].tolist()}. The source has "
            f"{count_of(rows[0])} and the target {rows[1]:,}, counted from 0."
        )
    return np.asarray(array, np.int64)


def distinct_pairs(
    index: IntArray, source: EmbeddingSpace, target: EmbeddingSpace, views: Sequence[EmbeddingSpace] = ()
) -> tuple[tuple[FloatArray, ...], list[dict[str, Any]]]:
    """Return the vectors of pairs [p, 2] without repetitions, and a step that counts what was merged.

    The vectors are those of the source, of the target and of each view of the target.

    A pair that is given twice counts once. Pairs that share a row, or an exact copy of it, are one pair of the means of
    their rows, so a row with several partners has the weight of one pair.

    Raises:
        InputError: a row has more than ten partners, and they are more than half of all pairs.
    """
    # Loaded here, because every command imports this module and few are given pairs.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    columns = (index[:, 0], *[index[:, 1]] * (1 + len(views)))
    sides = [
        np.asarray(space.vectors[column], np.float32)
        for space, column in zip((source, target, *views), columns, strict=True)
    ]
    rows = [np.unique(side, axis=0, return_inverse=True)[1].ravel() for side in sides[:2]]
    once = np.sort(np.unique(np.stack(rows), axis=1, return_index=True)[1])
    for name, own, column in zip(("source", "target"), rows, index.T, strict=True):
        partners = np.bincount(own[once])
        most = int(partners.max())
        if most > max(_MAX_PARTNERS, len(once) / 2):
            row = column[once][np.argmax(own[once] == partners.argmax())]
            raise InputError(
                f"Known pairs: {name} row {row} has {most:,} different partners among {len(once):,} pairs. A pair is "
                "two rows of the same text; are the two columns of the pairs right?"
            )
    first_rows, second_rows = rows[0][once], rows[1][once]
    size = int(first_rows.max()) + 1
    nodes = size + int(second_rows.max()) + 1
    edges = coo_array((np.ones(len(once)), (first_rows, size + second_rows)), shape=(nodes, nodes))
    components = connected_components(edges, directed=False)[1][first_rows]
    _, first, group = np.unique(components, return_index=True, return_inverse=True)
    counts = np.bincount(group)
    order = np.argsort(first)
    merged = []
    for side in sides:
        total = np.zeros((len(first), side.shape[1]), np.float32)
        np.add.at(total, group, side[once])
        # Division by 1 keeps the rows of a pair that shares none to the last bit.
        merged.append(np.asarray(total / counts[:, None], np.float32)[order])
    step = {
        "step": "pairs",
        "given": len(index),
        "repeated": len(index) - len(once),
        "sharing_rows": len(once) - len(first),
        "used": len(first),
    }
    return tuple(merged), [step]


def shared_categories(
    labels: Any, source: EmbeddingSpace, target: EmbeddingSpace
) -> tuple[tuple[IntArray, IntArray], list[dict[str, Any]]]:
    """Return the categories of all rows as numbers, and a step that counts them.

    The number is -1 where a label is missing or names a category that the other side lacks.

    Raises:
        InputError: not two sequences of strings or whole numbers, one per row, or fewer than two shared categories.
    """
    if not isinstance(labels, tuple | list) or len(labels) != 2:
        raise InputError("labels must be two sequences: the categories of the source rows and of the target rows.")
    sides = [
        read_labels(values, name, space.n)
        for values, name, space in zip(labels, ("source", "target"), (source, target), strict=True)
    ]
    names = [{value for value in side if value is not None} for side in sides]
    shared = sorted(names[0] & names[1], key=lambda value: (isinstance(value, str), value))
    if len(shared) < _MIN_CATEGORIES:
        raise InputError(
            f"The labels of the source have {count_of(len(names[0]), 'category')}, those of the target "
            f"{len(names[1]):,}, and {len(shared):,} {be(len(shared))} on both sides; at least "
            f"{_MIN_CATEGORIES} must be. Give the same names to the categories of both sides."
        )
    number = {value: i for i, value in enumerate(shared)}
    codes = [np.array([-1 if value is None else number.get(value, -1) for value in side], np.int64) for side in sides]
    step: dict[str, Any] = {"step": "labels", "categories": len(shared)}
    for name, side, own, code in zip(("source", "target"), sides, names, codes, strict=True):
        step[f"{name}_labeled"] = int((code >= 0).sum())
        step[f"{name}_missing"] = sum(value is None for value in side)
        step[f"categories_of_{name}_only"] = len(own) - len(shared)
    return (codes[0], codes[1]), [step]


def check_same_order(rows: EmbeddingSpace, target: EmbeddingSpace, label: str, of: str = "the target") -> float:
    """Return the share of nearest neighbors that vectors by another model have in common with those of the same texts.

    Args:
        rows: the vectors [n, d].
        target: vectors of the same texts [n, e].
        label: how messages name the vectors.
        of: how messages name the target.

    Raises:
        InputError: it is hardly larger than in shuffled rows, in all rows or in a part of them.
    """
    shares, chance = _overlaps(rows, target)
    overlap = float(shares.mean())
    if overlap < chance + _ABOVE_CHANCE:
        raise InputError(
            f"{label} has too few nearest neighbors in common with {of}: {overlap:.1%}, and {chance:.1%} would "
            f"be in shuffled rows. Give the rows in the order of {of}; if they are, this model is too different."
        )
    parts = np.array_split(shares, _PARTS)
    least = min(range(_PARTS), key=lambda number: parts[number].mean())
    if len(parts[-1]) >= _ROWS_OF_A_PART and parts[least].mean() < chance + _ABOVE_CHANCE_OF_A_PART:
        raise InputError(
            f"{label} has {overlap:.1%} of its nearest neighbors in common with {of}, but between "
            f"{least / _PARTS:.0%} and {(least + 1) / _PARTS:.0%} of the rows {parts[least].mean():.1%}, nearly as few "
            f"as in shuffled rows. Give all rows in the order of {of}."
        )
    return overlap


def check_views(views: Any, target: EmbeddingSpace) -> tuple[list[EmbeddingSpace], list[dict[str, Any]]]:
    """Return the views of a target, and a step of the trace for each of them.

    Args:
        views: a mapping of names to vectors [n_target, d], a sequence of such vectors, or None.
        target: the rows they belong to.

    Raises:
        InputError: no vectors for every target row, rows in another order than the target, or a copy of the target or
            of another view.
    """
    named = named_views(views)
    spaces, steps, earlier = [], [], dict[str, EmbeddingSpace]()
    for name, vectors in named.items():
        label = view_label(name)
        space = as_space(vectors, label)
        check_view_rows(label, space.n, target.n)
        ids = list(space.ids or ()), list(target.ids or ())
        if ids[0] != ids[1] and not set(ids[0]).isdisjoint(ids[1]):
            raise InputError(f"{label} has ids of the target in other rows. Sort the rows of both alike.")
        overlap, copied = None, None
        if target.n >= _FEWEST_COMPARED:
            overlap = check_same_order(space, target, label)
            copies = {"the target": overlap > _COPY} | {other: is_copy(space, rows) for other, rows in earlier.items()}
            copied = next((other for other, found in copies.items() if found), None)
        if copied is not None:
            raise InputError(
                f"{label} has the same nearest neighbors as {copied}, so it adds nothing. Give vectors by another "
                "model."
            )
        earlier[label] = space
        spaces.append(space.read_only())
        steps.append({"step": "view", "name": str(name), "columns": space.d, "neighbor_overlap": overlap})
    return spaces, steps


def named_views(views: Any) -> dict[Any, Any]:
    """Return views by their names, or by their numbers where they have none.

    Raises:
        InputError: neither a mapping nor a sequence.
    """
    if views is None:
        return {}
    if isinstance(views, Mapping):
        return dict(views)
    if isinstance(views, Sequence) and not isinstance(views, str | bytes):
        return dict(enumerate(views))
    raise InputError(
        f"views is {shown(views)}; a list of matrices, or a mapping of names to matrices, is needed. Each holds "
        "vectors of all target rows by another model."
    )


def check_view_rows(label: str, rows: int, of_target: int) -> None:
    """Refuse a view that has not one row for each target row.

    Raises:
        InputError: another number of rows.
    """
    if rows != of_target:
        raise InputError(
            f"{label} has {count_of(rows)} and the target {of_target:,}; a view has one row for each target row, in "
            "the same order."
        )


def is_copy(view: EmbeddingSpace, other: EmbeddingSpace) -> bool:
    """Return whether two spaces of the same rows have the same nearest neighbors, as a rotated copy has."""
    return float(_overlaps(view, other)[0].mean()) > _COPY


def view_label(name: object) -> str:
    """Return how messages name a view, as Python writes it; the command line writes its own option in this place."""
    return f"views[{name!r}]"


def _overlaps(view: EmbeddingSpace, target: EmbeddingSpace) -> tuple[FloatArray, float]:
    """Return for a sample of rows [n], in order, the share of neighbors in common, and that of shuffled rows."""
    rows, n = target.sample(_COMPARED_ROWS, np.random.default_rng(0)), min(target.n, _COMPARED_ROWS)
    return neighbor_overlap(target.take(rows), view.take(rows), _NEIGHBORS), _NEIGHBORS / (n - 1)


def read_labels(values: Any, name: str, n: int) -> list[str | int | None]:
    """Return labels as strings and integers, None where one is missing.

    Raises:
        InputError: another length than n, or a value of another type.
    """
    # A set has no order, iteration over a mapping or a data frame yields its keys or columns, and bytes are numbers.
    refused = isinstance(values, str | bytes | bytearray | Set | Mapping) or getattr(values, "ndim", 1) != 1
    if refused or not hasattr(values, "__len__"):
        raise InputError(f"labels of the {name} are {type(values).__name__}; a sequence of {n:,} categories is needed.")
    if len(values) != n:
        raise InputError(
            f"labels of the {name} have {len(values):,} entries and the {name} has {count_of(n)}; give one per row."
        )
    read: list[str | int | None] = []
    for i, value in enumerate(values.tolist() if hasattr(values, "tolist") else values):
        if value is None or (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType":
            read.append(None)
        elif isinstance(value, str):
            read.append(value)
        elif isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer()):
            # Integers with missing values among them arrive as floats.
            read.append(int(value))
        else:
            raise InputError(
                f"labels of the {name}: entry {i} is {shown(value)}; a string, a whole number, or None where a "
                "label is missing is needed."
            )
    return read
