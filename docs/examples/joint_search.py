"""Search two collections of different models as one."""

import tempfile
from pathlib import Path

import numpy as np

import interlingua as il
from interlingua.stores import open_store
from interlingua.stores.joint import JointSearch

data = Path("demo/data")
old, new = (np.load(data / f"eval-{side}.npy").astype(np.float32) for side in ("source", "target"))
pairs = np.stack([np.arange(1000)] * 2, axis=1)
translator = il.align(old[:1000], new[:1000], pairs=pairs, method="procrustes").translator()

# One half of the texts is known to the old model only, the other half to the new one. Any store can replace the files.
with tempfile.TemporaryDirectory() as folder:
    paths = Path(folder) / "old.npy", Path(folder) / "new.npy"
    for path, rows in zip(paths, (old[1000:1500], new[1500:]), strict=True):
        np.save(path, rows)
    old_store, new_store = (open_store(str(path)) for path in paths)
    joint = JointSearch(translator, old_store, new_store, query_space="target")
    for hit in joint.search(new[1000:1001], k=3)[0]:
        print(f"{hit.score:.3f} row {hit.id} of {Path(hit.store).name}, translated: {hit.translated}")
