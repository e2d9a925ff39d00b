"""Measure the statistics behind the causes of failed fits where the cause is known; no fit is made.

    python benchmarks/diagnoses.py --vectors DIR --out benchmarks/results/diagnoses.jsonl

Three kinds of records: ``same``, disjoint texts of one corpus under two encoders, and ``different``, texts of two
corpora under two encoders, both with the difference of their neighbor profiles; ``collection``, one corpus under one
encoder, and ``mixture``, two encoders of one width on one side, both with their groups. ``--vectors`` holds what
``encode.py use wordllama paraphrase`` wrote.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.aligners.diagnosis import measure_groups, neighbor_profile
from interlingua.aligners.frames import Frame, principal_axes
from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.statistics import effective_rank

ENCODERS = ("use", "wordllama", "paraphrase")
ROWS = 1500
SHARES = (0.5, 0.2, 0.1)


def load(path: Path) -> FloatArray:
    """Return the first 8,000 rows of a file in float32."""
    return np.load(path)[:8000].astype(np.float32)


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every record; a corpus that an encoder lacks is left out."""
    names = sorted({path.name.split(".")[0] for path in folder.glob(f"*.{ENCODERS[0]}.npy")})
    spaces = {
        (corpus, encoder): load(path)
        for corpus, encoder in itertools.product(names, ENCODERS)
        if (path := folder / f"{corpus}.{encoder}.npy").exists()
    }
    halves = {}
    for (corpus, encoder), rows in spaces.items():
        order = np.random.default_rng(0).permutation(len(rows))
        count = min(ROWS, len(rows) // 2)
        halves[corpus, encoder] = [distinct_rows(rows[part]).rows for part in (order[:count], order[count : 2 * count])]
        share, crossing, likeness = measure_groups(halves[corpus, encoder][0])
        yield {
            "kind": "collection",
            "name": f"{corpus}.{encoder}",
            "effective_rank": effective_rank(Frame.of(rows[order[:4000]]).rows),
            "share": share,
            "crossing": crossing,
            "likeness": likeness,
        }
    # Profiles need equally many rows.
    count = min(len(rows) for pair in halves.values() for rows in pair)
    profiles = {key: [neighbor_profile(rows[:count]) for rows in pair] for key, pair in halves.items()}
    for (first, a), (second, b) in itertools.permutations(spaces, 2):
        if a != b:
            yield {
                "kind": "same" if first == second else "different",
                "name": f"{first}.{a} | {second}.{b}",
                "rows": count,
                "difference": float(np.abs(profiles[first, a][0] - profiles[second, b][1]).mean()),
            }
    for corpus, share in itertools.product(names, SHARES):
        if (corpus, "wordllama") in spaces and (corpus, "use") in spaces:
            yield _mixture(corpus, share, spaces[corpus, "wordllama"], spaces[corpus, "use"])


def _mixture(corpus: str, share: float, x: FloatArray, y: FloatArray) -> dict[str, Any]:
    """Mix WordLlama with the leading 256 principal coordinates of the Universal Sentence Encoder, of other texts."""
    center = y.mean(axis=0)
    narrow = unit_rows((y - center) @ principal_axes(y - center)[0][:, : x.shape[1]])
    count = min(ROWS, len(x) // 2)
    more = round(share * count)
    rows = np.concatenate([x[: count - more], narrow[count : count + more]])
    part, crossing, likeness = measure_groups(distinct_rows(rows).rows)
    return {
        "kind": "mixture",
        "name": f"{corpus}, {share:.0%} of another model",
        "share": part,
        "crossing": crossing,
        "likeness": likeness,
    }


def main() -> None:
    """Write all records and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/diagnoses.jsonl"))
    arguments = parser.parse_args()
    found = list(records(arguments.vectors))
    arguments.out.write_text("".join(json.dumps(record) + "\n" for record in found), "utf-8")
    same, different = (
        np.array([r["difference"] for r in found if r["kind"] == kind]) for kind in ("same", "different")
    )
    sys.stderr.write(
        f"{len(same)} same: at most {same.max():.3f}; {len(different)} different: {np.mean(different >= 0.06):.0%} "
        f"over 0.06; one different pair exceeds one same pair in {np.mean(different > same[:, None]):.0%}\n"
    )


if __name__ == "__main__":
    main()
