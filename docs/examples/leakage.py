"""What a translated vector tells: the section of a package, from its vector alone."""

import json
from pathlib import Path

import numpy as np

from interlingua.leakage.attributes import infer_attributes, truth_matrix

data = Path("demo/data")
sections = json.loads((data / "sections.json").read_text())
vectors = np.load(data / "eval-target.npy").astype(np.float32)
at = np.array(sections["eval"])

# Stand-ins for label texts: the mean vector of half of each section's packages. An auditor embeds the labels instead.
train, test = np.arange(len(at)) % 2 == 0, np.arange(len(at)) % 2 == 1
common = [i for i in range(len(sections["names"])) if (at[train] == i).sum() >= 20]
labels = np.stack([vectors[train][at[train] == i].mean(axis=0) for i in common])
kept = test & np.isin(at, common)
truth = truth_matrix([sections["names"][i] for i in at[kept]], [sections["names"][i] for i in common])

found = infer_attributes(vectors[kept], labels, truth, [sections["names"][i] for i in common])
for name, scores in found.scores().items():
    print(f"{name}: top-1 {scores.top1.value:.2f}")
