"""The tables of the paper, and the cases of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

from interlingua.aligners.registry import create_aligner, pair_use
from interlingua.bench.folder import COMPUTED_BY, Vectors, plain
from interlingua.core.arguments import (
    Bounds,
    check_choice,
    check_count,
    check_instance,
    check_path,
    check_settings,
    check_texts,
)
from interlingua.core.errors import InputError

__all__ = ["ABLATIONS", "ELSEWHERE", "TABLES", "Case", "Plan", "Table", "table_of"]

_CLIP = "clip"
# The ablations of Table 6 as settings of `interlingua.neural`.
ABLATIONS: Mapping[str, Mapping[str, float]] = {
    "full": {},
    "-vsp": {"vsp": 0.0, "cycle_vsp": 0.0},
    "-cycle": {"cycle": 0.0, "cycle_vsp": 0.0},
    "-latent": {"latent_adversarial": 0.0},
    "-vsp -cycle": {"vsp": 0.0, "cycle": 0.0, "cycle_vsp": 0.0},
}


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: heading of the table.
        paper: the corpora in its columns in the paper; ours are compared with them one by one.
        columns: heading, figure and how the seeds are aggregated (``median``, ``min``, ``max`` or ``mean``).
        paper_columns: the paper's figures to print, heading and name.
    """

    title: str
    paper: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    paper_columns: tuple[tuple[str, str], ...]


_RETRIEVAL = (
    ("cosine", "cosine", "median"),
    ("top-1", "top1", "median"),
    ("worst", "top1", "min"),
    ("mean rank", "mean_rank", "median"),
    ("naive top-1", "naive_top1", "median"),
    ("oracle top-1", "oracle_top1", "median"),
)
_PAPER = (("cosine", "cosine"), ("top-1", "top1"), ("mean rank", "mean_rank"))

TABLES: Mapping[str, Table] = {
    "in-distribution": Table("Texts like those of the fit", ("nq",), _RETRIEVAL, _PAPER),
    "out-of-distribution": Table("Texts of other kinds than the fit's", ("tweets", "mimic"), _RETRIEVAL, _PAPER),
    "clip": Table("The text tower of an image model", ("nq",), _RETRIEVAL, _PAPER),
    "data-efficiency": Table("Fewer source rows", (), _RETRIEVAL[:4], _PAPER),
    "seeds": Table(
        "How many seeds converge",
        ("nq",),
        (("top-1 >= 0.8", "right", "mean"), ("aligned", "aligned", "mean"), ("worst top-1", "top1", "min")),
        (("top-1 >= 0.8", "right"),),
    ),
    "ablations": Table("The paper's method without its parts", (), _RETRIEVAL[:4], _PAPER),
    "attributes": Table(
        "Labels from vectors",
        ("tweets", "mimic"),
        (
            ("top-k", "top", "median"),
            ("worst", "top", "min"),
            ("majority", "majority", "median"),
            ("shuffled", "shuffled", "median"),
            ("naive", "naive", "median"),
            ("ideal", "ideal", "median"),
        ),
        (("top-k", "top"),),
    ),
    "inversion": Table(
        "Words from vectors",
        ("enron", "tweets"),
        (
            ("leaking", "leak_rate", "median"),
            ("wrong document", "control", "max"),
            ("precision", "precision", "median"),
            ("true vectors", "ideal", "median"),
        ),
        (("judged leaking", "leak_rate"),),
    ),
}


def table_of(name: str) -> Table:
    """Return a table by its name.

    Raises:
        InputError: there is no such table.
    """
    return TABLES[check_choice(name, "table", tuple(TABLES))]


# Tables measured on other corpora, which are scored whole. The others use held-out texts of the fit's corpus.
ELSEWHERE = ("out-of-distribution", "attributes", "inversion")


@dataclass(frozen=True)
class Case:
    """One cell: a fit of two encoders and the corpus it is measured on."""

    source: str
    target: str
    column: str
    seed: int

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @property
    def key(self) -> str:
        """Return a key that is unique within the plan."""
        return f"{self.source} -> {self.target}/{self.column}/{self.seed}"


@dataclass(frozen=True)
class Plan:
    """One table over encoders and seeds.

    Attributes:
        table: name of the table.
        vectors: the folder of vectors.
        out: the folder of records, fits and pages.
        corpus: the corpus of the fits.
        on: other corpora to measure on.
        encoders: all pairs of them are fitted.
        seeds: random seeds; each decides a split of the rows and a fit.
        rows: most rows per side; for ``data-efficiency`` the numbers of source rows.
        pool: candidates in retrieval.
        k: the k of the top-k figure in ``attributes``.
        method: method of the fits.
        settings: settings of the method.
        oracle_rows: rows for the oracle couplings; 0 runs none.
    """

    table: str
    vectors: Vectors
    out: Path
    corpus: str
    encoders: tuple[str, ...]
    on: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    rows: tuple[int, ...] = ()
    pool: int = 8192
    k: int = 1
    method: str = "linear"
    settings: Mapping[str, Any] = field(default_factory=dict)
    oracle_rows: int = 0

    bounds: ClassVar[Bounds] = {"pool": {"minimum": 2}, "k": {"minimum": 1}}

    def __post_init__(self) -> None:
        """Refuse a plan that has no cell."""
        check_settings(self)
        table_of(self.table)
        check_instance(self.vectors, "vectors", Vectors, "a folder as Vectors(path)")
        check_instance(self.settings, "settings", Mapping, "a mapping")
        check_path(self.out, "out")
        for name in (self.corpus, *check_texts(self.on, "on"), *check_texts(self.encoders, "encoders")):
            plain(name)
        for name in ("seeds", "rows"):
            check_instance(getattr(self, name), name, tuple, "a tuple of numbers")
            for number in getattr(self, name):
                check_count(number, name)
        others = sorted(set(self.vectors.encoders(self.corpus)) - set(self.encoders))
        if len(set(self.encoders)) == 1 and others:
            raise InputError(
                f"Only the encoder {self.encoders[0]} was given; two are needed, and {self.corpus} has vectors under "
                f"{', '.join(others)} too.",
                "Name at least two with {encoders=NAME}, or none for all of them.",
            )
        if len(set(self.encoders)) < 2:
            found = ", ".join(self.encoders) or "no encoder"
            has = ", ".join(self.vectors.corpora()[:8]) or "none"
            state = f"the corpora there are: {has}" if self.vectors.path.is_dir() else "that folder does not exist"
            raise InputError(
                f"The corpus {self.corpus} has vectors under {found} in {self.vectors.path}, looked for as "
                f"{self.corpus}.ENCODER.npy; two encoders are needed, and {state}.",
                "Either put such files there, [n, d] with the same text in row i under every encoder, and name the "
                "folder with {vectors=DIR} and the corpus with {corpus=NAME}; or compute them (extra: bench) with "
                f"{COMPUTED_BY}, where {{models=...}} and {{files=...}} add encoders and texts of your own.",
            )
        if self.table == "clip" and _CLIP not in self.encoders:
            raise InputError(f"The table clip needs an encoder called {_CLIP}; there are {', '.join(self.encoders)}.")
        if self.table in ELSEWHERE and not self.on:
            raise InputError(
                f"The table {self.table} needs other corpora than that of the fit, and none was given.",
                "Name them with {on=CORPUS}.",
            )
        if self.table == "data-efficiency" and not self.rows:
            raise InputError(
                "The table data-efficiency needs the numbers of source rows, and none was given.",
                "Name them with {rows=N}.",
            )
        if self.table != "data-efficiency" and len(self.rows) > 1:
            raise InputError(f"The table {self.table} takes one number of rows and got {len(self.rows)}.")
        if self.method != "auto" and pair_use(create_aligner(self.method, **self.settings)) == "required":
            raise InputError(
                f"The method {self.method} needs known pairs, and the fits of these tables have none.",
                "Choose a method without pairs, such as linear.",
            )
        if not self.seeds:
            raise InputError("No seed was given; at least one is needed.")

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        if self.table == "ablations":
            return tuple(ABLATIONS)
        if self.table == "data-efficiency":
            return tuple(map(str, self.rows))
        return self.on if self.table in ELSEWHERE else (self.corpus,)

    def cases(self) -> Iterator[Case]:
        """Yield one case per pair of encoders, measured in both directions, one seed after the other."""
        for seed in self.seeds:
            for a, b in combinations(self.encoders, 2):
                if self.table != "clip" or _CLIP in (a, b):
                    yield from (Case(a, b, column, seed) for column in self.columns())
