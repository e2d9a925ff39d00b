"""Rows whose vectors cannot be used, left out of what a fit is given, with pairs, labels and views in step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.side_information import check_pairs, check_view_rows, named_views, read_labels, view_label
from interlingua.core.arrays import IntArray, as_array, usable_rows
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.wording import none_of

__all__ = [
    "FIRST_ROWS",
    "UsableInputs",
    "advise_skip_bad",
    "left_out_steps",
    "none_drawn",
    "none_usable",
    "renumber_pairs",
    "usable_space",
]

# Rows that a card and a message name.
FIRST_ROWS = 5

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UsableInputs:
    """What a fit is given, without the rows that cannot be used.

    Attributes:
        source: the source.
        target: the target.
        pairs: known pairs of the rows that are left, by their new numbers; or None.
        labels: categories of these rows, or None.
        views: vectors of these target rows by further models; or None.
        steps: the pairs that were left out, as steps for the trace; each side has a record of its own rows.
    """

    source: EmbeddingSpace
    target: EmbeddingSpace
    pairs: IntArray | None
    labels: Any
    views: dict[Any, EmbeddingSpace] | None
    steps: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, source: Any, target: Any, *, pairs: Any = None, labels: Any = None, views: Any = None) -> UsableInputs:
        """Leave out every row of a side without a vector that can be used, and of the target also without a view.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: [p, 2] row numbers, counted with all rows; pairs of rows that are left out are left out too.
            labels: categories of all rows of both sides.
            views: vectors of all target rows by further models.

        Raises:
            InputError: a side without a usable row, pairs of which none is left, or what does not fit all rows.
        """
        usable = [_usable(side, name) for side, name in ((source, "source"), (target, "target"))]
        seen = named_views(views)
        for name, vectors in seen.items():
            own = _usable(vectors, view_label(name))
            check_view_rows(view_label(name), len(own), len(usable[1]))
            usable[1] = usable[1] & own
        spaces = _select(source, "source", usable[0]), _select(target, "target", usable[1])
        steps: list[dict[str, Any]] = []
        index = check_pairs(pairs, (len(usable[0]), len(usable[1])))
        if index is not None:
            kept = renumber_pairs(index, usable[0], usable[1])
            if len(kept) < len(index):
                steps.append(_step("pairs", len(index) - len(kept), len(index)))
            pairs = kept
        # Labels that are no pair of sequences are refused where they are read.
        if isinstance(labels, tuple | list) and len(labels) == len(usable):
            labels = [
                [value for value, keep in zip(read_labels(side, name, len(kept)), kept.tolist(), strict=True) if keep]
                for side, name, kept in zip(labels, ("source", "target"), usable, strict=True)
            ]
        kept_views = {name: _select(vectors, view_label(name), usable[1]) for name, vectors in seen.items()}
        return cls(*spaces, pairs, labels, None if views is None else kept_views, tuple(steps))


def usable_space(vectors: Any, name: str) -> EmbeddingSpace:
    """Return vectors [n, d] as a space without the rows that cannot be used.

    Raises:
        InputError: no row can be used.
    """
    return _select(vectors, name, _usable(vectors, name))


def renumber_pairs(pairs: IntArray, source: _Mask, target: _Mask) -> IntArray:
    """Return the pairs of rows that are kept, by their numbers among the kept rows.

    Args:
        pairs: [p, 2] row numbers among all rows.
        source: [n_source], whether a row is kept.
        target: [n_target], the same.

    Raises:
        InputError: no pair is left.
    """
    kept = source[pairs[:, 0]] & target[pairs[:, 1]]
    if not kept.any():
        each = "The only known pair" if len(pairs) == 1 else f"Each of the {len(pairs):,} known pairs"
        raise InputError(
            f"{each} has a row without a vector that can be used, so that no pair is left.",
            "Give other pairs, or leave {pairs=...} out.",
        )
    columns = zip((source, target), pairs[kept].T, strict=True)
    return np.stack([np.cumsum(side)[column] - 1 for side, column in columns], axis=1)


@contextmanager
def advise_skip_bad() -> Iterator[None]:
    """Add the argument that leaves out rows without a usable vector to the error about such a row."""
    try:
        yield
    except UnusableRowError as error:
        error.remedy = error.remedy or "Such rows can be left out with {skip_bad}."
        raise


def _usable(vectors: Any, name: str) -> _Mask:
    """Return which rows can be used; all rows of a space, which has refused the others."""
    if isinstance(vectors, EmbeddingSpace):
        return np.ones(vectors.n, bool)
    array = as_array(vectors, name)
    if array.ndim != 2 or array.dtype.kind not in "fiu":  # noqa: PLR2004
        return np.ones(len(array) if array.ndim else 0, bool)  # refused as what it is, where it becomes a space
    return usable_rows(array)


def _select(vectors: Any, name: str, usable: _Mask) -> EmbeddingSpace:
    """Return the space of the usable rows, with a record of those that were left out.

    Raises:
        InputError: no row can be used, or vectors that are no matrix of numbers.
    """
    if usable.all():
        return as_space(vectors, name)
    if not usable.any():
        raise InputError(f"{name}: {none_usable(len(usable))}. Give vectors that are finite and not zero.")
    kept = np.flatnonzero(usable)
    if isinstance(vectors, EmbeddingSpace):
        ids = None if vectors.ids is None else [vectors.ids[row] for row in kept.tolist()]
        space = EmbeddingSpace(vectors.vectors[kept], ids=ids, name=vectors.name, allow_zero_rows=True)
    else:
        space = EmbeddingSpace(as_array(vectors, name)[kept], name=name)
    left_out = np.flatnonzero(~usable)
    return space.with_left_out(len(left_out), len(usable), left_out[:FIRST_ROWS].tolist())


def none_usable(count: int) -> str:
    """Return the clause for a side of which all rows, at least 1, would be left out."""
    return none_of(
        count, "row", "has a vector that can be used; all would be left out", "has no vector that can be used"
    )


def none_drawn(count: int) -> str:
    """Return the clause for rows that were drawn, at least 1, of which none can be used; others may be."""
    return none_of(count, "drawn row", "has a usable vector", "has no usable vector")


def left_out_steps(spaces: Mapping[str, EmbeddingSpace]) -> list[dict[str, Any]]:
    """Return a step for the trace for each space, by its name, of which rows were left out."""
    records = {name: space.left_out for name, space in spaces.items()}
    return [_step(name, each["rows"], each["of"]) for name, each in records.items() if each is not None]


def _step(name: str, count: int, of: int) -> dict[str, Any]:
    """Return the step that counts what was left out of a side or of the pairs."""
    return {"step": "unusable rows", "side": name, "rows": count, "of": of}
