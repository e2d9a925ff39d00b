"""Checks of arguments that several modules of this package share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.base import MIN_ROWS
from interlingua.core.arguments import check_texts, described
from interlingua.core.arrays import FloatArray, IntArray, as_array, check_matrix, unit_rows
from interlingua.core.digests import distinct_rows
from interlingua.core.errors import InputError
from interlingua.core.wording import be, count_of

__all__ = [
    "check_corpus",
    "check_distinct",
    "check_indices",
    "check_label_rows",
    "check_members",
    "check_one_each",
    "check_vector",
    "there_are",
]


def check_one_each(
    count: int, noun: str, needed: int, of: str, advice: str = "", *, which: str = "", of_which: str = ""
) -> None:
    """Refuse ``count`` things where there has to be one for each of ``needed`` others.

    Args:
        count: number of things.
        noun: what one of them is, as `count_of` takes it.
        needed: number of the others.
        of: what one of these is.
        advice: a sentence that says what to do, with a space before.
        which: words after the noun that say which things these are, with a space before.
        of_which: the same of the others.
    """
    if count != needed:
        others = f"{count_of(needed, of)}{of_which}"
        raise InputError(f"{there_are(count, noun)}{which} for {others}; there must be one for each.{advice}")


def there_are(count: int, noun: str) -> str:
    """Return the beginning of a sentence: ``There is 1 text``, ``There are 3 texts``."""
    return f"There {be(count)} {count_of(count, noun)}"


def check_corpus(vectors: Any, texts: Any, *, min_rows: int = 1) -> tuple[FloatArray, list[str]]:
    """Return the unit rows of a corpus [n, d] in float32, and its n texts."""
    rows = check_matrix(vectors, "the corpus", min_rows=min_rows).astype(np.float32)
    texts = check_texts(texts, "texts")
    if len(texts) != len(rows):
        raise InputError(
            f"The corpus has {count_of(len(rows), 'vector')} and {count_of(len(texts), 'text')}; there must be one "
            "vector for each text."
        )
    return unit_rows(rows), texts


def check_label_rows(labels: Any, name: str = "labels") -> list[list[str]]:
    """Return the labels of each row; a row with one label may be a string."""
    if isinstance(labels, str | bytes) or not isinstance(labels, Sequence | np.ndarray):
        raise InputError(f"{name} is {described(labels)}; a sequence with the labels of each row is needed.")
    return [
        [member] if isinstance(member, str) else check_texts(member, f"{name}[{row}]")
        for row, member in enumerate(labels)
    ]


def check_members(values: Any, name: str, kind: type, needed: str) -> list[Any]:
    """Return a sequence whose members are all of one class as a list; messages name types and never show a value."""
    if not isinstance(values, Sequence):
        raise InputError(f"{name} is of type {type(values).__name__}; a sequence of {needed} is needed.")
    for number, value in enumerate(values):
        if not isinstance(value, kind):
            raise InputError(f"{name}[{number}] is of type {type(value).__name__}; a sequence of {needed} is needed.")
    return list(values)


def check_vector(value: Any, name: str, width: int | None = None) -> FloatArray:
    """Return one finite vector [d] in float32."""
    vector = as_array(value, name)
    is_numeric = vector.dtype.kind in "fiu" and bool(np.isfinite(vector).all())
    if not is_numeric or vector.ndim != 1 or width not in (None, len(vector)):
        form = "[d]" if width is None else f"({width},)"
        raise InputError(
            f"{name} has shape {vector.shape}; a finite vector of shape {form} is needed, as "
            "collection_mean returns it."
        )
    return vector.astype(np.float32)


def check_indices(value: Any, name: str, n: int) -> IntArray:
    """Return indices [k] of n rows, at least one."""
    indices = as_array(value, name)
    if indices.dtype.kind not in "iu" or indices.ndim != 1 or not len(indices):
        raise InputError(f"{name} has shape {indices.shape} and dtype {indices.dtype}; a vector of integers is needed.")
    if indices.min() < 0 or indices.max() >= n:
        raise InputError(f"{name} names rows {indices.min()} to {indices.max()} of {n}; rows 0 to {n - 1} are needed.")
    return indices.astype(np.int64)


def check_distinct(
    vectors: npt.ArrayLike,
    name: str,
    *,
    needed: int = MIN_ROWS,
    reason: str = "for a fit",
    advice: str = "Give more contents.",
) -> None:
    """Refuse vectors with fewer distinct rows than a fit needs.

    Args:
        vectors: [n, d].
        name: what they are, for the message.
        needed: smallest number of distinct rows.
        reason: why they are needed.
        advice: what to do.

    Raises:
        InputError: fewer distinct rows, or no matrix of finite numbers.
    """
    found = len(distinct_rows(np.asarray(check_matrix(vectors, name), np.float32)))
    if found < needed:
        raise InputError(f"{name}: {count_of(found, 'distinct row')}; at least {needed} are needed {reason}. {advice}")
