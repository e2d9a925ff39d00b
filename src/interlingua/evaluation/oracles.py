"""Oracle baselines: optimal transport between two encodings of *the same* texts.

They use what neither an attacker nor an engineer knows: that both sides encode the same texts, in an unknown order.
The vec2vec paper compares with the best of them (arXiv 2505.12540, section 4.1). They match rows and give no
translator: a new vector needs a new coupling. Couplings are computed by POT.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from interlingua.core.arguments import check_count, shown
from interlingua.core.arrays import FloatArray, check_matrix, require, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.memory import check_memory
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import JsonRecord
from interlingua.evaluation.metrics import paired_cosine

__all__ = ["ACROSS_WIDTHS", "Oracle", "OracleScores", "couple", "match"]

# Square arrays of float64 that exist at the same time: costs, the plan, and what POT works with.
_SQUARE_ARRAYS = 6
_SINKHORN = {"reg": 5e-2, "numItermax": 10_000}
_GROMOV = {"epsilon": 5e-3, "max_iter": 10_000, "tol": 1e-9}


class Oracle(StrEnum):
    """How the rows are coupled.

    ``assignment`` maximizes the sum of cosines, ``emd`` and ``sinkhorn`` transport by Euclidean distance; the three
    need spaces of one width. ``gromov`` compares the Euclidean distances within each side, ``entropic-gromov`` the
    cosine distances divided by their mean: the paper's two settings of Gromov-Wasserstein.
    """

    ASSIGNMENT = "assignment"
    EMD = "emd"
    SINKHORN = "sinkhorn"
    GROMOV = "gromov"
    ENTROPIC_GROMOV = "entropic-gromov"


ACROSS_WIDTHS = (Oracle.GROMOV, Oracle.ENTROPIC_GROMOV)


@dataclass(frozen=True)
class OracleScores(JsonRecord):
    """Accuracy of a coupling in matching the two encodings of every text.

    Attributes:
        top1: share of texts matched, by the largest entry of a row or by the best one-to-one assignment, whichever is
            higher.
        mean_rank: mean rank of the true text among a row's entries, 1 to n; ties share their mean rank.
        cosine: mean cosine between the barycenter of the coupled rows and the true row. Averaging raises it for any
            coupling (to 0.7 and more at chance in the paper's tables), so it is not evidence on its own.
        n: rows per side.
    """

    top1: float
    mean_rank: float
    cosine: float
    n: int


def couple(source: npt.ArrayLike, target: npt.ArrayLike, oracle: Oracle | str) -> FloatArray:
    """Return the coupling [n, m] of unit rows of two spaces; rows and columns sum to 1/n and 1/m.

    Args:
        source: [n, d_source].
        target: [m, d_target], the same texts in any order.
        oracle: the coupling to compute.

    Raises:
        InputError: there is no such oracle, or the widths differ and it compares rows across the spaces, or the
            coupling needs more memory than is available.
        MissingExtraError: POT is not installed.
    """
    name: Any = oracle
    if not isinstance(name, str) or name not in list(Oracle):
        raise InputError(f"There is no oracle {shown(name)}; choose from {', '.join(Oracle)}.")
    x, y = (unit_rows(check_matrix(z, name).astype(np.float64)) for z, name in ((source, "source"), (target, "target")))
    if oracle not in ACROSS_WIDTHS and x.shape[1] != y.shape[1]:
        raise InputError(
            f"{oracle} compares rows across the spaces, and these are {x.shape[1]} and {y.shape[1]} wide. "
            f"Use {' or '.join(ACROSS_WIDTHS)}."
        )
    check_memory(
        _SQUARE_ARRAYS * 8.0 * max(len(x), len(y)) ** 2,
        f"Coupling {len(x):,} with {count_of(len(y))}",
        "Pass fewer rows; a coupling has an entry for every pair of rows.",
    )
    a, b = (np.full(len(z), 1 / len(z)) for z in (x, y))
    if oracle == Oracle.ASSIGNMENT:
        plan = np.zeros((len(x), len(y)))
        plan[linear_sum_assignment(x @ y.T, maximize=True)] = 1 / min(len(x), len(y))
        return plan.astype(np.float32)
    ot = require("ot", "ot")
    with warnings.catch_warnings():
        # The published settings include the limit on steps, converged or not.
        warnings.simplefilter("ignore", UserWarning)
        if oracle == Oracle.EMD:
            plan = ot.emd(a, b, _euclidean(x, y))
        elif oracle == Oracle.SINKHORN:
            plan = ot.sinkhorn(a, b, _euclidean(x, y), **_SINKHORN)
        elif oracle == Oracle.GROMOV:
            plan = ot.gromov.gromov_wasserstein(_euclidean(x, x), _euclidean(y, y), a, b, "square_loss")
        else:
            costs = [1 - z @ z.T for z in (x, y)]
            plan = ot.gromov.entropic_gromov_wasserstein(*(c / c.mean() for c in costs), a, b, "square_loss", **_GROMOV)
    return np.asarray(plan, np.float32)


def match(source: npt.ArrayLike, target: npt.ArrayLike, oracle: Oracle | str, *, seed: int = 0) -> OracleScores:
    """Couple two encodings of the same texts and measure the coupling.

    Args:
        source: [n, d_source].
        target: [n, d_target]; row i is the text of row i of the source.
        oracle: the coupling to compute.
        seed: seed of the random order of the target rows, which the coupling must not know.

    Raises:
        InputError: the sides differ in rows, or as `couple` says.
        MissingExtraError: POT is not installed.
    """
    x, y = (check_matrix(z, name).astype(np.float32) for z, name in ((source, "source"), (target, "target")))
    if len(x) != len(y):
        raise InputError(
            f"There are {len(x):,} source and {count_of(len(y), 'target row')}; one each of the same texts is needed."
        )
    order = np.random.default_rng(check_count(seed, "seed")).permutation(len(y))
    plan = couple(x, y[order], oracle)
    true_columns = np.argsort(order)
    true_entries = plan[np.arange(len(x)), true_columns][:, None]
    above, ties = (plan > true_entries).sum(axis=1), (plan == true_entries).sum(axis=1)
    largest = float((plan.argmax(axis=1) == true_columns).mean())
    assigned = linear_sum_assignment(plan, maximize=True)[1]
    barycenters = plan @ unit_rows(y[order])
    return OracleScores(
        top1=max(largest, float((assigned == true_columns).mean())),
        mean_rank=float((above + (ties + 1) / 2).mean()),
        cosine=float(paired_cosine(barycenters, y).mean()),
        n=len(x),
    )


def _euclidean(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(np.sqrt(np.maximum(2 - 2 * (x @ y.T), 0)))
