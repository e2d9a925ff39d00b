"""Membership: whether a record is in a leaked collection, decided from its vectors alone.

An attacker embeds a record with their own encoder and looks for it among the translations. A record is similar to many
others, so its best cosine says little; the score subtracts how similar the record and the translation are to public
texts in general, as membership inference does with the difficulty of a record (Watson et al., ICLR 2022, section 3).

Members and controls that differ in kind can be distinguished without the leaked vectors, so a membership test seems
to work. The control is therefore a blind classifier, which sees the records alone (Das et al., 2024, arXiv 2406.16201).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count
from interlingua.core.arrays import FloatArray, check_matrix, row_blocks
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples, interval, share_interval
from interlingua.leakage.centering import center_by_own_mean

__all__ = ["MIN_RECORDS", "RATES", "Membership", "membership", "membership_scores"]

RATES = (0.01, 0.001)
MIN_RECORDS = 20
_NEIGHBORS = 10
_BLOCK = 512
_FOLDS = 5
# Above this area under the curve of the blind classifier, members and controls are called different in kind.
_OTHER_KIND = 0.65


@dataclass(frozen=True, eq=False)
class Membership(JsonRecord):
    """How well members of a collection are distinguished from other records.

    Attributes:
        auc: area under the ROC curve; 0.5 is chance.
        blind_auc: control: the same for a classifier that sees the records and not the collection. Far above 0.5,
            members and controls differ in kind, and the figures overstate membership.
        found: share of members found at a rate of false alarms, by that rate; None where there are too few controls
            for the rate.
        blind_found: the same for the blind classifier.
        members: number of members.
        controls: number of records that are not in the collection.
        false_alarms: ROC curve: shares of controls above each threshold, ascending [k].
        finds: ROC curve: shares of members above each threshold [k].
    """

    auc: Interval
    blind_auc: Interval
    found: dict[float, Interval | None]
    blind_found: dict[float, Interval | None]
    members: int
    controls: int
    false_alarms: npt.NDArray[np.float64]
    finds: npt.NDArray[np.float64]

    @property
    def same_kind(self) -> bool:
        """Whether the blind classifier hardly distinguishes the controls from the members."""
        return self.blind_auc.value < _OTHER_KIND

    @property
    def is_reversed(self) -> bool:
        """Whether controls look more like members than the members do, as where the two are exchanged."""
        return self.auc.upper < 0.5  # noqa: PLR2004

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; the ROC curve with at most 200 points."""
        kept = np.unique(np.linspace(0, len(self.finds) - 1, min(200, len(self.finds))).astype(int))
        values = super().to_dict()
        values |= {"false_alarms": self.false_alarms[kept].tolist(), "finds": self.finds[kept].tolist()}
        return values | {"same_kind": self.same_kind, "is_reversed": self.is_reversed}


def membership_scores(records: npt.ArrayLike, translated: npt.ArrayLike, public: npt.ArrayLike) -> FloatArray:
    """Return a score for each record [n], which is higher the more likely the record is in the collection.

    The score of a record and a row is twice their cosine less the mean cosines of each with its ten nearest public
    texts. The score of the record is that of its best row. Sides are centered by their own means.

    Args:
        records: records in the auditor's space [n, d].
        translated: the leaked rows, translated into that space [m, d].
        public: public texts in that space [p, d], neither members nor controls.

    Raises:
        InputError: the widths differ, or there are fewer than two rows on a side.
    """
    candidates = center_by_own_mean(check_matrix(public, "the public texts", min_rows=2))
    width = candidates.shape[1]
    leaked = center_by_own_mean(check_matrix(translated, "the translations", width=width, min_rows=2))
    rows = center_by_own_mean(check_matrix(records, "the records", width=width, min_rows=2))
    k = min(_NEIGHBORS, len(candidates))
    general = [np.asarray(nearest(side, candidates, k)[1]).mean(axis=1) for side in (rows, leaked)]
    best = [(2 * (rows[block] @ leaked.T) - general[1]).max(axis=1) for block in row_blocks(len(rows), _BLOCK)]
    return np.asarray(np.concatenate(best) - general[0], np.float32)


def membership(
    members: npt.ArrayLike,
    controls: npt.ArrayLike,
    translated: npt.ArrayLike,
    public: npt.ArrayLike,
    *,
    seed: int = 0,
) -> Membership:
    """Measure how well members of a collection are distinguished from other records of the same kind.

    Args:
        members: records that are in the collection, in the auditor's space [n, d].
        controls: records of the same kind that are not in it [c, d].
        translated: the leaked rows, translated into the auditor's space without pairs [m, d].
        public: public texts in that space [p, d], neither members nor controls.
        seed: seed of the resamples.

    Raises:
        InputError: fewer than 20 members or controls, or shapes that do not match.
    """
    seed = check_count(seed, "seed")
    sides = []
    for rows, name in ((members, "members"), (controls, "controls")):
        matrix = check_matrix(rows, f"the {name}")
        if len(matrix) < MIN_RECORDS:
            raise InputError(f"There are {len(matrix):,} {name}; at least {MIN_RECORDS} are needed, better 1,000.")
        sides.append(matrix)
    if sides[0].shape[1] != sides[1].shape[1]:
        raise InputError(
            f"The members have width {sides[0].shape[1]} and the controls {sides[1].shape[1]}; one encoder is needed."
        )
    n = len(sides[0])
    records = np.concatenate(sides)
    best = membership_scores(records, translated, public)
    is_member = np.arange(len(best)) < n
    blind = _blind_scores(records, is_member, seed)
    resamples = Resamples(len(best), seed)
    false_alarms, finds = _curve(best[:n], best[n:])
    return Membership(
        auc=interval(resamples.auc(best, is_member)),
        blind_auc=interval(resamples.auc(blind, is_member)),
        found={rate: _found(best[:n], best[n:], rate, seed) for rate in RATES},
        blind_found={rate: _found(blind[:n], blind[n:], rate, seed) for rate in RATES},
        members=n,
        controls=len(best) - n,
        false_alarms=false_alarms,
        finds=finds,
    )


def _curve(members: FloatArray, controls: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shares of controls and of members at or above every score, the highest score first."""
    thresholds = np.unique(np.concatenate([members, controls]))[::-1]
    above = [1 - np.searchsorted(np.sort(side), thresholds, side="left") / len(side) for side in (controls, members)]
    return tuple(np.concatenate([[0.0], side]) for side in above)  # type: ignore[return-value]


def _found(members: FloatArray, controls: FloatArray, rate: float, seed: int) -> Interval | None:
    """Return the share of members above the threshold that ``rate`` of the controls exceed, or None for few controls.

    Members and controls are both drawn again, because the threshold depends on few controls.
    """
    if len(controls) * rate < 1:
        return None
    rng = np.random.default_rng(seed)
    exceeding = int(len(controls) * rate)
    shares = []
    for draw in range(201):
        those = controls if not draw else rng.choice(controls, len(controls))
        tested = members if not draw else rng.choice(members, len(members))
        threshold = np.partition(those, len(those) - exceeding - 1)[len(those) - exceeding - 1]
        shares.append(float((tested > threshold).mean()))
    return share_interval(interval(np.array(shares)), len(members))


def _blind_scores(records: npt.NDArray[np.float32], is_member: npt.NDArray[np.bool_], seed: int) -> FloatArray:
    """Return scores of a logistic regression of membership on the records themselves, cross-validated."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    rows = center_by_own_mean(records) * np.sqrt(records.shape[1])
    scores = np.empty(len(rows), np.float32)
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(rows, is_member):
        model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=200).fit(rows[train], is_member[train])
        scores[test] = model.decision_function(rows[test])
    return scores
