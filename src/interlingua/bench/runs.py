"""Fit and measure the cases of a plan: one line of JSON per direction, resumed after an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.bench.folder import COMPUTED_BY, Vectors, label_names
from interlingua.bench.plan import ABLATIONS, Case, Plan
from interlingua.core.alignment import end_if_interrupted
from interlingua.core.arguments import check_callable, check_instance
from interlingua.core.arrays import FloatArray, IntArray, require
from interlingua.core.errors import InputError
from interlingua.core.translator import Translator, load
from interlingua.core.wording import count_of
from interlingua.evaluation import evaluate

__all__ = ["run"]

_Record = dict[str, Any]
_CHUNKS = 8
# Missing files that a message names.
_NAMED = 8


def run(plan: Plan, on_case: Callable[[Case], None] = lambda case: None) -> list[_Record]:
    """Measure the cases without a record and return all records of the plan.

    Args:
        plan: what to measure.
        on_case: called before every case.

    Raises:
        InputError: vectors, texts or labels are missing or cannot be used.
        MissingExtraError: ``oracle_rows`` is set and the extra ``ot`` is not installed.
    """
    check_instance(plan, "plan", Plan, "a Plan")
    check_callable(on_case, "on_case", "a function of the case")
    if plan.oracle_rows:
        require("ot", "ot")
    _check_files(plan)
    plan.out.mkdir(parents=True, exist_ok=True)
    path = plan.out / f"{plan.table}.jsonl"
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    known = {record["key"] for record in records}
    keys = {case: _key(plan, case) for case in plan.cases()}
    for case, key in keys.items():
        if key in known:
            continue
        on_case(case)
        fresh = [{"key": key, "table": plan.table, **cell} for cell in _measure(plan, case)]
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in fresh)
        records += fresh
    wanted = set(keys.values())
    return [record for record in records if record["key"] in wanted]


def _check_files(plan: Plan) -> None:
    """Refuse a plan with every file that it lacks, before the first fit.

    Raises:
        InputError: files are missing.
    """
    needed = dict.fromkeys(path for case in plan.cases() for path in _files(plan, case))
    missing = [path.name for path in needed if not path.is_file()]
    if not missing:
        return
    holds = {
        ".texts.jsonl": "CORPUS.texts.jsonl has a line for each row, with text and, for the table attributes, label",
        ".labels.": "CORPUS.labels.ENCODER.npy holds vectors of the labels in alphabetical order",
        ".npy": "CORPUS.ENCODER.npy holds vectors [n, d] with the same text in row i under every encoder",
    }
    kinds = dict.fromkeys(next(text for kind, text in holds.items() if kind in name) for name in missing)
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    raise InputError(
        f"The table {plan.table} needs {', '.join(missing[:_NAMED])}{more} in {plan.vectors.path}, which does not have "
        f"them. {'. '.join(kinds)}.",
        "Add them, choose encoders and corpora that are there with {encoders=NAME} and {on=CORPUS}, or compute them "
        f"with {COMPUTED_BY}.",
    )


def _key(plan: Plan, case: Case) -> str:
    """Return a key of the case, and of all settings and contents of files that its figures depend on."""
    settings = ",".join(f"{k}={v}" for k, v in sorted(plan.settings.items()))
    rows = "" if plan.table == "data-efficiency" else "-".join(map(str, plan.rows))
    depends = (plan.corpus, plan.method, settings, rows, plan.pool, plan.k, plan.oracle_rows)
    return "/".join([case.key, *map(str, depends), plan.vectors.fingerprint(_files(plan, case))])


def _files(plan: Plan, case: Case) -> Iterator[Path]:
    """Yield the files that the figures of a case depend on."""
    vectors = plan.vectors
    for corpus in {plan.corpus, case.column} if case.column in plan.on else {plan.corpus}:
        yield from (vectors.vectors_path(corpus, encoder) for encoder in (case.source, case.target))
        if plan.table == "inversion":
            yield vectors.texts_path(corpus)
    if plan.table == "attributes":
        yield vectors.texts_path(case.column)
        yield from (vectors.labels_path(case.column, encoder) for encoder in (case.source, case.target))
    if plan.table == "inversion" and (others := _others(plan, case.source, case.target)):
        yield vectors.vectors_path(plan.corpus, others[0])


def _others(plan: Plan, *encoders: str) -> list[str]:
    return [encoder for encoder in plan.encoders if encoder not in encoders]


def _measure(plan: Plan, case: Case) -> Iterator[_Record]:
    translator, fit = _fitted(plan, case)
    figures = {"attributes": _attributes, "inversion": _inversion}.get(plan.table, _retrieval)
    for (a, b), cells in figures(plan, case, translator).items():
        if plan.table == "seeds":
            cells |= {"right": float(cells["top1"] >= 0.8), "aligned": float(fit["verdict"] == "aligned")}
        pool = {"pool": cells.pop("pool")} if "pool" in cells else {}
        yield {"pair": f"{a} -> {b}", "column": case.column, "seed": case.seed, **fit, **pool, "figures": cells}


def _split(plan: Plan, case: Case) -> tuple[IntArray, IntArray, IntArray]:
    """Return the held-out rows and those of source and target: disjoint texts."""
    _check_rows(plan.vectors, plan.corpus, case)
    n = len(plan.vectors.rows(plan.corpus, case.source))
    order = np.random.default_rng(case.seed).permutation(n)
    held = min(_CHUNKS * plan.pool, n // 3)
    half = (n - held) // 2
    most = min((int(case.column) if plan.table == "data-efficiency" else next(iter(plan.rows), half)), half)
    target = order[held + half : held + half + (half if plan.table == "data-efficiency" else most)]
    return order[:held], order[held : held + most], target


def _fitted(plan: Plan, case: Case) -> tuple[Translator, _Record]:
    """Return the fit of a case, computed or loaded; tables share fits."""
    import interlingua

    _, first, second = _split(plan, case)
    settings = {**plan.settings, **(ABLATIONS[case.column] if plan.table == "ablations" else {})}
    named = "".join(f",{k}={v}" for k, v in sorted(settings.items()))
    name = f"{plan.corpus}.{case.source}.{case.target}.{len(first)}-{len(second)}.{plan.method}{named}.{case.seed}"
    contents = plan.vectors.fingerprint(plan.vectors.vectors_path(plan.corpus, e) for e in (case.source, case.target))
    folder = plan.out / "fits" / f"{name}.{contents}"
    if not folder.exists():
        x, y = plan.vectors.rows(plan.corpus, case.source)[first], plan.vectors.rows(plan.corpus, case.target)[second]
        started = time.perf_counter()
        alignment = interlingua.align(x, y, method=plan.method, seed=case.seed, **settings)
        end_if_interrupted(alignment)  # the map up to then is no result of the table
        translator = alignment.translator(force=True)  # a failed fit is a result of the table too
        translator.card["seconds"] = round(time.perf_counter() - started, 1)
        folder.parent.mkdir(parents=True, exist_ok=True)
        translator.save(folder)
    translator = load(folder)
    card = translator.card
    return translator, {
        "corpus": plan.corpus,
        "method": plan.method,
        "rows": [len(first), len(second)],
        "verdict": card["verdict"]["status"],
        "seconds": card.get("seconds"),
    }


def _documents(plan: Plan, case: Case, corpus: str, encoder: str) -> FloatArray:
    """Return the vectors to measure on: another corpus as a whole, or the held-out texts of the fit's corpus."""
    _check_rows(plan.vectors, corpus, case)
    rows = plan.vectors.rows(corpus, encoder)
    return rows[_split(plan, case)[0]] if corpus == plan.corpus else rows


def _retrieval(plan: Plan, case: Case, translator: Translator) -> dict[tuple[str, str], dict[str, float]]:
    corpus = case.column if case.column in plan.on else plan.corpus
    a, b = case.source, case.target
    x, y = (_documents(plan, case, corpus, encoder) for encoder in (a, b))
    scores = evaluate(translator, x, y, pool=plan.pool, bootstrap=0).to_dict()
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for pair, direction, left, right in (((a, b), "forward", x, y), ((b, a), "backward", y, x)):
        cells = {name: scores[direction][name] for name in ("cosine", "top1", "mean_rank")}
        if x.shape[1] == y.shape[1]:
            naive = evaluate(_Naive(), left, right, pool=plan.pool, bootstrap=0).to_dict()["forward"]
            cells |= {f"naive_{name}": naive[name] for name in ("cosine", "top1", "mean_rank")}
        if plan.oracle_rows:
            cells |= _oracle(left[: plan.oracle_rows], right[: plan.oracle_rows], case.seed)
        # The candidates of one query: fewer than the plan asks for where there are fewer rows.
        figures[pair] = {name: float(value) for name, value in cells.items()} | {"pool": scores[direction]["pool"]}
    return figures


class _Naive:
    """A translator that returns vectors unchanged."""

    def translate(self, x: Any) -> Any:
        return x

    def invert(self, y: Any) -> Any:
        return y


def _oracle(x: FloatArray, y: FloatArray, seed: int) -> dict[str, float]:
    """Return the figures of the best coupling, as the paper does."""
    from interlingua.evaluation.oracles import ACROSS_WIDTHS, Oracle, match

    kinds = tuple(Oracle) if x.shape[1] == y.shape[1] else ACROSS_WIDTHS
    best = min((match(x, y, kind, seed=seed) for kind in kinds), key=lambda result: result.mean_rank)
    return {"oracle_top1": best.top1, "oracle_mean_rank": best.mean_rank, "oracle_cosine": best.cosine}


def _attributes(plan: Plan, case: Case, translator: Translator) -> dict[tuple[str, str], dict[str, float]]:
    from interlingua.leakage.attributes import infer_attributes, truth_matrix

    corpus = case.column
    labels = plan.vectors.labels(corpus)
    kept = np.array([bool(row) for row in labels])
    names = label_names(labels)
    truth = truth_matrix([row for row in labels if row], names)
    x, y = (plan.vectors.rows(corpus, encoder)[kept] for encoder in (case.source, case.target))
    figures = {}
    for a, b, victim, known, translated in (
        (case.source, case.target, x, y, translator.translate(x)),
        (case.target, case.source, y, x, translator.invert(y)),
    ):
        scores = infer_attributes(
            translated,
            plan.vectors.label_rows(corpus, b),
            truth,
            names,
            naive=victim,
            ideal=known,
            ks=(plan.k,),
            seed=case.seed,
        )
        tops = {name: float(measured.top_k[plan.k]) for name, measured in scores.scores().items()}
        figures[a, b] = {"top": tops.pop("translated"), **tops}
    return figures


def _inversion(plan: Plan, case: Case, translator: Translator) -> dict[tuple[str, str], dict[str, float]]:
    from interlingua.leakage.centering import collection_mean
    from interlingua.leakage.inversion import KeywordDecoder
    from interlingua.leakage.inversion.scores import score_keywords

    held, *sides = _split(plan, case)
    public = np.concatenate(sides)
    texts, documents = plan.vectors.texts(plan.corpus), plan.vectors.texts(case.column)
    if case.column == plan.corpus:
        documents = [documents[i] for i in held]
    x, y = (_documents(plan, case, case.column, encoder) for encoder in (case.source, case.target))
    figures = {}
    for a, b, known, translated in (
        (case.source, case.target, y, translator.translate(x)),
        (case.target, case.source, x, translator.invert(y)),
    ):
        rows = plan.vectors.rows(plan.corpus, b)[public]
        others = _others(plan, a, b)
        stand_in = plan.vectors.rows(plan.corpus, others[0])[public] if others else None
        decoder = KeywordDecoder.fit(rows, [texts[i] for i in public], stand_in=stand_in, seed=case.seed)
        ours, ideal = (
            score_keywords(decoder.invert(z, mean=collection_mean(z)), documents, decoder.vocabulary, seed=case.seed)
            for z in (translated, known)
        )
        figures[a, b] = {
            "leak_rate": ours.leak_rate.value,
            "control": float(ours.leak_rate.control or np.nan),
            "precision": ours.precision.value,
            "ideal": ideal.leak_rate.value,
        }
    return figures


def _check_rows(vectors: Vectors, corpus: str, case: Case) -> None:
    """Refuse encoders whose vectors of a corpus cannot be of the same texts, as their numbers of rows differ."""
    encoders = case.source, case.target
    counts = {vectors.vectors_path(corpus, name).name: len(vectors.rows(corpus, name)) for name in encoders}
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"{name} has {count_of(count)}" for name, count in counts.items())
        raise InputError(f"{listed} in {vectors.path}; row i must be the same text under every encoder.")
