"""Align the two spaces of the demo without pairs, and read the verdict first."""

from pathlib import Path

import numpy as np

import interlingua as il

data = Path("demo/data")
source, target = (np.load(data / f"{side}.npy")[:3000] for side in ("source", "target"))

alignment = il.align(source, target, seed=0, progress=True)  # shows how far the fit is, on standard error
print(alignment.verdict.status)
for reason in alignment.verdict.reasons:
    print("-", reason)

# Raises AlignmentError if the fit failed.
translator = alignment.translator()
print(translator.translate(source[:2]).shape)
