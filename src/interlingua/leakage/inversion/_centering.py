"""Where vectors in question are centered before a public corpus's model looks at them."""

from __future__ import annotations

from interlingua.core.arrays import FloatArray

# From so many rows on, their own mean is known better than how far translations miss the corpus's.
_OWN_MEAN = 512


def recentered(rows: FloatArray, mean: FloatArray) -> FloatArray:
    """Return unit rows [n, d] less a mean: their own where they are many, the corpus's [d] where they are few.

    Translations of another collection miss the corpus's mean, and a common offset looks like the same few words in
    every document. It follows that the rows of a large batch do not stand alone.
    """
    return rows - (rows.mean(axis=0) if len(rows) > _OWN_MEAN else mean)
