"""Evaluation of defenses: the loss of search quality, and the leakage that remains under an adaptive attack.

The attacker knows the mechanism and its public parameters, but neither the key nor the noise. Vectors with a defense
without a key are reconstructed by a regression that the attacker trains on vectors with the same defense. Against a
defense with a key an unpaired fit is run on the protected vectors. A defense that is not broken is *not broken by the
attacks run*: other attacks may break it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua._align import align
from interlingua.core.alignment import Alignment
from interlingua.core.arguments import check_callable, check_count
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.neighbors import neighbor_overlap
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import JsonRecord, Resamples
from interlingua.leakage._checks import check_indices, check_one_each
from interlingua.leakage.defenses import Defense, NoDefense, float_rows
from interlingua.leakage.inversion.scores import reidentification

__all__ = ["Decoded", "DefenseScore", "evaluate_defense", "reconstruct", "retained_neighbors"]

# Largest number of rows for re-identification, and of rows whose neighbors are compared.
_POOL = 2_048
_QUERIES = 1_000
_BROKEN = 0.5
_ABOVE_CHANCE = 10
# Penalties of the regression, relative to the mean variance of the protected vectors.
_RIDGES = (1e-6, 1e-3, 1e-2, 0.1, 1.0)


@dataclass(frozen=True)
class Decoded(JsonRecord):
    """What an attacker reads from the recovered vectors.

    Attributes:
        words: share of documents with a correct word asserted.
        control: the same for other documents, or for meaningless vectors without a ground truth.
        basis: ``measured`` against true texts, or ``estimated`` from calibrated probabilities.
        labels: share of documents whose first label is right; None without true labels.
        labels_control: the same for always choosing the most frequent label.
        retrieval: share of documents whose nearest public text is among the ten nearest of their true vector, or
            without true vectors of their translation without the defense.
        retrieval_control: the same for other documents.
    """

    words: Interval
    control: Interval
    basis: str
    labels: Interval | None = None
    labels_control: Interval | None = None
    retrieval: Interval | None = None
    retrieval_control: Interval | None = None


@dataclass(frozen=True)
class DefenseScore:
    """Costs and benefits of one defense.

    Attributes:
        name: name of the defense.
        mechanism: the defense without its strength, such as ``noise``.
        keyed: whether it has a key.
        baseline: whether it is the baseline without a defense.
        overlap: share of the ten nearest neighbors of a row, by cosine, that remain among its ten nearest.
        attack: the attack, one sentence.
        verdict: verdict of the unpaired fit; None if no fit was needed.
        top1: share of recovered rows whose own true vector is the nearest among `pool`.
        anonymity_set: the effective number of rows that cannot be distinguished; 1 means that a row is recognized.
        decoded: words and labels decoded from the recovered rows; None without ``decode``.
        pool: rows for re-identification.
        seconds: wall time of the attack.
    """

    name: str
    mechanism: str
    keyed: bool
    baseline: bool
    overlap: Interval
    attack: str
    verdict: str | None
    top1: Interval
    anonymity_set: Interval
    decoded: Decoded | None
    pool: int
    seconds: float

    @property
    def finding(self) -> str:
        """The result in a few words.

        With ``decoded`` by the words: ``baseline``, ``still read`` (clearly more than the control), ``similar texts
        found`` (no words are read, but :attr:`finds_similar`), or ``not read by the attacks run``. Otherwise by
        re-identification: ``baseline``, ``broken`` (at least half of the rows),
        ``partly broken`` (clearly above chance), or ``not broken by the attacks run``.
        """
        if self.baseline:
            return "baseline"
        if self.decoded is not None:
            words, control = self.decoded.words, self.decoded.control
            if words.lower > control.upper:
                return "still read"
            return "similar texts found" if self.finds_similar else "not read by the attacks run"
        if self.top1.value >= _BROKEN:
            return "broken"
        if (self.top1.low or 0.0) > _ABOVE_CHANCE / self.pool:
            return "partly broken"
        return "not broken by the attacks run"

    @property
    def finds_similar(self) -> bool:
        """Whether a similar public text is found clearly more often than by the control."""
        if self.decoded is None or self.decoded.retrieval is None or self.decoded.retrieval_control is None:
            return False
        return self.decoded.retrieval.lower > self.decoded.retrieval_control.upper

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        return {
            "name": self.name,
            "mechanism": self.mechanism,
            "baseline": self.baseline,
            "keyed": self.keyed,
            "knn_overlap_10": self.overlap.to_list(),
            "attack": self.attack,
            "verdict": self.verdict,
            "reidentified": self.top1.to_list(),
            "anonymity_set": self.anonymity_set.to_list(),
            "decoded": self.decoded and self.decoded.to_dict(),
            "pool": self.pool,
            "finding": self.finding,
            "seconds": round(self.seconds, 1),
        }


def evaluate_defense(
    defense: Defense,
    store: npt.ArrayLike,
    attacker: npt.ArrayLike,
    *,
    truth: npt.ArrayLike | None = None,
    translate: Callable[[FloatArray], FloatArray] | None = None,
    fit: Callable[..., Alignment] = align,
    decode: Callable[[FloatArray, IntArray], Decoded] | None = None,
    pool: int = _POOL,
    seed: int = 0,
) -> DefenseScore:
    """Protect a store, attack it, and measure the search quality and the leakage that remain.

    Args:
        defense: the defense; the seed decides its key.
        store: the owner's vectors [n, d].
        attacker: vectors [m, d_known] of the attacker's own texts under the attacker's encoder.
        truth: the same n rows in the attacker's space [n, d_known], which the attack tries to recover. By default the
            store itself: the attacker knows the encoder. Only the evaluation uses it.
        translate: a map from the space of the undefended store to the attacker's space, for defenses without a key if
            the spaces differ. It models an attacker who had unprotected vectors of the same model before.
        fit: aligns (protected, attacker) without pairs.
        decode: returns what is decoded from recovered rows [p, d_known] of the store's rows with these indices [p].
        pool: largest number of rows for re-identification, at most half of the store; the attacker trains the
            regression on the others.
        seed: seed of key, noise, fit and samples.

    Raises:
        InputError: ``truth`` does not have one row for each row of the store.
    """
    check_callable(defense, "defense", "a defense such as Rotation()", "apply")
    functions = {"translate": translate, "fit": fit, "decode": decode}
    for name, function in functions.items():
        if function is not None or name == "fit":
            check_callable(function, name, "a function")
    pool, seed = check_count(pool, "pool", minimum=2), check_count(seed, "seed")
    rows, public = float_rows(store), float_rows(attacker)
    whole = reference = rows if truth is None else float_rows(truth)
    check_one_each(len(reference), "true row", len(rows), "row", of_which=" of the store")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    picked, others = np.sort(order[: min(pool, max(1, len(rows) // 2))]), np.sort(order[len(rows) // 2 :])
    protected = defense.apply(rows, seed)
    started = time.perf_counter()
    verdict = None
    if defense.keyed:
        attack = "unpaired fit of the protected vectors, without the key"
        alignment = fit(protected, public, seed=seed)
        verdict = str(alignment.verdict.status)
        recovered = alignment.translator(force=True).translate(protected[picked])
    else:
        attack = "vectors used as they are, no key"
        # An attacker who knows of a truncation truncates the candidates too.
        recovered, reference = protected[picked], reference[:, : protected.shape[1]]
        if translate is not None and isinstance(defense, NoDefense):
            attack = "translated by the fits"
            recovered, reference = translate(recovered), whole
        elif translate is not None:
            attack = "reconstructed by a regression, then translated; no key"
            recovered, reference = translate(reconstruct(protected, rows, others, picked)), whole
    seconds = time.perf_counter() - started
    recovered = np.asarray(recovered, np.float32)
    scores = reidentification(recovered, reference[picked], seed=seed)
    return DefenseScore(
        name=defense.name,
        mechanism=defense.mechanism,
        keyed=defense.keyed,
        baseline=isinstance(defense, NoDefense),
        overlap=retained_neighbors(rows, protected, seed=seed),
        attack=attack,
        verdict=verdict,
        top1=scores.top1.interval,
        anonymity_set=scores.anonymity_set.interval,
        decoded=None if decode is None else decode(recovered, picked),
        pool=len(picked),
        seconds=seconds,
    )


def retained_neighbors(
    before: npt.ArrayLike, after: npt.ArrayLike, *, k: int = 10, queries: int = _QUERIES, seed: int = 0
) -> Interval:
    """Return the share of the k nearest rows by cosine that remain among the k nearest.

    Args:
        before: the rows [n, d].
        after: the same rows with a defense, of any width [n, k]; queries get the same defense.
        k: number of neighbors.
        queries: largest number of rows whose neighbors are compared.
        seed: seed of the sample and the resamples.

    Raises:
        InputError: the sides differ in rows, or have no more than k.
    """
    k, queries = (check_count(value, name, minimum=1) for value, name in ((k, "k"), (queries, "queries")))
    sides, seed = (float_rows(before), float_rows(after)), check_count(seed, "seed")
    picked = np.random.default_rng(seed).permutation(len(sides[0]))[:queries]
    return Resamples(len(picked), seed).mean(neighbor_overlap(*sides, k, queries=picked), share=True)


def reconstruct(
    protected: npt.ArrayLike, rows: npt.ArrayLike, train: npt.ArrayLike, picked: npt.ArrayLike
) -> FloatArray:
    """Return estimates of unprotected rows [p, d] by ridge regression on their protected vectors.

    It models an attacker who knows the mechanism: who applies it to vectors of the same model, or had unprotected
    vectors of it before. The penalty is the best of a few on a fifth of the training rows.

    Args:
        protected: vectors with the defense [n, k].
        rows: the same vectors without it [n, d].
        train: indices of the rows that the attacker has in both forms [t].
        picked: indices of the rows to reconstruct [p].

    Raises:
        InputError: not one row of ``rows`` for each protected one, or indices that are not integers.
    """
    before, after = float_rows(protected), float_rows(rows)
    check_one_each(len(after), "row", len(before), "protected row")
    known, wanted = check_indices(train, "train", len(after)), check_indices(picked, "picked", len(after))
    x, y = before[known].astype(np.float64), after[known].astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    held_out, fitted = x[: len(x) // 5], slice(len(x) // 5, None)
    best, least = _RIDGES[-1], np.inf
    if len(held_out):
        solve = _ridge(x[fitted] - x_mean, y[fitted] - y_mean)
        for penalty in _RIDGES:
            error = float(np.square((held_out - x_mean) @ solve(penalty) - (y[: len(held_out)] - y_mean)).sum())
            best, least = (penalty, error) if error < least else (best, least)
    matrix = _ridge(x - x_mean, y - y_mean)(best)
    return np.asarray((before[wanted] - x_mean) @ matrix + y_mean, np.float32)


def _ridge(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Callable[[float], npt.NDArray[np.float64]]:
    """Return the solution of a ridge regression as a function of the penalty relative to the mean variance."""
    values, directions = np.linalg.eigh(x.T @ x)
    projected = directions.T @ (x.T @ y)
    scale = max(float(values.mean()), 1e-12)
    return lambda penalty: np.asarray(directions @ (projected / (values + penalty * scale)[:, None]))
