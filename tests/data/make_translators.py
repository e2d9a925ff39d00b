"""Write small translators as this version saves them, and what they translate.

    PYTHONPATH=src:tests python tests/data/make_translators.py

writes the folders `affine` and `network` beside this file, with `values.json`: rows and their translations in both
directions. `tests/test_saved_translators.py` opens them. Do not run it again to make that test pass: a version that
cannot read these files cannot read the translators of its users. A new format gets new folders beside the old ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import exported

HERE = Path(__file__).resolve().parent
ROWS = 4


def main() -> None:
    """Write both translators and their values."""
    values = {}
    for kind, translator in (("affine", exported.linear()), ("network", exported.neural())):
        translator.save(HERE / kind, overwrite=True)
        source, target = (exported.rows(d, ROWS) for d in (exported.D_SOURCE, exported.D_TARGET))
        values[kind] = {
            "source": np.round(source.astype(float), 6).tolist(),
            "target": np.round(target.astype(float), 6).tolist(),
            "translated": np.round(translator.translate(source).astype(float), 6).tolist(),
            "inverted": np.round(translator.invert(target).astype(float), 6).tolist(),
        }
    (HERE / "values.json").write_text(json.dumps(values) + "\n", "utf-8")


if __name__ == "__main__":
    main()
