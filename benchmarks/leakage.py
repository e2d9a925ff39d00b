"""Leakage through an unpaired translation; one JSON line per case. Finished cases in the output are skipped.

    python benchmarks/leakage.py SUITE --vectors DIR --translators DIR --out benchmarks/results/leakage-SUITE.jsonl

Suites: ``keywords`` (the calibrated decoder), ``attributes`` (topics of tweets, specialties of medical notes),
``adapted`` (the same for one half of them, with translations adapted to the other half in the known space),
``inversion`` (retrieval and words as text, re-identification) and ``decoder`` (the small text decoder).
``--vectors`` holds what ``encode.py`` wrote.
A fit sees one half of a corpus under the one encoder and the other half under the other, and no pair; 2,000 texts of
the corpus are held out as the leaked documents. Fits are kept in ``--translators`` and shared by the suites.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import encode
import numpy as np
from records import append, read_records, seed_range

import interlingua as il
from interlingua.core.translator import Translator, load
from interlingua.evaluation import evaluate
from interlingua.leakage.adaptation import adapt
from interlingua.leakage.attributes import AttributeInference, infer_attributes, label_scores, truth_matrix
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.defenses import Rotation
from interlingua.leakage.inversion import CorpusRetrieval, Extraction, KeywordDecoder, TextDecoder
from interlingua.leakage.inversion.scores import reidentification, reliability, score_keywords, score_texts
from interlingua.leakage.inversion.words import tokens

HELD = 2_000
FITS = (
    ("debian", "minilm", "model2vec"),
    ("clickbait", "minilm", "model2vec"),
    ("nq-open", "minilm", "model2vec"),
    ("medquad", "minilm", "model2vec"),
    ("nq-open", "minilm", "paraphrase"),
    ("debian", "use", "model2vec"),
    ("debian", "use", "wordllama"),
    ("medquad", "use", "wordllama"),
    ("clickbait", "use", "wordllama"),
)
# The text decoder that one thread trains in minutes.
WRITER = {"size": 4_000, "hidden": 256, "length": 16, "epochs": 4}
# The stand-in for the calibration of the keyword decoder: neither the victim's encoder nor the known one.
STAND_INS = {
    ("minilm", "model2vec"): "use",
    ("minilm", "paraphrase"): "use",
    ("use", "model2vec"): "minilm",
    ("use", "wordllama"): "minilm",
}


@dataclass(frozen=True)
class Case:
    """An unpaired fit, and the corpus of the documents that are attacked."""

    corpus: str
    victim: str
    known: str
    seed: int
    documents: str = ""

    @property
    def key(self) -> str:
        """Return the unique name of the case."""
        return f"{self.corpus}/{self.victim}/{self.known}/{self.seed}/{self.documents or self.corpus}"


@dataclass(frozen=True)
class Folders:
    """Folders of vectors, texts and fits."""

    data: Path
    vectors: Path
    translators: Path

    def rows(self, corpus: str, encoder: str) -> np.ndarray[Any, Any]:
        """Return the vectors of a corpus."""
        return np.load(self.vectors / f"{corpus}.{encoder}.npy").astype(np.float32)

    def texts(self, corpus: str) -> list[str]:
        """Return the texts of a corpus, row by row."""
        lines = (self.vectors / f"{corpus}.texts.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line)["text"] for line in lines]


def cases(suite: str, seeds: range) -> Iterator[Case]:
    """Yield the cases of a suite; attributes are inferred in both directions of every fit."""
    for seed in seeds:
        for corpus, a, b in FITS:
            if suite in ("attributes", "adapted"):
                for documents in encode.LABELLED:
                    yield from (Case(corpus, *pair, seed, documents) for pair in ((a, b), (b, a)))
            else:
                yield Case(corpus, a, b, seed)


@cache
def fitted(corpus: str, a: str, b: str, seed: int, folders: Folders) -> tuple[Translator, dict[str, Any]]:
    """Return an unpaired fit, new or kept, with its verdict and its scores on the held-out texts."""
    held, rest = split(corpus, a, seed, folders)
    x, y = folders.rows(corpus, a), folders.rows(corpus, b)
    folder = folders.translators / f"{corpus}.{a}.{b}.{seed}"
    if not folder.exists():
        half = len(rest) // 2
        alignment = il.align(x[rest[:half]], y[rest[half:]], seed=seed)
        alignment.translator(force=True).save(folder)
    translator = load(folder)
    scores = evaluate(translator, x[held], y[held], pool=HELD, bootstrap=0).to_dict()
    keep = ("cosine", "cosine_centered", "top1", "mean_rank")
    directions = {name: {k: scores[name][k] for k in keep} for name in ("forward", "backward")}
    return translator, {"rows": len(rest) // 2, "verdict": translator.card["verdict"]["status"], **directions}


def split(corpus: str, encoder: str, seed: int, folders: Folders) -> tuple[Any, Any]:
    """Return the held-out rows and the other rows."""
    order = np.random.default_rng(seed).permutation(len(folders.rows(corpus, encoder)))
    return order[:HELD], order[HELD:]


def keywords(case: Case, folders: Folders) -> dict[str, Any]:
    """Predict words of held-out documents; trained on all other texts of the corpus in the known space."""
    translator, fit = fitted(case.corpus, case.victim, case.known, case.seed, folders)
    held, rest = split(case.corpus, case.victim, case.seed, folders)
    texts = folders.texts(case.corpus)
    known = folders.rows(case.corpus, case.known)
    documents = [texts[i] for i in held]
    stand_in = STAND_INS[case.victim, case.known]
    start = time.perf_counter()
    decoder = KeywordDecoder.fit(
        known[rest], [texts[i] for i in rest], stand_in=folders.rows(case.corpus, stand_in)[rest], seed=case.seed
    )
    seconds = time.perf_counter() - start
    sides = {
        "translated": translator.translate(folders.rows(case.corpus, case.victim)[held]),
        "native": known[held],
    }
    figures = {
        side: score_keywords(
            decoder.invert(z, mean=collection_mean(z)), documents, decoder.vocabulary, seed=case.seed
        ).to_dict()
        for side, z in sides.items()
    }
    bins = reliability(
        decoder.probabilities(sides["translated"], mean=collection_mean(sides["translated"])),
        documents,
        decoder.vocabulary,
    )
    return {
        "fit": fit,
        "texts": len(rest),
        "words": len(decoder.vocabulary.words),
        "most": float(decoder.vocabulary.shares.max()),
        "stand_in": stand_in,
        "stand_in_cosine": decoder.translation_cosine,
        "seconds": round(seconds, 1),
        "figures": figures,
        "reliability": [asdict(row) for row in bins],
    }


@dataclass(frozen=True, eq=False)
class Labeled:
    """Documents with labels and their vectors in both spaces.

    Attributes:
        victim: vectors under the victim's encoder [n, d_victim].
        known: the true vectors of the known space [n, d_known].
        translated: translations of ``victim`` [n, d_known].
        truth: true labels [n, l].
        names: names of l labels.
        labels: vectors of the labels in the known space.
    """

    victim: Any
    known: Any
    translated: Any
    truth: Any
    names: list[str]
    labels: Any

    def infer(self, rows: Any, vectors: Any, seed: int) -> AttributeInference:
        """Infer labels of some of the documents from vectors, with naive and ideal vectors as references."""
        return infer_attributes(
            vectors, self.labels, self.truth[rows], self.names,
            naive=self.victim[rows], ideal=self.known[rows], seed=seed,
        )  # fmt: skip


def labeled(case: Case, folders: Folders) -> tuple[Labeled, dict[str, Any]]:
    """Return labeled documents of another corpus, translated forward or backward by the fit, and the fit."""
    forward = (case.corpus, case.victim, case.known) in FITS
    a, b = (case.victim, case.known) if forward else (case.known, case.victim)
    translator, fit = fitted(case.corpus, a, b, case.seed, folders)
    own_labels = encode.labels(folders.data / "corpora", case.documents)
    names = sorted(set().union(*own_labels.values()))
    victim = folders.rows(case.documents, case.victim)
    documents = Labeled(
        victim=victim,
        known=folders.rows(case.documents, case.known),
        translated=translator.translate(victim) if forward else translator.invert(victim),
        truth=truth_matrix([sorted(own_labels[text.lower()]) for text in folders.texts(case.documents)], names),
        names=names,
        labels=np.load(folders.vectors / f"{case.documents}.labels.{case.known}.npy"),
    )
    return documents, fit


def attributes(case: Case, folders: Folders) -> dict[str, Any]:
    """Infer the labels of documents from their translations."""
    documents, fit = labeled(case, folders)
    return {"fit": fit, **documents.infer(slice(None), documents.translated, case.seed).to_dict()}


def adaptation(case: Case, folders: Folders) -> dict[str, Any]:
    """Infer the labels of one half of the documents, with translations adapted to the other half.

    Top-1 of controls: ``plain`` is the translation without adaptation, ``turned`` starts from a translation rotated at
    random, ``elsewhere`` adapts to texts of the fit's corpus, ``ideal_adapted`` adapts the true vectors.
    """
    documents, fit = labeled(case, folders)
    leaked, other = np.array_split(np.random.default_rng(case.seed).permutation(len(documents.truth)), 2)
    victim, translated, known = (z[leaked] for z in (documents.victim, documents.translated, documents.known))
    public, elsewhere = documents.known[other], folders.rows(case.corpus, case.known)[: 5 * len(other)]
    mean = translated.mean(axis=0)
    controls = {
        "turned": adapt(victim, Rotation().apply(translated - mean, case.seed) + mean, public),
        "elsewhere": adapt(victim, translated, elsewhere),
        "ideal_adapted": adapt(known, known, public),
        "plain": translated,
    }
    best = {
        side: label_scores(z, documents.labels, mean=collection_mean(z)).argmax(axis=1) for side, z in controls.items()
    }
    found = documents.infer(leaked, adapt(victim, translated, public), case.seed)
    return {
        "fit": fit,
        "leaked": len(leaked),
        "public": len(other),
        "controls": {side: float(documents.truth[leaked, first].mean()) for side, first in best.items()},
        **found.to_dict(),
    }


def inversion(case: Case, folders: Folders) -> dict[str, Any]:
    """Reconstruct held-out documents by the nearest other text of the corpus, and re-identify them."""
    translator, fit = fitted(case.corpus, case.victim, case.known, case.seed, folders)
    held, rest = split(case.corpus, case.victim, case.seed, folders)
    texts = folders.texts(case.corpus)
    known = folders.rows(case.corpus, case.known)
    documents, public = [texts[i] for i in held], [texts[i] for i in rest]
    retrieval = CorpusRetrieval.of(known[rest], public)
    sides = {"translated": translator.translate(folders.rows(case.corpus, case.victim)[held]), "native": known[held]}
    figures: dict[str, Any] = {}
    for side, z in sides.items():
        found: list[Extraction] = retrieval.invert(z, mean=collection_mean(z))
        texts_scored = score_texts(found, documents, floor=public, seed=case.seed).to_dict()
        figures[side] = {**texts_scored, **reidentification(z, known[held]).to_dict()}
    return {"fit": fit, "texts": len(rest), "figures": figures}


def decoder(case: Case, folders: Folders) -> dict[str, Any]:
    """Reconstruct held-out documents with the small text decoder, and count words that are also asserted."""
    translator, fit = fitted(case.corpus, case.victim, case.known, case.seed, folders)
    held, rest = split(case.corpus, case.victim, case.seed, folders)
    held = held[:500]
    texts = folders.texts(case.corpus)
    known = folders.rows(case.corpus, case.known)
    documents, public = [texts[i] for i in held], [texts[i] for i in rest]
    stand_in = folders.rows(case.corpus, STAND_INS[case.victim, case.known])[rest]
    words = KeywordDecoder.fit(known[rest], public, stand_in=stand_in, seed=case.seed)
    start = time.process_time()
    writer = TextDecoder.fit(
        known[rest], public, keywords=words, translation_cosine=words.translation_cosine, seed=case.seed, **WRITER
    )
    seconds = time.process_time() - start
    sides = {"translated": translator.translate(folders.rows(case.corpus, case.victim)[held]), "native": known[held]}
    figures: dict[str, Any] = {}
    for side, z in sides.items():
        found = writer.invert(z, mean=collection_mean(z))
        figures[side] = score_texts(found, documents, floor=public, seed=case.seed).to_dict()
        written = [set(tokens(e.text or "")) for e in found]
        true = [set(tokens(text)) for text in documents]
        backed = [own & set(e.asserted()) for own, e in zip(written, found, strict=True)]
        for name, sets in (("written", written), ("backed", backed)):
            right = sum(len(own & real) for own, real in zip(sets, true, strict=True))
            figures[side][name] = {
                "words": sum(map(len, sets)) / len(sets),
                "right": right / max(sum(map(len, sets)), 1),
            }
    return {"fit": fit, "texts": len(rest), "seconds": round(seconds, 1), "settings": WRITER, "figures": figures}


SUITES = {
    "keywords": keywords,
    "attributes": attributes,
    "adapted": adaptation,
    "inversion": inversion,
    "decoder": decoder,
}


def main() -> None:
    """Run a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--translators", type=Path, default=Path("benchmarks/translators"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=seed_range, default="0:3", help="first:last")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    parser.add_argument("--cached", action="store_true", help="only cases whose fit is kept")
    arguments = parser.parse_args()
    folders = Folders(arguments.data, arguments.vectors, arguments.translators)
    out = arguments.out or Path(f"benchmarks/results/leakage-{arguments.suite}.jsonl")
    done = {record["key"] for record in read_records(out)}
    for case in cases(arguments.suite, arguments.seeds):
        kept = any(
            (folders.translators / f"{case.corpus}.{a}.{b}.{case.seed}").exists()
            for a, b in ((case.victim, case.known), (case.known, case.victim))
        )
        if case.key in done or arguments.only not in case.key or (arguments.cached and not kept):
            continue
        record = {"key": case.key, **asdict(case), **SUITES[arguments.suite](case, folders)}
        append(out, [record])
        sys.stderr.write(f"{case.key}: done\n")


if __name__ == "__main__":
    main()
