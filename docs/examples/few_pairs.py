"""Fit with known pairs, and measure on pairs that were not used."""

from pathlib import Path

import numpy as np

import interlingua as il

data = Path("demo/data")
source, target = (np.load(data / f"eval-{side}.npy") for side in ("source", "target"))

# 1,500 known pairs make a paired fit; row pairs[i, 0] of the source is the text of row pairs[i, 1] of the target.
known = np.arange(1500)
alignment = il.align(source[:1500], target[:1500], pairs=np.stack([known, known], axis=1), method="procrustes")
translator = alignment.translator()

scores = il.evaluate(translator, source[1500:], target[1500:])
print(f"top-1 {scores.forward.top1.value:.2f} forward, {scores.backward.top1.value:.2f} backward")
