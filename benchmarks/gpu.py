"""Fits on a GPU beside the CPU, a cold run of the paper's method, and the second search; run by ``gpu.sh``.

    python benchmarks/gpu.py prepare NAME=SOURCE.npy,TARGET.npy ... [--rows N]
    benchmarks/gpu.sh [--minutes 12]

``prepare`` writes rows of each case to ``benchmarks/gpu-data``, 60 MB at most, so that a machine without network can be
given them. SOURCE.npy and TARGET.npy hold the same texts, row by row; the two sides of a fit are disjoint halves of
them in random order, and held-out pairs are scored only. The first case is the one of the cold run.

``measure`` appends a JSON line for each result to ``benchmarks/results/gpu.jsonl`` and skips those that are there. The
cold run is lengthened in stages from its checkpoints, so a run that was stopped continues. Without time for the next
step it ends.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

HERE = Path(__file__).resolve().parent
FOLDER, OUT = HERE / "gpu-data", HERE / "results" / "gpu.jsonl"
MANIFEST = "cases.json"
LARGEST = 60_000_000
HELD, ROWS = 2_048, 20_000
PARTS = ("source", "target", "source_eval", "target_eval")
NEEDED = (
    *("numpy", "scipy", "sklearn", "safetensors", "pyarrow", "threadpoolctl", "joblib", "filelock", "packaging"),
    *("torch", "accelerate", "array_api_compat"),
)
SEEDS = range(2)
BUDGET = 90.0
# Steps at which the cold run stops to be scored; each stage continues the one before.
STAGES = tuple(1_000 * 2**i for i in range(10))
SMOKE_STAGES, SMOKE_ROWS = (4, 8), 150
# Changes to the preset ``paper`` that do not change what is learned; and networks small enough for a CPU.
COLD: dict[str, Any] = {"check_every": 500, "save_every": 500, "log_every": 100}
SMOKE: dict[str, Any] = {
    **{"check_every": 4, "save_every": 2, "log_every": 2, "batch": 64, "warmup": 2},
    **dict.fromkeys(("width", "latent", "discriminator_width"), 16),
}
# Seconds that a step is expected to take where nothing was measured yet.
FIRST_GUESS = {"linear": 60.0, "second search": BUDGET + 60.0, "cold": 90.0}


def prepare(cases: dict[str, tuple[Path, Path]], folder: Path, rows: int) -> int:
    """Write the rows of every case as float16 and return their bytes; a folder that exists is refused."""
    import numpy as np

    if (folder / MANIFEST).exists():
        raise SystemExit(f"{folder / MANIFEST} exists; remove {folder} to prepare other cases.")
    folder.mkdir(parents=True, exist_ok=True)
    facts, total = {}, 0
    for name, paths in cases.items():
        sides = [np.load(path, mmap_mode="r") for path in paths]
        if len(sides[0]) != len(sides[1]):
            raise SystemExit(f"{name}: {len(sides[0])} and {len(sides[1])} rows; both files must hold the same texts.")
        order = np.random.default_rng(0).permutation(len(sides[0]))
        held = min(HELD, len(order) // 5)
        half = min(rows, (len(order) - held) // 2)
        splits = (order[held : held + half], order[held + half : held + 2 * half], order[:held], order[:held])
        for part, side, split in zip(PARTS, (*sides, *sides), splits, strict=True):
            values = np.asarray(side[np.sort(split)] if "eval" in part else side[split], np.float16)
            np.save(folder / f"{name}.{part}.npy", values)
            total += values.nbytes
        facts[name] = {"rows": half, "held_out": held, "widths": [side.shape[1] for side in sides]}
    if total > LARGEST:
        raise SystemExit(f"The cases have {total:,} bytes and at most {LARGEST:,} travel; give fewer rows or cases.")
    (folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return total


def prepare_smoke(folder: Path) -> None:
    """Write planted rows, for a run that shows that everything works."""
    import numpy as np

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    content = rng.gamma(0.3, size=(3 * SMOKE_ROWS, 12))
    for side, d in zip("xy", (16, 12), strict=True):
        np.save(folder / f"{side}.npy", content @ rng.standard_normal((12, d)))
    prepare({"planted": (folder / "x.npy", folder / "y.npy")}, folder, SMOKE_ROWS)


def missing(folder: Path, device: str) -> list[str]:
    """Return what a run needs and this machine does not have, each with what to do."""
    lacks = [f"the package {name}" for name in NEEDED if importlib.util.find_spec(name) is None]
    if not lacks and device != "cpu":
        import torch

        if not torch.cuda.is_available():
            lacks.append(f"an NVIDIA GPU that torch {torch.__version__} finds (nvidia-smi shows the driver)")
    if not (folder / MANIFEST).is_file():
        lacks.append(f"{folder / MANIFEST}: write it with benchmarks/gpu.py prepare NAME=SOURCE.npy,TARGET.npy")
    return lacks


class Session:
    """What is left of the time, what has been recorded, and the rows of the cases."""

    def __init__(self, folder: Path, out: Path, minutes: float) -> None:
        self.folder, self.out = folder, out
        self.deadline = time.monotonic() + 60 * minutes
        lines = out.read_text("utf-8").splitlines() if out.is_file() else []
        self.records = {record["key"]: record for record in map(json.loads, lines)}

    def rows(self, case: str) -> list[np.ndarray[Any, Any]]:
        """Return source, target and held-out rows of both, float32."""
        import numpy as np

        return [np.load(self.folder / f"{case}.{part}.npy").astype(np.float32) for part in PARTS]

    def step(self, key: str, expected: float, measure: Callable[[], dict[str, Any]]) -> bool:
        """Measure and record; return False where there is no time for it."""
        if key in self.records:
            return True
        left = self.deadline - time.monotonic()
        if left < expected:
            note(f"{key}: about {expected:.0f} s are needed and {left:.0f} s are left; run again to continue.")
            return False
        started = time.monotonic()
        record = {"key": key, **measure(), "wall_seconds": round(time.monotonic() - started, 2), **machine()}
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with self.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        self.records[key] = record
        note(f"{key}: {record['verdict']}, top-1 {record['top1']}, {record['wall_seconds']} s")
        return True


def measure(folder: Path, out: Path, minutes: float, *, device: str, smoke: bool) -> bool:
    """Run everything that has no record yet and return whether nothing is left."""
    session = Session(folder, out, minutes)
    cases = list(json.loads((folder / MANIFEST).read_text("utf-8")))
    complete = True
    for key, expected, work in linear_steps(session, cases, device, smoke=smoke):
        complete &= session.step(key, expected, work)
    return cold_run(session, cases[0], device, smoke=smoke) and complete


def linear_steps(
    session: Session, cases: list[str], device: str, *, smoke: bool
) -> Iterator[tuple[str, float, Callable[[], dict[str, Any]]]]:
    """Yield key, expected seconds and work of every linear fit and of the second search."""
    for seed in SEEDS[:1] if smoke else SEEDS:
        for case in cases:
            for place in dict.fromkeys(("cpu", device)):
                rounds = {"rounds": 1} if smoke else {}
                yield (
                    f"linear/{case}/{place}/{seed}",
                    1.0 if smoke else FIRST_GUESS["linear"],
                    lambda case=case, place=place, seed=seed, rounds=rounds: fit(  # type: ignore[misc]
                        session.rows(case), seed, method="linear", device=place, **rounds
                    ),
                )
    budget = 1.0 if smoke else BUDGET
    for case in cases:
        yield (
            f"second search/{case}/{device}/0",
            1.0 if smoke else FIRST_GUESS["second search"],
            lambda case=case: fit(  # type: ignore[misc]
                session.rows(case), 0, method="linear", device=device, budget=budget, rounds=1
            ),
        )


def cold_run(session: Session, case: str, device: str, *, smoke: bool) -> bool:
    """Lengthen the cold run stage by stage while there is time; True when the last stage is recorded."""
    settings = {"method": "adversarial", "preset": "paper", "start": "cold", "device": device}
    settings |= SMOKE if smoke else COLD
    runs = session.folder / "runs" / case
    expected = 1.0 if smoke else FIRST_GUESS["cold"]
    for steps in SMOKE_STAGES if smoke else STAGES:
        key = f"cold/{case}/{device}/0/{steps}"
        rows = session.rows(case)
        resume = any(runs.rglob("checkpoint.pt"))
        done = session.step(
            key,
            expected,
            lambda steps=steps, rows=rows, resume=resume: fit(  # type: ignore[misc]
                rows, 0, **settings, steps=steps, folder=str(runs), resume=resume
            ),
        )
        if not done:
            return False
        # Every stage takes as many steps as all before it together, and once more the verdict.
        expected = max(expected, 1.0 if smoke else 2.1 * session.records[key]["wall_seconds"])
    return True


def fit(rows: list[np.ndarray[Any, Any]], seed: int, **settings: Any) -> dict[str, Any]:
    """Fit without pairs, and score held-out pairs afterwards."""
    import interlingua as il

    x, y, *held = rows
    alignment = il.align(x, y, seed=seed, progress=False, **settings)
    translator = alignment.translator(force=True)
    scores = il.evaluate(translator, *held, pool=min(HELD, len(held[0])), bootstrap=0).to_dict()
    sides = scores["forward"], scores["backward"]
    record = {
        "verdict": str(alignment.verdict.status),
        "evidence": {e.name: round(e.value, 4) for e in alignment.verdict.evidence},
        "top1": [round(side["top1"], 4) for side in sides],
        "cosine": [round(side["cosine"], 4) for side in sides],
        "rows": [len(x), len(y)],
        "seconds": round(alignment.seconds, 2),
        "settings": {name: value for name, value in settings.items() if name != "folder"},
    }
    curves = [step for step in alignment.trace if step.get("step") in ("train", "check")]
    if curves:
        keep = curves[:: max(1, len(curves) // 200)]
        record["curves"] = [{name: value for name, value in step.items() if name != "seconds_left"} for step in keep]
    return record


def machine() -> dict[str, Any]:
    """Return the device and the version of torch."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {"gpu": name, "torch": torch.__version__, "threads": torch.get_num_threads()}


def note(text: str) -> None:
    """Write a line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _case(text: str) -> tuple[str, tuple[Path, Path]]:
    name, sign, paths = text.partition("=")
    parts = paths.split(",")
    if not sign or not name or len(parts) != 2:
        raise SystemExit(f"{text!r} is not a case; write NAME=SOURCE.npy,TARGET.npy.")
    return name, (Path(parts[0]), Path(parts[1]))


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when all is recorded, 1 when time ran out, 3 when something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", type=Path, help="rows of the cases and checkpoints; benchmarks/gpu-data by default")
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", parents=[shared])
    preparing.add_argument("cases", nargs="+", metavar="NAME=SOURCE.npy,TARGET.npy")
    preparing.add_argument("--rows", type=int, default=ROWS, help="most rows per side")
    measuring = commands.add_parser("measure", parents=[shared])
    measuring.add_argument("--minutes", type=float, default=12.0, help="when to start nothing more")
    measuring.add_argument("--out", type=Path, help="the records; benchmarks/results/gpu.jsonl by default")
    measuring.add_argument("--smoke", action="store_true", help="tiny planted rows on the CPU, in a minute")
    given = parser.parse_args(arguments)
    folder = given.folder or (FOLDER / "smoke" if getattr(given, "smoke", False) else FOLDER)
    if given.command == "prepare":
        total = prepare(dict(map(_case, given.cases)), folder, given.rows)
        note(f"{folder} holds {total:,} bytes; copy it with the repository, then run benchmarks/gpu.sh.")
        return 0
    device = "cpu" if given.smoke else "cuda"
    if given.smoke and not (folder / MANIFEST).is_file():
        prepare_smoke(folder)
    lacks = missing(folder, device)
    if lacks:
        note("Missing:\n" + "\n".join(f"- {text}" for text in lacks))
        return 3
    out = given.out or (folder / "records.jsonl" if given.smoke else OUT)
    return 0 if measure(folder, out, given.minutes, device=device, smoke=given.smoke) else 1


if __name__ == "__main__":
    sys.exit(main())
