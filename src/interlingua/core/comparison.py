"""A batch of vectors beside a fitted space, and the limits beyond which it cannot be of that space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "DISTORTION_LIMIT",
    "MEAN_LIMIT",
    "MIN_BATCH",
    "OUTSIDE_LIMIT",
    "SPECTRUM_LIMIT",
    "STRUCTURE_LIMIT",
    "STRUCTURE_LIMIT_OF_FEW",
    "STRUCTURE_ROWS",
    "Comparison",
]

# Fewer distinct rows leave too much noise in the statistics of a batch.
MIN_BATCH = 50
# Limits of the statistics of a batch, chosen in benchmarks/foreign.py between vectors of the same model on texts of
# other kinds and all other vectors.
SPECTRUM_LIMIT, MEAN_LIMIT, DISTORTION_LIMIT = 0.08, -0.45, 0.7
# A batch beyond these has unusual content at least. The first is a factor on the limit of the spectrum.
_SPECTRUM_DOUBT, _MEAN_DOUBT, _DISTORTION_DOUBT = 1.5, -0.25, 0.6
# Scores of structure below which a batch is refused or doubtful. They were chosen on other corpora and models than
# those of benchmarks/reduced.py, which measures them.
# Of few rows, and by a fit on few rows, only the opposite sign is refused, because one topic has low scores.
STRUCTURE_LIMIT, STRUCTURE_LIMIT_OF_FEW = 1.0, -3.0
STRUCTURE_ROWS, _STRUCTURE_DOUBT, _STRUCTURE_DOUBT_OF_FEW = 200, 4.0, 2.5
# A batch is foreign if more than this share of its rows are outside of the space.
OUTSIDE_LIMIT = 0.5


@dataclass(frozen=True)
class Comparison:
    """A batch of rows beside a fitted space.

    Attributes:
        rows: number of distinct rows that were compared.
        spectrum: how the variance of the batch is distributed over the principal axes of the space: 1 as that of its
            own rows, 0 as that of unrelated vectors. NaN for fewer than 50 rows, for rows that are almost equal, and in
            a space without distinct axes or one that was probably reduced by PCA.
        mean: cosine between the mean of the batch and the mean of the space; NaN for fewer than 50 rows, and in a space
            whose mean is zero.
        distortion: how differently the columns are scaled: for each coordinate the logarithm of the batch's standard
            deviation divided by that of the space, and of these the standard deviation. 0 where every coordinate varies
            as it does in the space. NaN as ``spectrum``.
        outside: share of the rows that are outside of the space, each judged alone; 0 in a space where one row cannot
            tell.
        needed: smallest accepted spectrum.
        structure: in a space that was probably reduced by PCA, by how many standard deviations the rows are nearer to
            its clusters than after random changes of sign of the axes: rows of another model are about 0. NaN as
            ``spectrum``, and in other spaces.
        needed_structure: smallest accepted structure.
    """

    rows: int
    spectrum: float
    mean: float
    distortion: float
    outside: float
    needed: float = SPECTRUM_LIMIT
    structure: float = float("nan")
    needed_structure: float = float("-inf")

    @property
    def foreign(self) -> bool:
        """Whether the rows cannot be of the space. A statistic that is NaN decides nothing."""
        return (
            self.spectrum < self.needed
            or self.mean < MEAN_LIMIT
            or self.distortion > DISTORTION_LIMIT
            or self.outside > OUTSIDE_LIMIT
            or self.structure < self.needed_structure
        )

    @property
    def doubtful(self) -> bool:
        """Whether the rows are of another space, or of content that differs much from that of the fitted rows."""
        return self.foreign or (
            self.spectrum < _SPECTRUM_DOUBT * self.needed
            or self.mean < _MEAN_DOUBT
            or self.distortion > _DISTORTION_DOUBT
            or self.structure < (_STRUCTURE_DOUBT if self.rows >= STRUCTURE_ROWS else _STRUCTURE_DOUBT_OF_FEW)
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Phrases that say which statistics are beyond their limits."""
        spectrum = max(self.spectrum, 0.0)  # the estimate for unrelated vectors scatters around 0
        phrases = {
            f"their variance along its principal axes is {spectrum:.2f} on a scale where unrelated vectors have 0 "
            f"and its own rows 1, and {self.needed:.2f} is needed": self.spectrum < self.needed,
            f"their mean has a cosine of {self.mean:.2f} with its mean": self.mean < MEAN_LIMIT,
            f"the scales of their columns differ from its by a factor of {np.exp(self.distortion):.1f}": (
                self.distortion > DISTORTION_LIMIT
            ),
            f"{self.outside:.0%} of them are far from all of its rows": self.outside > OUTSIDE_LIMIT,
            f"they are hardly nearer to its clusters than by chance ({self.structure:.1f} standard deviations, and at "
            f"least {self.needed_structure:g} are needed)": self.structure < self.needed_structure,
        }
        return tuple(phrase for phrase, applies in phrases.items() if applies)
