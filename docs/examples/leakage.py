"""Infer the section of a package from its vector alone."""

import json
from pathlib import Path

import numpy as np

from interlingua.leakage.attributes import infer_attributes, truth_matrix

data = Path("demo/data")
sections = json.loads((data / "sections.json").read_text())
vectors = np.load(data / "eval-target.npy").astype(np.float32)
section = np.array(sections["eval"])

# In place of label texts, which an auditor embeds: the mean vector of half of the packages of each section.
train, test = np.arange(len(section)) % 2 == 0, np.arange(len(section)) % 2 == 1
common = [i for i in range(len(sections["names"])) if (section[train] == i).sum() >= 20]
labels = np.stack([vectors[train][section[train] == i].mean(axis=0) for i in common])
kept = test & np.isin(section, common)
truth = truth_matrix([sections["names"][i] for i in section[kept]], [sections["names"][i] for i in common])

inferred = infer_attributes(vectors[kept], labels, truth, [sections["names"][i] for i in common])
for name, scores in inferred.scores().items():
    print(f"{name}: top-1 {scores.top1.value:.2f}")
