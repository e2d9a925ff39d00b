"""A planted fit and the page of its report: fixtures and types for the tests of reports."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.core.alignment import Alignment, Evidence, Status, Verdict
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.spaces import EmbeddingSpace
from interlingua.evaluation import evaluate
from interlingua.report import _rows

N, D_SOURCE, D_TARGET = 300, 12, 8
VOID = {"meta", "link", "br", "img", "hr"}


@pytest.fixture
def spaces(rng: np.random.Generator) -> tuple[EmbeddingSpace, EmbeddingSpace]:
    """The same texts in two frames, an exact isometry apart."""
    return planted_spaces(rng, N)


def planted_spaces(rng: np.random.Generator, n: int) -> tuple[EmbeddingSpace, EmbeddingSpace]:
    latent = rng.standard_normal((n, D_TARGET)) * np.geomspace(3, 1, D_TARGET)
    frame = np.linalg.qr(np.random.default_rng(1).standard_normal((D_SOURCE, D_TARGET)))[0]
    rows = (latent / np.linalg.norm(latent, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"text-{i}" for i in range(n)]
    return EmbeddingSpace((rows @ frame.T).astype(np.float32), ids=ids, name="Left"), EmbeddingSpace(rows, name="Right")


@pytest.fixture
def alignment(spaces: tuple[EmbeddingSpace, EmbeddingSpace]) -> Alignment:
    source, target = spaces
    matrix = np.linalg.lstsq(source.vectors, target.vectors, rcond=1e-4)[0].astype(np.float32)
    zeros = np.zeros(D_SOURCE, np.float32), np.zeros(D_TARGET, np.float32)
    evidence = (
        Evidence("half_agreement", 0.9, 0.1, 0.5, True, "Two fits agree."),
        Evidence("density_gap", 0.2, 0.3, 0.05, False, "Densities differ."),
    )
    return Alignment(
        forward=AffineMap(zeros[0], matrix, zeros[1]),
        backward=AffineMap(zeros[1], np.ascontiguousarray(matrix.T), zeros[0]),
        verdict=Verdict(Status.ALIGNED, 0.93, ("It was made so.",), evidence),
        method="planted",
        seed=0,
        settings={"rounds": 3},
        source=source.describe(),
        target=target.describe(),
        profiles=(SpaceProfile.of(source.vectors), SpaceProfile.of(target.vectors)),
        versions={"numpy": np.__version__},
        seconds=1.25,
    )


@pytest.fixture
def everything(alignment: Alignment, spaces: tuple[EmbeddingSpace, EmbeddingSpace]) -> dict[str, Any]:
    source, target = spaces
    return {
        "evaluation": evaluate(alignment.translator(), source, target, bootstrap=50),
        "source": source,
        "target": target,
        "source_eval": source,
        "target_eval": target,
        "labels": {side: [f"topic {i % 12}" for i in range(N)] for side in ("source", "target", "eval")},
    }


class Page(HTMLParser):
    """What a browser would see: elements, their attributes and the headings; refuses unbalanced tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open or not data.strip():
            return
        self.text.append(data.strip())
        if {"h1", "h2"} & set(self._open):
            self.headings.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def drawn(alignment: Alignment, everything: dict[str, Any], rng: np.random.Generator) -> _rows.PicturedRows:
    sides = everything["source_eval"], everything["target_eval"]
    return _rows.draw_paired(alignment.translator(), *sides, everything["labels"], rng)
