"""Defenses of a store: loss of search quality and remaining leakage under an unpaired attack; one JSON line per case.

    python benchmarks/defenses.py --data ../shared/data --vectors DIR --seeds 2

The store holds MiniLM vectors of search questions. The attacker knows the encoder and the mechanism, but neither key
nor noise, and embeds other texts: ``similar`` are other search questions, ``unrelated`` are package descriptions
(``--vectors`` holds debian.minilm.npy from ``encode.py``). Defenses without a key do not depend on these texts.
Unrelated texts are tried on defenses that are only a key, because noise does not make a key easier to break. Finished
cases in the output are skipped.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from records import append, read_records

import interlingua as il
from interlingua.leakage.defense_scores import evaluate_defense
from interlingua.leakage.defenses import Defense, Rotation, SignedPermutation, suite

HERE = Path(__file__).resolve().parent
ATTACKERS = ("similar", "unrelated")
KEY_ALONE = (Rotation(), SignedPermutation())


def cases(width: int, seeds: int) -> Iterator[tuple[Defense, str, int]]:
    """Yield defense, attacker and seed; the seed decides split, key, noise and fit."""
    for seed in range(seeds):
        for defense in suite("full", width):
            for attacker in ("any",) if not defense.keyed else ATTACKERS if defense in KEY_ALONE else ATTACKERS[:1]:
                yield defense, attacker, seed


def rows(attacker: str, seed: int, data: Path, folder: Path) -> tuple[Any, Any]:
    """Return the store and the attacker's vectors: other texts, equally many."""
    questions = np.load(data / "spaces" / "beir-queries.all-MiniLM-L6-v2.npy").astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(questions))
    store, other = np.array_split(order, 2)
    if attacker == "unrelated":
        packages = np.load(folder / "debian.minilm.npy").astype(np.float32)
        return questions[store], packages[np.random.default_rng(seed).permutation(len(packages))[: len(other)]]
    return questions[store], questions[other]


def main() -> None:
    """Run every case that the output does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "defenses.jsonl")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    done = {(record["name"], record["attacker"], record["seed"]) for record in read_records(arguments.out)}
    for defense, attacker, seed in cases(384, arguments.seeds):
        if (defense.name, attacker, seed) in done:
            continue
        store, known = rows(attacker, seed, arguments.data, arguments.vectors)
        record = evaluate_defense(defense, store, known, seed=seed).to_dict()
        record |= {"attacker": attacker, "seed": seed, "rows": len(store), "attacker_rows": len(known)}
        record |= {"version": il.__version__, "machine": platform.machine()}
        append(arguments.out, [record])


if __name__ == "__main__":
    main()
