"""A folder of corpora under encoders: CORPUS.ENCODER.npy, CORPUS.texts.jsonl, CORPUS.labels.ENCODER.npy."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from interlingua.core.arguments import check_instance, check_path, check_text
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.io import open_vectors, read_labels, read_texts
from interlingua.leakage._checks import check_label_rows, check_members

__all__ = ["COMPUTED_BY", "Vectors", "label_names", "plain"]

# What computes missing vectors, for messages.
COMPUTED_BY = "interlingua.bench.encode.VectorBuilder, or on the command line with `interlingua bench --encode`"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True)
class Vectors:
    """The files of a folder by corpus and encoder; row i is the same text under every encoder.

    Attributes:
        path: the folder.
    """

    path: Path
    # By path, size and time of change: files are read once, unless they change.
    _digests: dict[tuple[Path, int, int], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Not by assignment, which a frozen dataclass refuses.
        object.__setattr__(self, "path", check_path(self.path))

    def encoders(self, corpus: str) -> tuple[str, ...]:
        """Return the encoders that a corpus has vectors of, in alphabetical order."""
        corpus = plain(corpus)
        names = (p.name.removeprefix(f"{corpus}.").removesuffix(".npy") for p in self.path.glob(f"{corpus}.*.npy"))
        return tuple(sorted(name for name in names if not name.startswith("labels.")))

    def corpora(self) -> tuple[str, ...]:
        """Return the corpora with vectors of any encoder, in alphabetical order; a name ends at its first dot."""
        return tuple(sorted({path.name.split(".")[0] for path in self.path.glob("*.*.npy")}))

    def rows(self, corpus: str, encoder: str) -> FloatArray:
        """Return the vectors of a corpus [n, d], float32.

        Raises:
            InputError: there are none, or the file cannot be used.
        """
        return np.asarray(open_vectors(self._need(self.vectors_path(corpus, encoder))).vectors(), np.float32)

    def texts(self, corpus: str) -> list[str]:
        """Return the texts of a corpus, row by row.

        Raises:
            InputError: as :meth:`rows`.
        """
        return read_texts(self._need(self.texts_path(corpus)))

    def labels(self, corpus: str) -> list[tuple[str, ...]]:
        """Return the labels of every text.

        Raises:
            InputError: as :meth:`rows`, or the texts have no labels.
        """
        return read_labels(self._need(self.texts_path(corpus)))

    def label_rows(self, corpus: str, encoder: str) -> FloatArray:
        """Return the vectors of a corpus's labels [templates, labels, d], the labels in alphabetical order.

        Raises:
            InputError: as :meth:`rows`.
        """
        rows = np.load(self._need(self.labels_path(corpus, encoder)), allow_pickle=False)
        return np.asarray(rows, np.float32)

    def fingerprint(self, paths: Iterable[Path]) -> str:
        """Return a digest of the names and contents of some files of the folder, 16 hexadecimal digits.

        Raises:
            InputError: a file is missing.
        """
        check_instance(paths, "paths", Iterable, "a sequence of paths")
        files = check_members(list(paths), "paths", Path, "paths")
        parts = {path.name: self._digest(self._need(path)) for path in files}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _digest(self, path: Path) -> str:
        facts = path.stat()
        key = (path, facts.st_size, facts.st_mtime_ns)
        if key not in self._digests:
            with path.open("rb") as stream:
                self._digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._digests[key]

    def vectors_path(self, corpus: str, encoder: str) -> Path:
        """Return the path of the vectors of a corpus, which need not exist."""
        return self.path / f"{plain(corpus)}.{plain(encoder)}.npy"

    def texts_path(self, corpus: str) -> Path:
        """Return the path of the texts of a corpus, which need not exist."""
        return self.path / f"{plain(corpus)}.texts.jsonl"

    def labels_path(self, corpus: str, encoder: str) -> Path:
        """Return the path of the vectors of a corpus's labels, which need not exist."""
        return self.path / f"{plain(corpus)}.labels.{plain(encoder)}.npy"

    def _need(self, path: Path) -> Path:
        if not path.is_file():
            names = ", ".join(sorted(p.name for p in self.path.glob("*.npy"))[:12]) or "no vectors"
            raise InputError(
                f"{path} does not exist; the folder has {names}. Add the file, or compute it with {COMPUTED_BY}."
            )
        return path


def label_names(labels: Sequence[Sequence[str]]) -> list[str]:
    """Return all labels that occur, in order."""
    return sorted(set().union(*check_label_rows(labels)))


def plain(name: str) -> str:
    """Return a name that is safe inside a file name.

    Raises:
        InputError: it is not.
    """
    if not _NAME.fullmatch(check_text(name, "name")) or name.startswith("labels."):
        raise InputError(f"{name!r} names no corpus or encoder; use letters, digits, '.', '_' and '-'.")
    return name
