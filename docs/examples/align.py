"""Align the two spaces of the demo without a pair, and look at the verdict before anything else."""

from pathlib import Path

import numpy as np

import interlingua as il

data = Path("demo/data")
source, target = (np.load(data / f"{side}.npy")[:3000] for side in ("source", "target"))

alignment = il.align(source, target, seed=0)
print(alignment.verdict.status)
for reason in alignment.verdict.reasons:
    print("-", reason)

# A failed fit refuses to translate; `force=True` is for looking at what went wrong.
translator = alignment.translator(force=True)
print(translator.translate(source[:2]).shape)
