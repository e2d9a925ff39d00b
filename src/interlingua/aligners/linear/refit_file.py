"""Refits of a consensus on disk, so that an interrupted one continues where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from interlingua.core.arrays import FloatArray
from interlingua.core.atomic import atomic_file

__all__ = ["RefitFile"]

# Refits of large problems take longer than this, and each is then saved.
_SAVE_SECONDS = 20.0


class RefitFile:
    """The sum of the refits that are done, with the state of their random generator.

    Args:
        path: the file; it is read and replaced, and its folder is made.

    The file is used only by a consensus of the same rows, start, seed and device, which is then the same to the last
    bit as one that was not interrupted. Any other file at this path is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = ""
        self._saved = time.perf_counter()

    def identify(self, arrays: Sequence[FloatArray], *words: object) -> None:
        """Set what the consensus depends on: its arrays, and other values by their ``repr``."""
        digest = hashlib.blake2b(repr(words).encode(), digest_size=16)
        for array in arrays:
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        self._identity = digest.hexdigest()

    def load(self, total: FloatArray, rng: np.random.Generator) -> int:
        """Fill the sum and restore the generator; return how many refits the sum has, 0 without a file to continue."""
        try:
            with safe_open(self._path, "numpy") as file:
                facts = file.metadata() or {}
                saved = file.get_tensor("total")
            if facts.get("identity") != self._identity or saved.shape != total.shape:
                return 0
            rng.bit_generator.state = json.loads(facts["rng"])
            total[:] = saved
            return int(facts["refits"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            # Nothing is lost but time: the refits are made again.
            return 0

    def save(self, total: FloatArray, rng: np.random.Generator, refits: int, *, last: bool) -> None:
        """Replace the file after the last refit, and when it is old."""
        if not last and time.perf_counter() - self._saved < _SAVE_SECONDS:
            return
        facts = {"identity": self._identity, "refits": str(refits), "rng": json.dumps(rng.bit_generator.state)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as fresh:
            fresh.write_bytes(save({"total": total}, facts))
        self._saved = time.perf_counter()
