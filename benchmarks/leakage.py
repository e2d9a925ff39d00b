"""What leaks through an unpaired translation; one JSON line a case, appended, resumed where it stopped.

    python benchmarks/leakage.py SUITE --vectors DIR --translators DIR --out benchmarks/results/leakage-SUITE.jsonl

Suites: ``keywords`` (the calibrated decoder), ``attributes`` (topics of tweets, specialties of medical notes),
``adapted`` (the same for one half of them, translations learned again among the other half in the known space),
``inversion`` (retrieval and words as text, re-identification) and ``decoder`` (the small text decoder).
``--vectors`` holds what ``encode.py`` wrote.
A fit sees one half of a corpus under the one encoder and the other half under the other, and no pair; 2,000 texts of
the corpus take part in nothing and stand for the leaked documents. Fits are kept in ``--translators`` and shared by
suites.
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
# The encoder whose errors calibrate the keyword decoder: public, and neither the victim's nor the known one.
STAND_INS = {
    ("minilm", "model2vec"): "use",
    ("minilm", "paraphrase"): "use",
    ("use", "model2vec"): "minilm",
    ("use", "wordllama"): "minilm",
}


@dataclass(frozen=True)
class Case:
    """One unpaired fit, and where the documents come from that are then attacked."""

    corpus: str
    victim: str
    known: str
    seed: int
    documents: str = ""

    @property
    def key(self) -> str:
        """Return what tells this case from all others."""
        return f"{self.corpus}/{self.victim}/{self.known}/{self.seed}/{self.documents or self.corpus}"


@dataclass(frozen=True)
class Folders:
    """Where vectors, texts and fits are."""

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
    """Yield the cases of a suite; attributes are asked in both directions of every fit."""
    for seed in seeds:
        for corpus, a, b in FITS:
            if suite in ("attributes", "adapted"):
                for documents in encode.LABELLED:
                    yield from (Case(corpus, *way, seed, documents) for way in ((a, b), (b, a)))
            else:
                yield Case(corpus, a, b, seed)


@cache
def fitted(corpus: str, a: str, b: str, seed: int, folders: Folders) -> tuple[Translator, dict[str, Any]]:
    """Return an unpaired fit, made or read, with its verdict and scores on the texts that were held out."""
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
    ways = {way: {k: scores[way][k] for k in keep} for way in ("forward", "backward")}
    return translator, {"rows": len(rest) // 2, "verdict": translator.card["verdict"]["status"], **ways}


def split(corpus: str, encoder: str, seed: int, folders: Folders) -> tuple[Any, Any]:
    """Return the rows held out and the others."""
    order = np.random.default_rng(seed).permutation(len(folders.rows(corpus, encoder)))
    return order[:HELD], order[HELD:]


def keywords(case: Case, folders: Folders) -> dict[str, Any]:
    """Claim words of held-out documents; trained on all other texts of the corpus in the known space."""
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
    ways = {
        "translated": translator.translate(folders.rows(case.corpus, case.victim)[held]),
        "native": known[held],
    }
    figures = {
        way: score_keywords(
            decoder.invert(z, mean=collection_mean(z)), documents, decoder.vocabulary, seed=case.seed
        ).to_dict()
        for way, z in ways.items()
    }
    bins = reliability(
        decoder.probabilities(ways["translated"], mean=collection_mean(ways["translated"])),
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
class Labelled:
    """Documents with labels, and everything that is known of them on either side.

    Attributes:
        victim: vectors under the encoder in question [n, d_victim].
        known: the true vectors of the known space [n, d_known].
        translated: what the fit makes of ``victim`` [n, d_known].
        truth: [n, l].
        names: l labels.
        labels: their vectors in the known space.
    """

    victim: Any
    known: Any
    translated: Any
    truth: Any
    names: list[str]
    labels: Any

    def infer(self, rows: Any, vectors: Any, seed: int) -> AttributeInference:
        """Return what vectors say of some of the documents, beside naive and ideal vectors."""
        return infer_attributes(
            vectors, self.labels, self.truth[rows], self.names,
            naive=self.victim[rows], ideal=self.known[rows], seed=seed,
        )  # fmt: skip


def labeled(case: Case, folders: Folders) -> tuple[Labelled, dict[str, Any]]:
    """Return documents of another corpus than the fit's, through the fit's forward or backward map, and the fit."""
    forward = (case.corpus, case.victim, case.known) in FITS
    a, b = (case.victim, case.known) if forward else (case.known, case.victim)
    translator, fit = fitted(case.corpus, a, b, case.seed, folders)
    carried = encode.labels(folders.data / "corpora", case.documents)
    names = sorted(set().union(*carried.values()))
    there = folders.rows(case.documents, case.victim)
    documents = Labelled(
        victim=there,
        known=folders.rows(case.documents, case.known),
        translated=translator.translate(there) if forward else translator.invert(there),
        truth=truth_matrix([sorted(carried[text.lower()]) for text in folders.texts(case.documents)], names),
        names=names,
        labels=np.load(folders.vectors / f"{case.documents}.labels.{case.known}.npy"),
    )
    return documents, fit


def attributes(case: Case, folders: Folders) -> dict[str, Any]:
    """Infer the labels of documents from their translations."""
    documents, fit = labeled(case, folders)
    return {"fit": fit, **documents.infer(slice(None), documents.translated, case.seed).to_dict()}


def adaptation(case: Case, folders: Folders) -> dict[str, Any]:
    """Infer the labels of one half of the documents with the help of the other half in the known space.

    Top-1 of controls: ``plain`` is the translation as it is, ``turned`` begins at a translation turned at random,
    ``elsewhere`` takes texts of the fit's corpus instead of the other half, ``ideal_adapted`` the true vectors.
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
        way: label_scores(z, documents.labels, mean=collection_mean(z)).argmax(axis=1) for way, z in controls.items()
    }
    found = documents.infer(leaked, adapt(victim, translated, public), case.seed)
    return {
        "fit": fit,
        "leaked": len(leaked),
        "public": len(other),
        "controls": {way: float(documents.truth[leaked, first].mean()) for way, first in best.items()},
        **found.to_dict(),
    }


def inversion(case: Case, folders: Folders) -> dict[str, Any]:
    """Reconstruct held-out documents by the nearest other text of the corpus, and single them out among all."""
    translator, fit = fitted(case.corpus, case.victim, case.known, case.seed, folders)
    held, rest = split(case.corpus, case.victim, case.seed, folders)
    texts = folders.texts(case.corpus)
    known = folders.rows(case.corpus, case.known)
    documents, public = [texts[i] for i in held], [texts[i] for i in rest]
    retrieval = CorpusRetrieval.of(known[rest], public)
    ways = {"translated": translator.translate(folders.rows(case.corpus, case.victim)[held]), "native": known[held]}
    figures: dict[str, Any] = {}
    for way, z in ways.items():
        found: list[Extraction] = retrieval.invert(z, mean=collection_mean(z))
        texts_scored = score_texts(found, documents, floor=public, seed=case.seed).to_dict()
        figures[way] = {**texts_scored, **reidentification(z, known[held]).to_dict()}
    return {"fit": fit, "texts": len(rest), "figures": figures}


def decoder(case: Case, folders: Folders) -> dict[str, Any]:
    """Write held-out documents with the small text decoder, and count what of it has evidence."""
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
    ways = {"translated": translator.translate(folders.rows(case.corpus, case.victim)[held]), "native": known[held]}
    figures: dict[str, Any] = {}
    for way, z in ways.items():
        found = writer.invert(z, mean=collection_mean(z))
        figures[way] = score_texts(found, documents, floor=public, seed=case.seed).to_dict()
        written = [set(tokens(e.text or "")) for e in found]
        true = [set(tokens(text)) for text in documents]
        backed = [own & set(e.asserted()) for own, e in zip(written, found, strict=True)]
        for name, sets in (("written", written), ("backed", backed)):
            right = sum(len(own & real) for own, real in zip(sets, true, strict=True))
            figures[way][name] = {
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
    parser.add_argument("--seeds", default="0:3", help="first:last")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    parser.add_argument("--cached", action="store_true", help="only cases whose fit is there already")
    arguments = parser.parse_args()
    folders = Folders(arguments.data, arguments.vectors, arguments.translators)
    out = arguments.out or Path(f"benchmarks/results/leakage-{arguments.suite}.jsonl")
    done = {json.loads(line)["key"] for line in out.read_text().splitlines()} if out.exists() else set()
    for case in cases(arguments.suite, range(*map(int, arguments.seeds.split(":")))):
        kept = any(
            (folders.translators / f"{case.corpus}.{a}.{b}.{case.seed}").exists()
            for a, b in ((case.victim, case.known), (case.known, case.victim))
        )
        if case.key in done or arguments.only not in case.key or (arguments.cached and not kept):
            continue
        record = {"key": case.key, **asdict(case), **SUITES[arguments.suite](case, folders)}
        with out.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        sys.stderr.write(f"{case.key}: done\n")


if __name__ == "__main__":
    main()
