"""Every parameter of every public function of these packages refuses values of other types with an `InputError`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_origin

import numpy as np
import pyarrow as pa
import pytest

import interlingua as il
from exported import D_SOURCE, D_TARGET, linear, rows
from interlingua.bench.encode import Dataset, VectorBuilder, hub_texts
from interlingua.bench.folder import Vectors, label_names, plain
from interlingua.bench.page import comma_separated, group_records, header, lines, notes, page
from interlingua.bench.paper import cell, span
from interlingua.bench.picture import picture
from interlingua.bench.plan import Case, Plan, table_of
from interlingua.bench.runs import run
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.distributed.arrow import translate_batches
from interlingua.distributed.parts import Part, finish, is_lance, parts_of, write_part
from interlingua.distributed.ray import translate_with_ray
from interlingua.encoders import command_encoder, embed_texts, encoder_title, open_encoder, sentence_encoder, with_task
from interlingua.evaluation import evaluate
from interlingua.evaluation.bootstrap import Interval, Resamples, interval, share_interval
from interlingua.evaluation.metrics import match_ranks, paired_cosine, ranks_among
from interlingua.evaluation.oracles import couple, match
from interlingua.evaluation.retrieval import (
    evaluate_ranking,
    evaluate_retrieval,
    ndcg_at_k,
    rank_documents,
    recall_at_k,
    relevance_of_ranking,
)
from interlingua.evaluation.scores import check_translator, mean_unit_row
from interlingua.export import to_onnx, to_query_bridge, to_safetensors, to_sentence_transformers, to_torch
from interlingua.io import create_writer
from interlingua.leakage import attributes, centering, defenses, identities, kinds, linkage, membership
from interlingua.leakage.adaptation import adapt
from interlingua.leakage.audit import audit
from interlingua.leakage.calibration import CalibrationError
from interlingua.leakage.defense_scores import evaluate_defense, reconstruct, retained_neighbors
from interlingua.leakage.findings import Audit
from interlingua.leakage.input_checks import check_inputs
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus, SecondLeak
from interlingua.leakage.inversion import (
    CorpusRetrieval,
    Extraction,
    GuidedDecoder,
    KeywordDecoder,
    TextDecoder,
    WordProbe,
    causal_lm,
    judge,
    keywords,
    ngram_model,
    scores,
    words,
)
from interlingua.leakage.inversion.decoder import tokenize
from interlingua.leakage.inversion.extraction import check_extractions
from interlingua.leakage.row_curves import leak_by_rows
from interlingua.leakage.severity import severity
from interlingua.report import plots, write_report
from interlingua.report.annex import annex_sections, owasp_paragraph, write_annex
from interlingua.report.audit import Provenance, conclusion, figure_rows, model_statement, write_audit, write_audit_json
from test_arguments import _OPAQUE, NOT_COUNTS, NOT_FLAGS, NOT_MATRICES, NOT_PATHS, NOT_TEXTS

PACKAGES = ("bench", "distributed", "encoders", "evaluation", "export", "leakage", "report")
# What these packages return. Nobody constructs them, so their fields are not checked.
RESULTS = frozenset({
    "AttributeInference", "AttributeScores", "Audit", "CollectionScores", "DefenseScore", "DirectionScores",
    "DistributedResult", "DocumentFindings",
    "Estimate", "Evaluation", "Extraction", "Figure", "FigureRow", "Interval", "JsonRecord",
    "Judgment", "Keyword", "LabelFindings", "Leak", "Neighbor", "OracleScores", "Decoded", "Reidentification",
    "Reliability", "RetrievalFindings", "RetrievalQuality", "RetrievalScores", "Table", "TextFigures", "WordFigures",
    "WordFindings", "Part", "WrittenPart", "FrequentWord", "KindFinding", "Linkage", "MeasuredLinks", "Membership",
    "RowPoint", "Severity", "AnnexSection", "IdentityFindings",
})  # fmt: skip
# Their class methods fit, of and load construct them.
CONSTRUCTED_BY_METHODS = frozenset({"CorpusRetrieval", "KeywordDecoder", "TextDecoder", "WordProbe"})
PROTOCOLS = frozenset({"Defense", "Inverter", "SupportsTranslation", "Oracle"})

X, Y = rows(D_SOURCE, 120), rows(D_TARGET, 120)
VERDICT = il.Verdict(il.Status.FAILED, 0.1, (), (il.Evidence("cycle", 0.2, 0.1, 0.5, False, "A meaning."),))
CELL = {"pair": "a -> b", "corpus": "nq", "column": "nq", "seed": 0, "verdict": "aligned", "figures": {"top1": 0.5}}
TRACE: tuple[dict[str, Any], ...] = (
    *({"step": "train", "seed": 0, "at": at, "of": 2, "loss": 1.0 / at} for at in (1, 2)),
    {"step": "run", "seed": 0, "best": 2, "score": 0.5},
)


def trained() -> il.Alignment:
    given = linear()
    return il.Alignment(
        given.forward,
        given.backward,
        VERDICT,
        method="planted",
        seed=0,
        settings={},
        source={"name": "left"},
        target={"name": "right"},
        profiles=given.profiles,
        trace=TRACE,
    )


TEXTS = [f"alpha beta{i % 7} gamma{i % 5} delta{i % 3}" for i in range(len(Y))]
VOCABULARY = words.Vocabulary(("alpha", "gamma1"), np.array([0.5, 0.2]))
EXTRACTIONS = [Extraction(text="alpha")] * len(TEXTS)
TRUTH = np.ones((len(Y), 2), bool)
DIRECTIONS = Y[:2]


def encode(texts: list[str]) -> Any:
    return rows(D_TARGET, len(texts))


def propose(text: str, k: int) -> list[tuple[str, float]]:
    return [(" alpha", -1.0)] * k


@cache
def decoder() -> KeywordDecoder:
    pytest.importorskip("sklearn")
    return KeywordDecoder.fit(Y, TEXTS, vocabulary=VOCABULARY, epochs=1)


@cache
def fit() -> il.Alignment:
    return il.align(X, Y, method="identity")


def text_decoder() -> TextDecoder:
    return TextDecoder(("<begin>", "<end>", "<other>"), Y.mean(axis=0), {}, 3)


def vectors() -> Vectors:
    return Vectors(Path("vectors"))


def plan() -> dict[str, Any]:
    return {"table": "seeds", "vectors": vectors(), "out": "out", "corpus": "nq", "encoders": ("a", "b")}


def findings() -> Audit:
    return audit([fit()], X, PublicCorpus(Y, TEXTS, vocabulary=VOCABULARY), decoder=decoder())


@cache
def encoder_folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    (folder / "modules.json").write_text("[]")
    return folder


RECORD = {"corpus": "a", "victim": "b", "known": "c", "verdicts": ["aligned"], "calibrated_with": "corpus", "words": {
    "precision": {"value": [0.5, 0.4, 0.6]}, "measured": {"precision": {"value": [0.4, 0.3, 0.5]}},
}}  # fmt: skip
BATCH = pa.record_batch({"id": [1, 2]})
PROVENANCE: dict[str, Any] = dict.fromkeys(("authorized_by", "date", "vectors", "corpus", "encoder"), "x")
GUIDED: dict[str, Any] = {"propose": propose, "encode": encode, "mean": Y.mean(axis=0)}
ERRORS: dict[str, Any] = {"lowest": 0.0, "median": 0.0, "highest": 0.1, "cases": 1, "corpora": 1, "pairs": 1}
# A usable call of every public function, by its name and the method's.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "annex_sections": (
        lambda **given: annex_sections(**{"audit": findings(), **given}),
        {"provenance": Provenance(**PROVENANCE)},
    ),
    "capitalized_words": (kinds.capitalized_words, {"texts": TEXTS}),
    "held_out_rows": (keywords.held_out_rows, {"n": 10}),
    "is_email": (words.is_email, {"word": "a@b.c"}),
    "is_number": (words.is_number, {"word": "12"}),
    "KeywordDecoder.recalibrate": (lambda **k: decoder().recalibrate(**k), {"vectors": Y, "texts": TEXTS}),
    "kind_of": (kinds.kind_of, {"word": "12"}),
    "kinds_of_words": (
        kinds.kinds_of_words,
        {"predictions": EXTRACTIONS, "control": EXTRACTIONS, "vocabulary": ["12"], "public": TEXTS},
    ),
    "leak_by_rows": (leak_by_rows, {"vectors": X, "corpus": PublicCorpus(Y, TEXTS, vocabulary=VOCABULARY)}),
    "link_rows": (linkage.link_rows, {"first": Y, "second": Y}),
    "linkage": (linkage.linkage, {"first": Y, "second": Y}),
    "membership": (membership.membership, {"members": Y, "controls": Y, "translated": Y, "public": Y}),
    "membership_scores": (membership.membership_scores, {"records": Y, "translated": Y, "public": Y}),
    "owasp_paragraph": (
        lambda **given: owasp_paragraph(**{"audit": findings(), **given}),
        {"provenance": Provenance(**PROVENANCE)},
    ),
    "PublicCorpus.align_stand_in": (PublicCorpus(Y, TEXTS).align_stand_in, {}),
    "PublicCorpus.of_rows": (PublicCorpus.of_rows, {"vectors": Y}),
    "identity_findings": (
        identities.identity_findings,
        {"vectors": Y, "gallery": Y[:3], "names": ["a", "b", "c"], "identities": ["a"] * len(Y)},
    ),
    "PublicCorpus.take": (PublicCorpus(Y, TEXTS).take, {"rows": [0]}),
    "reconstruct": (reconstruct, {"protected": X, "rows": X, "train": [0, 1, 2], "picked": [3]}),
    "KnownRecords": (KnownRecords, {"members": Y}),
    "SecondLeak": (lambda **given: SecondLeak(**{"alignments": [fit()], **given}), {"vectors": X}),
    "severity": (lambda **given: severity(**{"audit": findings(), **given}), {}),
    "write_annex": (
        lambda **given: write_annex(**{"audit": findings(), **given}),
        {"path": "never.html", "provenance": Provenance(**PROVENANCE)},
    ),
    "adapt": (adapt, {"vectors": X, "translated": Y, "public": Y}),
    "audit": (
        lambda **given: audit(**{"alignments": [fit()], "decoder": decoder(), **given}),
        {"vectors": X, "corpus": PublicCorpus(Y, TEXTS, vocabulary=VOCABULARY)},
    ),
    "cached": (judge.cached, {"ask": lambda question: "no", "path": "never.jsonl", "identity": "x"}),
    "CalibrationError": (CalibrationError, ERRORS),
    "CalibrationError.from_records": (
        CalibrationError.from_records,
        {"records": [RECORD], "figure": "precision", "calibrated_with": "corpus"},
    ),
    "CalibrationError.plausible": (lambda **k: CalibrationError(**ERRORS).plausible(**k), {"estimate": 0.5}),
    "Case": (Case, {"source": "a", "target": "b", "column": "c", "seed": 0}),
    "causal_lm": (causal_lm, {"name": "nowhere"}),
    "cell": (cell, {"table": "seeds", "pair": "a -> b", "column": "nq"}),
    "Chain": (defenses.Chain, {"parts": ()}),
    "center_by_own_mean": (centering.center_by_own_mean, {"vectors": X}),
    "Chain.apply": (defenses.Chain((defenses.Rotation(),)).apply, {"vectors": X, "seed": 0}),
    "check_extractions": (check_extractions, {"extractions": EXTRACTIONS, "texts": TEXTS}),
    "check_inputs": (check_inputs, {"vectors": X, "corpus": PublicCorpus(Y, TEXTS, vocabulary=VOCABULARY)}),
    "collection_mean": (centering.collection_mean, {"vectors": X}),
    "conclusion": (lambda **given: conclusion(**{"audit": findings(), **given}), {}),
    "CorpusRetrieval.invert": (CorpusRetrieval.of(Y, TEXTS).invert, {"vectors": Y}),
    "CorpusRetrieval.of": (CorpusRetrieval.of, {"vectors": Y, "texts": TEXTS}),
    "couple": (couple, {"source": X, "target": X, "oracle": "assignment"}),
    "check_translator": (check_translator, {"translator": linear()}),
    "create_writer": (
        lambda **given: create_writer(**given).close(),
        {"path": "never.npy", "d": 3, "dtype": "float32"},
    ),
    "Dataset": (Dataset, {"name": "a", "split": "train"}),
    "DistancePreserving": (defenses.DistancePreserving, {"beta": 1.0}),
    "DistancePreserving.apply": (defenses.DistancePreserving(1.0).apply, {"vectors": X, "seed": 0}),
    "embed_labels": (attributes.embed_labels, {"encode": encode, "labels": ["a"]}),
    "endpoint": (judge.endpoint, {"url": "http://127.0.0.1:1/v1", "model": "m", "send": True}),
    "entities": (words.entities, {"text": "x"}),
    "entity_recall": (scores.entity_recall, {"guess": "Paris", "text": "in Paris"}),
    "evaluate": (evaluate, {"translator": linear(), "source": X, "target": Y}),
    "evaluate_ranking": (evaluate_ranking, {"ranking": [[0]], "relevant": [[0]], "documents": 1}),
    "evaluate_retrieval": (evaluate_retrieval, {"queries": X, "documents": X, "relevant": [[0]] * len(X)}),
    "evaluate_defense": (evaluate_defense, {"defense": defenses.NoDefense(), "store": X, "attacker": Y}),
    "Extraction.asserted": (Extraction().asserted, {}),
    "figure_rows": (lambda **given: figure_rows(**{"audit": findings(), **given}), {}),
    "finish": (finish, {"folder": "none", "written": []}),
    "float_rows": (defenses.float_rows, {"vectors": X}),
    "GroundTruth": (GroundTruth, {}),
    "GroundTruth.check_rows": (GroundTruth(TEXTS).check_rows, {"n": len(TEXTS)}),
    "GroundTruth.take": (GroundTruth(TEXTS).take, {"rows": [0]}),
    "GroundTruth.without": (GroundTruth(TEXTS).without, {"names": ["texts"]}),
    "GuidedDecoder": (GuidedDecoder, GUIDED),
    "GuidedDecoder.invert": (GuidedDecoder(**GUIDED).invert, {"vectors": Y}),
    "command_encoder": (command_encoder, {"command": "no-such-program"}),
    "embed_texts": (embed_texts, {"encode": len, "texts": TEXTS}),
    "encoder_title": (encoder_title, {"name": "model"}),
    "comma_separated": (comma_separated, {"name": "seeds", "records": []}),
    "header": (header, {"name": "seeds"}),
    "hub_texts": (hub_texts, {"corpus": "nq", "limit": 5}),
    "infer_attributes": (
        attributes.infer_attributes,
        {"vectors": Y, "label_vectors": DIRECTIONS, "truth": TRUTH, "names": ["a", "b"]},
    ),
    "interval": (interval, {"values": np.ones(3)}),
    "share_interval": (share_interval, {"share": Interval(1.0, 1.0, 1.0), "n": 3}),
    "is_lance": (is_lance, {"path": "a.lance"}),
    "judge": (judge.judge, {"extractions": EXTRACTIONS, "texts": TEXTS, "ask": lambda question: "no"}),
    "KeywordDecoder.fit": (KeywordDecoder.fit, {"vectors": Y, "texts": TEXTS, "vocabulary": VOCABULARY}),
    "KeywordDecoder.invert": (lambda **k: decoder().invert(**k), {"vectors": Y}),
    "KeywordDecoder.load": (KeywordDecoder.load, {"path": "never"}),
    "KeywordDecoder.probabilities": (lambda **k: decoder().probabilities(**k), {"vectors": Y}),
    "KeywordDecoder.save": (lambda **k: decoder().save(**k), {"path": "never"}),
    "label_names": (label_names, {"labels": [["a"]]}),
    "label_scores": (attributes.label_scores, {"vectors": Y, "label_vectors": DIRECTIONS}),
    "Labels": (Labels, {"names": ("a", "b"), "vectors": DIRECTIONS}),
    "Labels.of_corpus": (Labels.of_corpus, {"vectors": Y, "labels": [["a"]] * len(Y)}),
    "group_records": (group_records, {"records": []}),
    "lines": (lines, {"name": "seeds", "records": []}),
    "match": (match, {"source": X, "target": X, "oracle": "assignment"}),
    "match_ranks": (match_ranks, {"queries": X, "candidates": X}),
    "mean_unit_row": (mean_unit_row, {"matrix": X}),
    "model_statement": (lambda **given: model_statement(**{"audit": findings(), **given}), {}),
    "most_probable": (keywords.most_probable, {"probabilities": np.ones((3, 2)), "words": ["a", "b"]}),
    "ndcg_at_k": (ndcg_at_k, {"ranking": [[0]], "relevant": [[0]]}),
    "ngram_model": (ngram_model, {"texts": TEXTS}),
    "NoDefense.apply": (defenses.NoDefense().apply, {"vectors": X, "seed": 0}),
    "Noise": (defenses.Noise, {"level": 0.1}),
    "Noise.apply": (defenses.Noise(0.1).apply, {"vectors": X, "seed": 0}),
    "notes": (lambda **k: list(notes(**k)), {"name": "seeds"}),
    "page": (page, {"name": "seeds", "records": []}),
    "paired_cosine": (paired_cosine, {"a": X, "b": X}),
    "Part.batches": (lambda **given: next(Part(0, None, 0, 1, pa.schema([])).batches(**given)), {"size": 5}),
    "parts_of": (parts_of, {"source": "none", "workers": 1}),
    "plot_evidence": (plots.plot_evidence, {"fit": VERDICT}),
    "plot_ranks": (plots.plot_ranks, {"translator": linear(), "source_eval": X, "target_eval": Y}),
    "plot_similarities": (plots.plot_similarities, {"translator": linear(), "source_eval": X, "target_eval": Y}),
    "plot_training": (plots.plot_training, {"alignment": trained()}),
    "plot_spaces": (plots.plot_spaces, {"translator": linear(), "source": X, "target": Y}),
    "picture": (picture, {"name": "seeds", "records": [CELL]}),
    "plain": (plain, {"name": "nq"}),
    "Plan": (Plan, plan()),
    "Provenance": (Provenance, PROVENANCE),
    "PublicCorpus": (PublicCorpus, {"vectors": Y, "texts": TEXTS}),
    "PublicCorpus.fit_decoder": (PublicCorpus(Y, TEXTS, vocabulary=VOCABULARY).fit_decoder, {}),
    "Quantization": (defenses.Quantization, {"bits": 8}),
    "Quantization.apply": (defenses.Quantization(8).apply, {"vectors": X, "seed": 0}),
    "rank_documents": (rank_documents, {"queries": X, "documents": X}),
    "recall_at_k": (recall_at_k, {"ranking": [[0]], "relevant": [[0]]}),
    "relevance_of_ranking": (relevance_of_ranking, {"ranking": [[0]]}),
    "reencoded_cosine": (
        scores.reencoded_cosine,
        {"extractions": EXTRACTIONS, "texts": TEXTS, "vectors": Y, "encode": encode},
    ),
    "ranks_among": (ranks_among, {"queries": X, "candidates": X, "others": X}),
    "reidentification": (scores.reidentification, {"vectors": X, "candidates": X}),
    "reliability": (
        scores.reliability,
        {"probabilities": np.ones((len(TEXTS), 2)), "texts": TEXTS, "vocabulary": VOCABULARY},
    ),
    "open_encoder": (open_encoder, {"name": "command:no-such-program"}),
    "sentence_encoder": (sentence_encoder, {"name": "nowhere"}),
    "Resamples": (Resamples, {"n": 3, "seed": 0}),
    "Resamples.auc": (Resamples(3, 0).auc, {"scores": np.ones(3), "positive": np.array([True, False, True])}),
    "Resamples.mean": (Resamples(3, 0).mean, {"values": np.ones(3), "share": True}),
    "Resamples.ratio": (Resamples(3, 0).ratio, {"numerator": np.ones(3), "denominator": np.ones(3)}),
    "Resamples.sums": (Resamples(3, 0).sums, {"values": np.ones(3)}),
    "retained_neighbors": (retained_neighbors, {"before": X, "after": X}),
    "Rotation.apply": (defenses.Rotation().apply, {"vectors": X, "seed": 0}),
    "rouge_l": (scores.rouge_l, {"guess": "a", "text": "a"}),
    "run": (run, {"plan": None}),
    "score_keywords": (
        scores.score_keywords,
        {"extractions": EXTRACTIONS, "texts": TEXTS, "vocabulary": VOCABULARY},
    ),
    "score_texts": (scores.score_texts, {"extractions": EXTRACTIONS, "texts": TEXTS}),
    "SignedPermutation.apply": (defenses.SignedPermutation().apply, {"vectors": X, "seed": 0}),
    "span": (span, {"table": "seeds", "column": "nq", "figure": "right"}),
    "subtract_mean": (centering.subtract_mean, {"vectors": Y, "mean": None, "default": Y[0]}),
    "suite": (defenses.suite, {"name": "quick", "width": 16}),
    "table_of": (table_of, {"name": "seeds"}),
    "TextDecoder.fit": (TextDecoder.fit, {"vectors": Y, "texts": TEXTS}),
    "TextDecoder.invert": (text_decoder().invert, {"vectors": Y}),
    "TextDecoder.load": (TextDecoder.load, {"path": "never"}),
    "TextDecoder.save": (text_decoder().save, {"path": "never"}),
    "to_torch": (to_torch, {"translator": linear()}),
    "to_onnx": (to_onnx, {"translator": linear(), "path": "never.onnx"}),
    "to_query_bridge": (
        to_query_bridge,
        {
            "translator": linear(),
            "path": "never",
            "queries": encoder_folder(),
            "documents": encoder_folder(),
            "allow_foreign": True,
        },
    ),
    "to_safetensors": (to_safetensors, {"translator": linear(), "path": "never.safetensors"}),
    "to_sentence_transformers": (to_sentence_transformers, {"translator": linear(), "path": "never"}),
    "token_f1": (scores.token_f1, {"guess": "a", "text": "a"}),
    "tokenize": (tokenize, {"text": "a"}),
    "tokens": (words.tokens, {"text": "a"}),
    "Truncation": (defenses.Truncation, {"width": 4}),
    "Truncation.apply": (defenses.Truncation(4).apply, {"vectors": X, "seed": 0}),
    "translate_batches": (lambda **given: list(translate_batches(**given)), {"batches": [], "translator": linear()}),
    "translate_with_ray": (translate_with_ray, {"directory": "none", "source": "none", "out": "never"}),
    "truth_matrix": (attributes.truth_matrix, {"labels": [["a"]], "names": ["a"]}),
    "VectorBuilder": (VectorBuilder, {"vectors": vectors()}),
    "VectorBuilder.make": (VectorBuilder(vectors()).make, {"corpus": "nq", "encoder": "gtr"}),
    "Vectors": (Vectors, {"path": "vectors"}),
    "Vectors.encoders": (vectors().encoders, {"corpus": "nq"}),
    "Vectors.fingerprint": (vectors().fingerprint, {"paths": []}),
    "Vectors.label_rows": (vectors().label_rows, {"corpus": "nq", "encoder": "gtr"}),
    "Vectors.labels": (vectors().labels, {"corpus": "nq"}),
    "Vectors.labels_path": (vectors().labels_path, {"corpus": "nq", "encoder": "gtr"}),
    "Vectors.rows": (vectors().rows, {"corpus": "nq", "encoder": "gtr"}),
    "Vectors.texts": (vectors().texts, {"corpus": "nq"}),
    "Vectors.texts_path": (vectors().texts_path, {"corpus": "nq"}),
    "Vectors.vectors_path": (vectors().vectors_path, {"corpus": "nq", "encoder": "gtr"}),
    "Vocabulary": (words.Vocabulary, {"words": ("a",), "shares": np.ones(1)}),
    "Vocabulary.matrix": (VOCABULARY.matrix, {"texts": TEXTS}),
    "Vocabulary.of": (words.Vocabulary.of, {"texts": TEXTS, "max_share": 1.0}),
    "WordProbe.invert": (WordProbe.of(["a", "b"], Y[:2]).invert, {"vectors": Y}),
    "WordProbe.of": (WordProbe.of, {"words": ["a", "b"], "vectors": Y[:2]}),
    "with_task": (with_task, {"encode": encode, "task": "query"}),
    "WordProbe.scores": (WordProbe.of(["a", "b"], Y[:2]).scores, {"vectors": Y}),
    "write_audit": (
        lambda **given: write_audit(**{"audit": findings(), **given}),
        {"path": "never.html", "provenance": Provenance(**PROVENANCE)},
    ),
    "write_audit_json": (write_audit_json, {"path": "never.json", "result": {}}),
    "write_part": (write_part, {"batches": [BATCH], "number": 0, "folder": "."}),
    "write_report": (write_report, {"path": "never.html", "fit": linear(), "source": X}),
    "wrong_documents": (scores.wrong_documents, {"texts": TEXTS, "seed": 0}),
}

# They read vectors, texts or models that are not there; only the wrong arguments are tried.
NEED_FILES = frozenset({
    "causal_lm", "command_encoder", "hub_texts", "KeywordDecoder.load", "kind_of", "kinds_of_words", "leak_by_rows",
    "open_encoder",
    "Part.batches", "parts_of", "run", "sentence_encoder", "TextDecoder.invert",
    "TextDecoder.load", "translate_with_ray", "VectorBuilder.make", "Vectors.label_rows", "Vectors.labels",
    "Vectors.rows", "Vectors.texts", "write_part",
})  # fmt: skip
NOT_NUMBERS = ("ten", True, np.nan, [1], _OPAQUE)
NOT_VECTORS = (5, "x", True, _OPAQUE, [[1.0, 2.0]], [np.nan] * D_TARGET, ["a"] * D_TARGET)
NOT_LISTS = (5, "abc", b"abc", True, _OPAQUE, [5], [["a"]], {"a": 1})
NOT_OBJECTS = (5, "text", True, [5], _OPAQUE)
# Wrong values by the words of an annotation, the first that occurs in it; anything else takes objects of a class.
BY_ANNOTATION: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("Callable", (5, "model", True, _OPAQUE, int)),
    ("Ask", (5, "model", True, _OPAQUE, int)),
    ("Propose", (5, "model", True, _OPAQUE, int)),
    ("Encode", (5, "model", True, _OPAQUE, int)),
    ("Mapping", (5, "text", True, [5], _OPAQUE)),
    ("Sequence[Sequence[str]", (5, "abc", True, _OPAQUE, [5], [[5]])),
    ("Sequence[str]", NOT_LISTS),
    ("tuple[str", NOT_LISTS),
    ("Iterable[Path]", (5, "abc", True, _OPAQUE, [5], [None])),
    ("tuple[", (5, "abc", True, _OPAQUE, ["a"], ("a",), (1.5,))),
    ("Sequence", NOT_OBJECTS),
    ("ArrayLike", NOT_MATRICES),
    ("Array", NOT_MATRICES),
    ("NDArray", NOT_MATRICES),
    ("Oracle", (*NOT_TEXTS, "magic")),
    ("Path", NOT_PATHS),
    ("bool", NOT_FLAGS),
    ("int", NOT_COUNTS),
    ("float", (None, *NOT_NUMBERS)),
    ("str", NOT_TEXTS),
)
# Parameters that take arrays of another form, or anything that serves as one.
BY_NAME: dict[str, tuple[Any, ...]] = {
    "mean": NOT_VECTORS,
    "default": (None, *NOT_VECTORS),
    "create_writer.dtype": ("text", 5, _OPAQUE, np.complex64, "int16"),
    "create_writer.n": tuple(value for value in NOT_COUNTS if value is not None),
    "create_writer.scale": ("x", _OPAQUE, 1.0),
    "GroundTruth.take.rows": (5, "x", [0.5], [["a"]], _OPAQUE),
    "infer_attributes.ks": (5, None, "5", (1.5,), ("a",), (0,), _OPAQUE),
    "infer_attributes.truth": (None, 5, "x", TRUTH[0], TRUTH[:3], TRUTH.astype(int), _OPAQUE),
    "infer_attributes.label_vectors": (None, 5, "x", Y[0], Y[:, :3], _OPAQUE),
    "label_scores.label_vectors": (None, 5, "x", Y[0], Y[:, :3], _OPAQUE),
    "Labels.vectors": (None, 5, "x", Y[0], Y[:3], _OPAQUE),
    "evaluate.ks": (5, None, "5", (1.5,), ("a",), (0,), _OPAQUE),
    "evaluate.others": NOT_MATRICES[1:],
    "evaluate.retrieval": (5, None, "plain", (), ("dot",), _OPAQUE),
    "share_interval.share": (None, 1.0, "x"),
    "share_interval.n": (None, 0, -1, "x", 1.5),
    "interval.values": (None, 5, "x", [], ["a"], _OPAQUE),
    "most_probable.probabilities": (None, 5, "x", [0.5], [[0.5]], _OPAQUE),
    "reliability.probabilities": (None, 5, "x", [0.5], [[0.5]], _OPAQUE),
    "Resamples.auc.scores": (None, 5, "x", [1.0], ["a"] * 3, _OPAQUE),
    "Resamples.auc.positive": (None, 5, "x", [True], ["a"] * 3, _OPAQUE),
    "Resamples.mean.values": (None, 5, "x", [1.0], ["a"] * 3, _OPAQUE),
    "Resamples.ratio.numerator": (None, 5, "x", [1.0], ["a"] * 3, _OPAQUE),
    "Resamples.ratio.denominator": (None, 5, "x", [1.0], ["a"] * 3, _OPAQUE),
    "Resamples.sums.values": (None, 5, "x", [1.0], ["a"] * 3, _OPAQUE),
    "truth_matrix.labels": (None, 5, "x", [5], [[5]], _OPAQUE),
    "Vocabulary.shares": (None, 5, "x", [0.5, 0.5], ["a"], _OPAQUE),
    # The words' own vectors, or the encoder that makes them.
    "WordProbe.of.vectors": tuple(value for value in NOT_MATRICES if not callable(value)),
    "write_report.source": NOT_MATRICES[1:],
    "write_report.target": NOT_MATRICES[1:],
}
# They are only used together with another argument.
TOGETHER: dict[str, dict[str, Any]] = {
    "infer_attributes.mean": {"centered": True},
    "write_report.source_eval": {"target_eval": Y[:3]},
    "write_report.target_eval": {"source_eval": X[:3]},
}


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield the qualified name of every public function, class and method with parameters."""
    for package in PACKAGES:
        top = importlib.import_module(f"interlingua.{package}")
        inner = pkgutil.walk_packages(getattr(top, "__path__", ()), f"{top.__name__}.")
        names = [top.__name__, *(info.name for info in inner)]
        for name in names:
            if any(part.startswith("_") for part in name.split(".")):
                continue
            module = importlib.import_module(name)
            for public in getattr(module, "__all__", ()):
                value = getattr(module, public)
                if not callable(value) or get_origin(value):  # a type alias can be called too
                    continue
                yield public, value
                for method, attribute in vars(value).items() if inspect.isclass(value) else ():
                    function = getattr(attribute, "__func__", attribute)
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{public}.{method}", function


def parameters(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = inspect.signature(call).parameters
    return {name: parameter for name, parameter in found.items() if name not in ("self", "cls") and name[0] != "_"}


PUBLIC = {**dict(public_names()), "create_writer": create_writer}


def exempt(name: str) -> bool:
    owner = name.partition(".")[0]
    return (
        name in RESULTS | CONSTRUCTED_BY_METHODS
        or owner in PROTOCOLS
        or not parameters(PUBLIC[name])
        or (name.endswith(".to_dict") and name != "Audit")
    )


def test_every_public_function_is_in_the_table() -> None:
    needed = {name for name in PUBLIC if not exempt(name)}
    assert needed <= set(CALLS), f"CALLS of this file lacks {sorted(needed - set(CALLS))}"
    assert {name.partition(".")[0] for name in CALLS} <= set(PUBLIC), "the table names something that is not public"
    assert set(PUBLIC) >= RESULTS | CONSTRUCTED_BY_METHODS | PROTOCOLS


def use(name: str, arguments: Mapping[str, Any]) -> object:
    call, named = CALLS[name][0], dict(arguments)
    kinds = parameters(PUBLIC.get(name, call)).values()
    positional = [named.pop(p.name) for p in kinds if p.kind is p.POSITIONAL_ONLY]
    return call(*positional, **named)


@pytest.mark.parametrize("name", sorted(set(CALLS) - NEED_FILES))
def test_the_same_calls_with_usable_arguments_are_not_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        use(name, CALLS[name][1])
    except MissingExtraError as error:
        pytest.skip(str(error))


def wrong_values(name: str, parameter: inspect.Parameter) -> tuple[Any, ...]:
    annotation = str(parameter.annotation)
    for key in (f"{name}.{parameter.name}", parameter.name):
        if key in BY_NAME:
            return BY_NAME[key]
    values = next((values for part, values in BY_ANNOTATION if part in annotation), (None, *NOT_OBJECTS))
    if annotation == "Any":
        values = NOT_MATRICES
    return tuple(value for value in values if value is not None or "None" not in annotation)


CASES = [(name, parameter) for name in CALLS for parameter in parameters(PUBLIC.get(name, CALLS[name][0])).values()]


@pytest.mark.parametrize(("name", "parameter"), CASES, ids=lambda case: getattr(case, "name", case))
def test_every_argument_of_another_type_is_refused(
    name: str, parameter: inspect.Parameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: Mapping[str, Any] = CALLS[name][1] | TOGETHER.get(f"{name}.{parameter.name}", {})
    for value in wrong_values(name, parameter):
        arguments = {**given, parameter.name: value}
        try:
            with pytest.raises(InputError) as caught:
                use(name, arguments)
        except MissingExtraError as error:
            pytest.skip(str(error))
        except BaseException as error:
            raise AssertionError(f"{name}({parameter.name}={value!r})") from error
        assert len(str(caught.value)) < 600, f"{value!r} is printed in full"
        assert "does not exist" not in str(caught.value), f"{value!r} was used as a name"
    assert not list(tmp_path.iterdir())


def untyped(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: write_report("never.html", linear(), source_eval=X), "source_eval and target_eval are drawn together"),
        (lambda: write_report("never.html", linear(), target=Y), "target only beside source; give both or neither"),
        (lambda: CorpusRetrieval.of(Y, TEXTS, k=len(Y) + 1), r"k is 121 and the corpus has 120 rows; .* at most 120"),
        (
            lambda: scores.score_texts(EXTRACTIONS[:3], TEXTS),
            "There are 3 extractions for 120 texts; there must be one for each",
        ),
        (lambda: judge.judge(EXTRACTIONS[:1], TEXTS[:1], str.upper), "There is 1 text; at least 2 are needed"),
        (
            lambda: GroundTruth(TEXTS).take(untyped(np.ones(2))),
            r"rows has shape \(2,\) and dtype float64; a vector",
        ),
        (lambda: Labels(("a",), DIRECTIONS), "There are 2 label vectors for 1 name; there must be one for each"),
        (lambda: Labels(("a",), DIRECTIONS[0]), r"the labels have shape \(16,\); numbers \[l, d\] or \[t, l, d\]"),
        (
            lambda: PublicCorpus(Y, TEXTS, stand_in=X[:9]),
            "There are 9 rows of the stand-in for 120 texts; there must be one for each",
        ),
        (lambda: words.Vocabulary(("a",), np.ones(2)), "There are 2 shares for 1 word; there must be one for each"),
        (lambda: CalibrationError.from_records([], "precision", "paired"), "No record holds an estimate calibrated"),
        (lambda: KnownRecords(Y, Y[:, :3]), "the controls"),
        (lambda: SecondLeak([], X), "A second leak needs at least one fit to the public texts"),
        (lambda: SecondLeak([fit()], X, ["a"]), "There is 1 text for 120 rows of the second leak"),
        (lambda: linkage.linkage(Y, Y, texts=(["a"], TEXTS)), "There is 1 text for 120 rows of the first collection"),
        (lambda: leak_by_rows(X, PublicCorpus(Y, TEXTS)), "Both sides have fewer than 500 rows; a curve needs more"),
        (lambda: Resamples(3, 0).mean(np.ones(2)), r"values has shape \(2,\); numbers for each of 3 rows"),
        (lambda: interval(np.ones((2, 2))), r"values has shape \(2, 2\); one number or more"),
        (lambda: create_writer("never.npy", d=3, dtype="text"), "dtype is 'text'; float16, float32, float64 or int8"),
        (
            lambda: audit(untyped("x"), X, PublicCorpus(Y, TEXTS)),
            r"alignments\[0\] is of type str",
        ),
        (lambda: defenses.Chain(untyped([defenses.Rotation()])), "parts is .*; a tuple of defenses is needed"),
        (
            lambda: attributes.embed_labels(untyped(int), ["a"]),
            "encode is .*; a function from texts to vectors",
        ),
        (lambda: label_names(untyped([5])), r"labels\[0\] is 5; a sequence of texts is needed"),
        (lambda: evaluate(untyped(type), X, Y), r"translator is .*, which has no method translate\(\)"),
    ],
)
def test_the_message_says_what_arrived_and_what_is_needed(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
