"""Write the small demo data of the package, from the data of this folder.

    python demo/make_small.py

reads `demo/data` and writes `src/interlingua/demo.npz`: the first 4,000 rows of each side and the first 1,000 held-out
pairs. Each side is rotated into the 128 leading axes of its uncentered second moment, which keeps the mean and, nearly,
the cosines, and is stored as int8 with one scale. The same input gives the same file, up to rounding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
PACKAGED = HERE.parent / "src" / "interlingua" / "demo.npz"
SIDES = ("source", "target")
ROWS, HELD_OUT, AXES = 4_000, 1_000, 128

Rows = npt.NDArray[np.float32]


def leading_axes(rows: Rows) -> npt.NDArray[np.float64]:
    """Return the 128 eigenvectors [d, 128] of the uncentered second moment with the largest eigenvalues."""
    wide = rows.astype(np.float64)
    vectors = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :AXES]
    # The sign of an eigenvector is free: its largest entry is made positive.
    return vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])


def rounded(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Return unit rows as int8; the scale is not kept, because rows get unit length again when they are read."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.rint(unit * (127 / np.abs(unit).max())).astype(np.int8)


def procrustes_top1(known: list[Rows], held_out: list[Rows]) -> tuple[float, float]:
    """Return the top-1 accuracy in both directions of a rotation that is fitted on known pairs."""
    left, _, right = np.linalg.svd(known[0].T @ known[1])
    cosines = held_out[0] @ (left @ right) @ held_out[1].T
    found = np.arange(len(cosines))
    return tuple(round(float((cosines.argmax(axis) == found).mean()), 4) for axis in (1, 0))  # type: ignore[return-value]


def unit(rows: npt.NDArray[np.int8]) -> Rows:
    """Return the vectors as the package reads them."""
    wide = rows.astype(np.float32)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float32)


def text(value: Any) -> npt.NDArray[np.uint8]:
    """Return a value as the bytes of its JSON, because object arrays would need pickle."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), np.uint8)


def make(data: Path, out: Path) -> dict[str, Any]:
    """Write the small data and return its card."""
    card = json.loads((data / "CARD.json").read_text("utf-8"))
    names, sections = (json.loads((data / f"{name}.json").read_text("utf-8")) for name in ("names", "sections"))
    held_out_names = json.loads((data / "eval-ids.json").read_text("utf-8"))
    arrays, known, held_out, kept = {}, [], [], {}
    for side in SIDES:
        rows = np.load(data / f"{side}.npy")
        axes = leading_axes(rows)
        paired = rounded(np.load(data / f"eval-{side}.npy") @ axes)
        arrays[side], arrays[f"eval-{side}"] = rounded(rows[:ROWS] @ axes), paired[:HELD_OUT]
        held_out.append(unit(paired[:HELD_OUT]))
        known.append(unit(paired[HELD_OUT:]))
        second_moment = (rows.astype(np.float64) ** 2).sum()
        kept[side] = round(float(((rows @ axes) ** 2).sum() / second_moment), 4)
    forward, backward = procrustes_top1(known, held_out)
    card |= {
        "rows": {side: ROWS for side in SIDES} | {"eval": HELD_OUT},
        "reduced": {
            "what": f"the {AXES} leading axes of the uncentered second moment, int8",
            "share_of_second_moment": kept,
        },
        "paired_ceiling": {
            "what": f"orthogonal Procrustes fitted on {len(known[0]):,} known pairs, measured on the held-out rows",
            "forward_top1": forward,
            "backward_top1": backward,
        },
    }
    for encoder in card["encoders"].values():
        encoder["title"] = f"{encoder['title']}, {AXES} axes"
    del card["sha256"]
    sections = {"names": sections["names"]} | {part: sections[part][: card["rows"][part]] for part in (*SIDES, "eval")}
    texts = {
        "card": card,
        "names": {side: names[side][:ROWS] for side in SIDES},
        "sections": sections,
        "eval-ids": held_out_names[:HELD_OUT],
    }
    np.savez_compressed(out, **arrays, **{name: text(value) for name, value in texts.items()})
    return dict(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--out", type=Path, default=PACKAGED)
    given = parser.parse_args()
    print(json.dumps(make(given.data, given.out), indent=2))  # noqa: T201
