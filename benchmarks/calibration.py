"""How far an audit's calibrated estimates are from the truth; one JSON line per case and calibration.

    python benchmarks/calibration.py --vectors DIR --translators DIR --most 4

A case is a corpus, a pair of encoders and a stand-in. A corpus is split into thirds. One third is audited under the
victim's encoder, the other two are the public text under the known encoder. The audited third is aligned with the last
third under the known encoder, and so is the other public third under the stand-in: no fit sees a pair, and both have
as many rows. The audit's estimates are compared with the true texts for each way to calibrate the decoder: with the
public text alone, with the stand-in and pairs, and with the stand-in and its fit.

``--vectors`` holds what ``encode.py`` wrote, and ``--translators`` keeps the fits; two cases that swap the victim and
the stand-in share them. Cases in the records are left out, so that a run can be stopped and continued. The errors are
summarized by ``interlingua.leakage.calibration``.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from records import append, arguments_with_translators, read_records, seed_range

import interlingua as il
from interlingua.cli.audit_fits import alignment_of
from interlingua.core.alignment import Alignment, Status
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.translator import load
from interlingua.leakage.audit import audit
from interlingua.leakage.calibration import CalibrationError
from interlingua.leakage.inputs import GroundTruth, PublicCorpus
from interlingua.leakage.inversion import KeywordDecoder
from interlingua.leakage.inversion.keywords import held_out_rows

# Corpora with fewer than 10,000 rows are left out: a third of them is too little for a fit, as earlier records show.
CORPORA = ("nq-open", "opentriviaqa", "clickbait", "wiki-split", "medquad", "clinc150", "banking77", "beir-queries")
# (victim, known, stand-in); a case whose vectors are not there is left out.
TRIPLES = (
    ("use", "minilm", "wordllama"),
    ("wordllama", "minilm", "use"),
    ("minilm", "wordllama", "use"),
    ("use", "wordllama", "minilm"),
    ("minilm", "use", "wordllama"),
    ("wordllama", "use", "minilm"),
    ("bge", "minilm", "wordllama"),
    ("wordllama", "minilm", "bge"),
    ("bge", "wordllama", "minilm"),
    ("minilm", "wordllama", "bge"),
    ("minilm", "use", "model2vec"),
    ("model2vec", "use", "minilm"),
    ("bge", "minilm", "model2vec"),
    ("model2vec", "minilm", "bge"),
    ("model2vec", "minilm", "wordllama"),
    ("wordllama", "minilm", "model2vec"),
    ("use", "wordllama", "model2vec"),
    ("model2vec", "wordllama", "use"),
    ("use", "model2vec", "wordllama"),
    ("wordllama", "model2vec", "use"),
)
RESULTS = Path(__file__).resolve().parent / "results" / "leakage-calibration.jsonl"
# The names that kept_name gives.
KEPT = re.compile(r"(?P<corpus>.+)\.(?P<encoder>\w+)\.(?P<known>\w+)\.(?P<seed>\d+)\.(?P<third>[01])")


def thirds(seed: int, n: int) -> list[Any]:
    """Return the rows of the three thirds of a corpus; the last one is the public text of every fit."""
    return np.array_split(np.random.default_rng(seed).permutation(n), 3)


def kept_name(corpus: str, encoder: str, known: str, seed: int, third: int) -> str:
    """Return the name of the folder that keeps the fit of a third under an encoder with the last third."""
    return f"{corpus}.{encoder}.{known}.{seed}.{third}"


@dataclass(frozen=True)
class Case:
    """A corpus, a pair of encoders, a stand-in and a seed."""

    corpus: str
    victim: str
    known: str
    stand_in: str
    seed: int

    @property
    def key(self) -> str:
        """Return the unique name of the case."""
        return f"{self.corpus}/{self.victim}/{self.known}/{self.stand_in}/{self.seed}"


def fitted(folder: Path, vectors: Any, public: Any, seed: int) -> tuple[Alignment, float]:
    """Return a fit without pairs and its processor seconds; it is kept in the folder."""
    times = folder.with_name(f"{folder.name}.seconds")
    if not folder.exists():
        started = time.process_time()
        alignment = il.align(vectors, public, seed=seed)
        times.parent.mkdir(parents=True, exist_ok=True)
        times.write_text(f"{time.process_time() - started:.1f}")
        alignment.translator(force=True).save(folder)
    return alignment_of(load(folder)), float(times.read_text())


def measure(case: Case, vectors: Path, translators: Path, rows: int) -> Iterator[dict[str, Any]]:
    """Audit a third of a corpus with the rest as public text, with every calibration of the decoder."""
    victim, known, stand_in = (
        np.load(vectors / f"{case.corpus}.{name}.npy", mmap_mode="r")[:rows].astype(np.float32)
        for name in (case.victim, case.known, case.stand_in)
    )
    lines = (vectors / f"{case.corpus}.texts.jsonl").read_text("utf-8").splitlines()[:rows]
    texts = [json.loads(line)["text"] for line in lines]
    *sides, last = thirds(case.seed, len(texts))
    # The third of an encoder does not depend on its role, so that the roles can be swapped.
    audited, other = sides if case.victim < case.stand_in else sides[::-1]
    public = np.concatenate([other, last])

    def aligned(name: str, side: Any, third: Any) -> tuple[Alignment, float]:
        kept = kept_name(case.corpus, name, case.known, case.seed, int(third is sides[1]))
        return fitted(translators / kept, side[third], known[last], case.seed)

    attack, attack_seconds = aligned(case.victim, victim, audited)
    own, own_seconds = aligned(case.stand_in, stand_in, other)
    evidence = PublicCorpus(known[public], [texts[i] for i in public], stand_in[public], stand_in_fit=own)
    truth = GroundTruth([texts[i] for i in audited])
    for decoder in decoders(evidence, case.seed):
        result = audit([attack], victim[audited], evidence, decoder=decoder, truth=truth, seed=case.seed)
        yield {
            "rows": len(audited),
            "public": len(public),
            "documents": result.rows,
            "verdicts": list(result.verdicts),
            "stand_in_verdict": str(own.verdict.status),
            "calibrated_with": decoder.calibrated_with,
            "translation_cosine": round(decoder.translation_cosine, 4),
            "fit_seconds": attack_seconds,
            "stand_in_seconds": own_seconds,
            "words": result.words.to_dict(),
        }


def decoders(evidence: PublicCorpus, seed: int) -> Iterator[KeywordDecoder]:
    """Yield the decoder calibrated with the corpus alone, with pairs, and with the fit of the stand-in.

    An audit does not calibrate with a stand-in whose own fit is not aligned. Such a calibration is named after the
    verdict, so that it is in the records and not among the errors of those that are used.
    """
    assert evidence.stand_in is not None
    assert evidence.stand_in_fit is not None
    paired = KeywordDecoder.fit(evidence.vectors, evidence.texts, stand_in=evidence.stand_in, seed=seed)
    held_out = held_out_rows(len(evidence.texts), seed)
    texts = [evidence.texts[i] for i in held_out]
    alone = paired.recalibrate(np.asarray(evidence.vectors)[held_out], texts)
    yield replace(alone, calibrated_with="corpus", translation_cosine=1.0)
    yield paired
    # The same split, so that the weights and the vocabulary are those of the other two.
    translated = unit_rows(evidence.stand_in_fit.forward(unit_rows(evidence.stand_in)[held_out]))
    centered = translated - translated.mean(axis=0), evidence.vectors[held_out] - evidence.vectors.mean(axis=0)
    cosine = float((unit_rows(centered[0]) * unit_rows(centered[1])).sum(axis=1).mean())
    status = evidence.stand_in_fit.verdict.status
    basis = "unpaired" if status is Status.ALIGNED else f"unpaired, {status}"
    yield replace(paired.recalibrate(translated, texts), calibrated_with=basis, translation_cosine=cosine)


# How each basis is called in tables.
BASES = {
    "corpus": "the public texts alone",
    "paired": "a second encoder and pairs (from Python only)",
    "unpaired": "a second encoder and its own fit (`--stand-in`)",
}
FIGURES = {"leak_rate": "share of documents with a correct word", "precision": "precision of the words"}


def errors(records: list[dict[str, Any]]) -> dict[str, dict[str, CalibrationError]]:
    """Return the errors of each figure for each basis that has a usable case."""
    found: dict[str, dict[str, CalibrationError]] = {}
    for basis in BASES:
        with contextlib.suppress(InputError):
            found[basis] = {figure: CalibrationError.from_records(records, figure, basis) for figure in FIGURES}
    return found


def summary(records: list[dict[str, Any]]) -> str:
    """Return a table of the errors by what calibrated the decoder."""
    lines = [
        "| calibrated with | figure | cases | corpora, pairs | measured minus estimated: worst, median, best |",
        "|---|---|--:|--:|--:|",
    ]
    for basis, figures in errors(records).items():
        for figure, error in figures.items():
            spread = f"{error.lowest:+.2f}, {error.median:+.2f}, {error.highest:+.2f}"
            name = BASES[basis] if figure == "leak_rate" else ""
            lines.append(f"| {name} | {FIGURES[figure]} | {error.cases} | {error.corpora}, {error.pairs} | {spread} |")
    return "\n".join(lines)


def coverage(records: list[dict[str, Any]]) -> str:
    """Return in how many cases of a corpus the measured value is in the range that the other corpora give."""
    lines = ["| calibrated with | figure | cases in the range of the other corpora | at or above its lower end |"]
    lines.append("|---|---|--:|--:|")
    for basis in BASES:
        usable = [r for r in records if r["calibrated_with"] == basis and set(r["verdicts"]) != {"failed"}]
        for figure, meaning in FIGURES.items():
            within, above = [], []
            for corpus in sorted({record["corpus"] for record in usable}):
                others = [record for record in usable if record["corpus"] != corpus]
                if not others:
                    continue
                error = CalibrationError.from_records(others, figure, basis)
                for words in (record["words"] for record in usable if record["corpus"] == corpus):
                    plausible, value = error.plausible(words[figure]["value"][0]), words["measured"][figure]["value"][0]
                    assert plausible.low is not None
                    assert plausible.high is not None
                    above.append(value >= plausible.low)
                    within.append(plausible.low <= value <= plausible.high)
            if within:
                name = BASES[basis] if figure == "leak_rate" else ""
                counts = f"{sum(within)} of {len(within)} | {sum(above)} of {len(above)}"
                lines.append(f"| {name} | {meaning} | {counts} |")
    return "\n".join(lines)


def every_case(records: list[dict[str, Any]]) -> str:
    """Return a table with what was measured and estimated in every case whose fit did not fail."""
    cases: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        if set(record["verdicts"]) != {"failed"}:
            run = (record["key"], record["fits"], *record["verdicts"])
            cases.setdefault(run, []).append(record)
    lines = [
        "| corpus | encoders, stand-in | verdict | words: alone | pairs | own fit | precision: alone | pairs | own fit "
        "|",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for _, found in sorted(cases.items()):
        first = found[0]
        by_basis = {record["calibrated_with"]: record["words"] for record in found}
        cells = [first["corpus"], f"{first['victim']} to {first['known']}, {first['stand_in']}"]
        cells.append(", ".join(first["verdicts"]))
        for figure in FIGURES:
            for basis in BASES:
                words = by_basis.get(basis)
                sides = () if words is None else (words["measured"][figure], words[figure])
                cells.append(" / ".join(f"{side['value'][0]:.2f}" for side in sides))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run cases that the records do not hold yet."""
    parser = arguments_with_translators(__doc__, RESULTS)
    parser.add_argument("--rows", type=int, default=12_000, help="rows of a corpus, a third of them audited")
    parser.add_argument("--seeds", type=seed_range, default="0:1", help="first:last")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    parser.add_argument("--most", type=int, default=10**6, help="end after this many cases")
    arguments = parser.parse_args()
    if arguments.tables:
        records = read_records(arguments.out)
        sys.stdout.write(f"{summary(records)}\n\n{coverage(records)}\n\n{every_case(records)}\n")
        sys.stdout.write(f"\n{errors(records)}\n")
        return
    done = {record["key"] for record in read_records(arguments.out)}
    left = arguments.most
    for case in (Case(corpus, *triple, seed) for seed in arguments.seeds for triple in TRIPLES for corpus in CORPORA):
        names = (case.victim, case.known, case.stand_in)
        there = all((arguments.vectors / f"{case.corpus}.{name}.npy").exists() for name in names)
        if case.key in done or arguments.only not in case.key or not there or not left:
            continue
        started = time.perf_counter()
        facts = {"key": case.key, "corpus": case.corpus, "victim": case.victim, "known": case.known}
        facts |= {"stand_in": case.stand_in, "seed": case.seed, "fits": 1}
        found = list(measure(case, arguments.vectors, arguments.translators, arguments.rows))
        append(arguments.out, [facts | one for one in found])
        sys.stderr.write(f"{case.key}: {time.perf_counter() - started:.0f} s\n")
        left -= 1


if __name__ == "__main__":
    main()
