"""One code for numpy arrays on the CPU and torch tensors on any device.

numpy 2 speaks the array API; torch does through ``array-api-compat``. What the standard lacks stands here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["Array", "largest", "namespace", "take", "to_device", "to_numpy"]

# An array of either backend. The array API has no static type yet.
Array = Any

_LINES = 256


def namespace(x: Array) -> Any:
    """Return the array namespace that ``x`` belongs to."""
    return np if isinstance(x, np.ndarray) else require("array_api_compat.torch", "torch")


def to_device(x: np.ndarray[Any, Any], device: str) -> Array:
    """Return ``x`` as it is for ``"cpu"``, otherwise as a tensor on a torch device such as ``"cuda"``.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: torch does not have that device.
    """
    if device == "cpu":
        return x
    torch = require("torch", "torch")
    try:
        return torch.as_tensor(x, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} is not there ({error}); use device='cpu'.") from error


def to_numpy(x: Array) -> Any:
    """Return ``x`` as a numpy array."""
    return x if isinstance(x, np.ndarray) else x.detach().cpu().numpy()


def take(x: Array, index: np.ndarray[Any, Any]) -> Array:
    """Return the rows of ``x`` at a numpy index."""
    return x[index] if isinstance(x, np.ndarray) else x[namespace(x).asarray(index, device=x.device)]


def largest(x: Array, k: int, *, axis: int) -> Array:
    """Return the ``k`` largest values along ``axis`` of ``x`` [n, m], unsorted, one line a row: [n, k] or [m, k]."""
    if not isinstance(x, np.ndarray):
        return x.topk(k, dim=axis, sorted=False).values.movedim(axis, 1)
    lines = x if axis == 1 else x.T
    # Blocks that fit the cache, a few at a time: numpy partitions without the interpreter's lock.
    blocks = [lines[start : start + _LINES] for start in range(0, len(lines), _LINES)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(
            list(pool.map(lambda b: np.partition(np.ascontiguousarray(b), -k, axis=1)[:, -k:], blocks))
        )
