"""The adversarial method measured: one JSON line for each run, appended; finished runs are skipped.

    python benchmarks/neural.py SUITE --data ../shared/data

The suites:

* ``planted``: cold starts on planted problems, 32 to 48 wide, another for each seed, with preset ``annealed``, repeated
  until a start is convincing.
* ``planted-paper``: one start each, with the released code's losses.
* ``ablations``: the first without terms, and with fewer source rows.
* ``warm``: BGE to MiniLM from the linear alignment, 10 seeds, each with its linear starts and its teacher.
* ``warm-terms``: the same without the consensus term, or with it alone.
* ``warm-ablations``: warm starts on the small data of ``interlingua demo``, without one part at a time.
* ``cold``: BGE to MiniLM from random networks, on the same budget.
* ``spaces``: three encoders in one network, beside a rotation for every two.
* ``selection``: label-free scores beside true top-1, from starts of every quality.
* ``throughput``: steps per second beside the bare matrix products.
* ``ddp``: two processes beside one with the doubled batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from fits import Case, rows, vectors
from records import append, read_records, seed_range

import interlingua as il
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.aligners.linear import consensus as linear_consensus
from interlingua.aligners.linear.aligner import Linear, LinearFit
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.refit_file import RefitFile
from interlingua.cli.demo_data import read_packaged
from interlingua.core.arrays import unit_rows
from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.evaluation import evaluate
from interlingua.neural.aligner import SIDES
from interlingua.neural.presets import ANNEALED, SMALL, SMALL_WARM
from interlingua.neural.selection import Selection, is_convincing
from interlingua.neural.settings import Settings
from interlingua.neural.trainer import Trainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from planted import around_a_path

Rows = np.ndarray[Any, Any]
POOL = 2048
WIDTHS = (32, 48)
# Encoders that share one network, on disjoint texts of one corpus.
TOGETHER = ("use", "minilm", "model2vec")
# Relative length of the noise added to a paired rotation before training: runs of every quality, to test selection.
DAMAGES = (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)
COLD_STEPS = {"cold": 500, "planted-paper": 3000}
# Most starts for a problem; `planted` stops at a convincing one, `ablations` does them all.
STARTS = {"planted": 4, "ablations": 4}
WITHOUT: dict[str, dict[str, Any]] = {
    "everything": {},
    "without VSP": {"vsp": 0.0, "vsp_end": None, "cycle_vsp": 0.0},
    "without cycle": {"cycle": 0.0, "cycle_vsp": 0.0},
    "without latent critic": {"latent_adversarial": 0.0},
    "without critics": {"latent_adversarial": 0.0, "adversarial": 0.0},
    "without VSP and cycle": {"vsp": 0.0, "vsp_end": None, "cycle": 0.0, "cycle_vsp": 0.0},
}
# What `warm-ablations` leaves out, one part at a time. Hubs are leveled in the teacher, which no setting changes.
UNLEVELED = "without leveled hubs"
WITHOUT_WARM: dict[str, dict[str, Any]] = {
    "everything": {},
    "without VSP": WITHOUT["without VSP"],
    "without cycle": WITHOUT["without cycle"],
    "without latent critic": WITHOUT["without latent critic"],
    "without reconstruction": {"reconstruction": 0.0},
    "without consensus": {"consensus": 0.0},
    UNLEVELED: {},
}
TEXTS = ("beir", "demo")
WARM_ROWS, FEW_WARM_ROWS = 4398, 2000
FEW_WARM_STEPS = {"steps": 60, "check_every": 60}


@dataclass(frozen=True)
class Run:
    """One training run: which problem, which start, which changes."""

    suite: str
    name: str
    seed: int
    problem: str = "isometry"
    n: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    damage: float | None = None

    @property
    def key(self) -> str:
        """Return the identifier of this run in the records."""
        return f"{self.suite}/{self.problem}/{self.name}/{self.n}/{self.seed}"


class Maps:
    """Two functions with the methods of a translator."""

    def __init__(self, forward: Callable[[Rows], Rows], backward: Callable[[Rows], Rows]) -> None:
        self.translate, self.invert = forward, backward


def runs(suite: str, seeds: range) -> Iterator[Run]:
    """Yield the runs of a suite."""
    if suite in ("planted", "planted-paper"):
        yield from (Run(suite, "everything", s, p) for s in seeds for p in ("path", "bent path"))
    elif suite == "ablations":
        for s, p in product(seeds, ("bent path", "path")):
            yield from (Run(suite, name, s, p, changes=c) for name, c in WITHOUT.items())
            yield from (Run(suite, "everything", s, p, n=n) for n in (1000, 2000, 4000))
    elif suite in ("warm", "cold"):
        yield from (Run(suite, suite, s, "beir") for s in seeds)
    elif suite == "warm-ablations":
        for s, (name, c) in product(seeds, WITHOUT_WARM.items()):
            yield Run(suite, name, s, "demo", FEW_WARM_ROWS, FEW_WARM_STEPS | c)
    elif suite == "warm-terms":
        paper = {name: 0.0 for name in ("reconstruction", "vsp", "cycle", "cycle_vsp", "adversarial")}
        for s in seeds:
            yield Run(suite, "the paper's terms alone", s, "beir", changes={"consensus": 0.0})
            yield Run(suite, "consensus alone", s, "beir", changes=paper | {"latent_adversarial": 0.0})
    elif suite == "spaces":
        for corpus in ("debian", "nq-open"):
            yield from (Run(suite, ", ".join(TOGETHER), s, corpus) for s in seeds)
    elif suite == "selection":
        for p in ("isometry", "nonlinear"):
            for damage in DAMAGES:
                yield from (Run(suite, f"damage {damage}", s, p, damage=damage) for s in seeds)
    else:
        raise SystemExit(f"no suite {suite!r}")


def planted(run: Run) -> tuple[Rows, Rows, Rows, Rows]:
    """Return content embedded isometrically by two encoders; some problems distort the second one nonlinearly."""
    rng = np.random.default_rng(run.seed)
    held, (n, make) = 1000, (8000, around_a_path) if "path" in run.problem else (4000, _sparse)
    content = unit_rows(make(2 * n + held, rng))
    x, y = (content @ np.linalg.qr(rng.standard_normal((d, content.shape[1])))[0].T for d in WIDTHS)
    bend = rng.standard_normal((WIDTHS[1], WIDTHS[1])) / np.sqrt(WIDTHS[1])
    if run.problem == "nonlinear":
        y = y + 0.3 * np.tanh(3 * y @ bend)
    if run.problem == "bent path":  # the best rotation finds 0.84 to 0.96 of it
        y = y + 0.05 * np.sin(10 * y @ bend)
    x, y = (unit_rows(z).astype(np.float32) for z in (x, y))
    return x[:n][: run.n], y[n : 2 * n], x[2 * n :], y[2 * n :]


def _sparse(rows: int, rng: np.random.Generator) -> Rows:
    """Return mixtures of 8 topics; a wrong order of the topics fits nearly as well as the right one."""
    k = 8
    weights = rng.gamma(0.5, size=(rows, k)) * np.geomspace(1, 0.3, k)
    return weights @ (np.eye(k) + (rng.random((k, k)) < 0.15) * rng.random((k, k)))


def _damaged(run: Run, x: Rows, y: Rows, held: tuple[Rows, Rows]) -> tuple[AffineMap, AffineMap]:
    """Return the rotation of known pairs plus noise ``damage`` times as long as itself, projected to a rotation."""
    frames = Frame.of(x), Frame.of(y)
    a, b = (unit_rows(side) - frame.mean for side, frame in zip(held, frames, strict=True))
    right = polar(a.T @ b)
    noise = np.random.default_rng([run.seed, 3]).standard_normal(right.shape) / np.sqrt(max(right.shape))
    return affine_maps(*frames, polar(right + (run.damage or 0) * noise))


def latent_maps(forward: AffineMap, backward: AffineMap) -> dict[str, tuple[AffineMap, AffineMap]]:
    """Return the maps into and out of the narrower space, by the name of the other."""
    return {SIDES[0]: (forward, backward)} if forward.d_out <= forward.d_in else {SIDES[1]: (backward, forward)}


def scores(
    forward: Callable[[Rows], Rows], backward: Callable[[Rows], Rows], held: tuple[Rows, Rows]
) -> dict[str, Any]:
    """Return held-out scores of both directions."""
    found = evaluate(Maps(forward, backward), *held, pool=POOL, bootstrap=0).to_dict()
    keep = ("cosine", "cosine_centered", "top1", "mean_rank")
    return {side: {name: found[side][name] for name in keep} for side in ("forward", "backward")}


def of_network(network: Network, held: tuple[Rows, Rows]) -> dict[str, Any]:
    """Return held-out scores of a network."""
    return scores(lambda x: network.translate(x, *SIDES), lambda y: network.translate(y, *SIDES[::-1]), held)


def together(run: Run, folder: Path) -> dict[str, Any]:
    """Train one network for several encoders, and a rotation for every two beside it."""
    encoded = {name: vectors(folder / f"{run.problem}.{name}.npy") for name in TOGETHER}
    order = np.random.default_rng(run.seed).permutation(len(next(iter(encoded.values()))))
    parts = np.array_split(order[POOL:], len(TOGETHER))
    own = {name: z[part[: run.n]] for (name, z), part in zip(encoded.items(), parts, strict=True)}
    alignments = il.align_spaces(own, seed=run.seed)
    pairs, rotation_seconds = {}, 0.0
    networks: dict[tuple[str, str], Callable[[Rows], Rows]] = {}
    rotations: dict[tuple[str, str], Callable[[Rows], Rows]] = {}
    for (a, b), alignment in alignments.items():
        held = encoded[a][order[:POOL]], encoded[b][order[:POOL]]
        rotation = il.align(own[a], own[b], seed=run.seed, nonorthogonal=False)
        rotation_seconds += rotation.seconds
        for maps, fit in ((networks, alignment), (rotations, rotation)):
            maps[a, b], maps[b, a] = fit.forward, fit.backward
        pairs[f"{a} -> {b}"] = {
            "status": str(alignment.verdict.status),
            "network": scores(alignment.forward, alignment.backward, held),
            "rotation": scores(rotation.forward, rotation.backward, held),
            "rotation_status": str(rotation.verdict.status),
        }
    start = unit_rows(encoded[TOGETHER[0]][order[:POOL]])
    return {
        "key": run.key,
        "n": [len(rows) for rows in own.values()],
        "pool": POOL,
        "pairs": pairs,
        "round_trip": {"network": round_trip(networks, start), "rotation": round_trip(rotations, start)},
        "seconds": next(iter(alignments.values())).seconds,
        "rotation_seconds": rotation_seconds,
    }


def round_trip(maps: dict[tuple[str, str], Callable[[Rows], Rows]], start: Rows) -> float:
    """Return the mean cosine of rows with themselves after translation through all spaces of `TOGETHER` and back."""
    found = start
    for pair in zip(TOGETHER, (*TOGETHER[1:], TOGETHER[0]), strict=True):
        found = unit_rows(maps[pair](found))
    return float((found * start).sum(axis=1).mean())


Pair = tuple[AffineMap, AffineMap]


def text_rows(problem: str, seed: int, n: int | None, data: Path) -> tuple[Rows, ...]:
    """Return source, target and held-out rows of real texts: search questions, or what the package has for the demo."""
    if problem == "beir":
        return rows(Case("beir", seed, n or WARM_ROWS), data, data)
    demo = read_packaged()
    rng = np.random.default_rng(seed)
    x, y = (side[rng.permutation(len(side))[:n]] for side in (demo.source, demo.target))
    return x, y, demo.source_eval, demo.target_eval


@cache
def warm_start(problem: str, seed: int, n: int | None, data: Path) -> tuple[Pair, LinearFit, dict[bool, Pair]]:
    """Return the rotation of a linear fit, the fit, and its teachers by whether they level hubs; see `text_rows`."""
    x, y, *_ = text_rows(problem, seed, n, data)
    problem_rows = Problem.of(x, y)
    fit = Linear().fit(problem_rows, seed=seed)
    teachers = {}
    with tempfile.TemporaryDirectory() as folder:
        for is_leveled in (True, False):
            # Without positions to choose from, translations lie around the mean. The refits are the same.
            positions = linear_consensus._OFFSET_POSITIONS * is_leveled
            with mock.patch.object(linear_consensus, "_OFFSET_POSITIONS", positions):
                file = RefitFile(Path(folder) / "refits.safetensors")
                teachers[is_leveled] = consensus(problem_rows, fit.rotation, seed=seed, file=file)
    return affine_maps(*problem_rows.frames, fit.rotation), fit, teachers


def measure(run: Run, data: Path, folder: Path) -> dict[str, Any]:
    """Do a run; pairs are used after it, or beside it by the suite that measures the selection."""
    if run.suite == "spaces":
        return together(run, folder)
    if run.problem in TEXTS:
        x, y, *rest = text_rows(run.problem, run.seed, run.n, data)
    else:
        x, y, *rest = planted(run)
    held = (rest[0], rest[1])
    spaces = dict(zip(SIDES, (x, y), strict=True))
    record: dict[str, Any] = {
        "key": run.key,
        "n": [len(x), len(y)],
        "d": [x.shape[1], y.shape[1]],
        "pool": len(held[0]),
    }
    if run.suite in STARTS:
        return record | restarted(run, spaces, ANNEALED.changed(**run.changes), held)
    started = time.perf_counter()
    maps, teachers = None, {}
    settings: Settings = (SMALL_WARM if run.suite.startswith("warm") else SMALL).changed(**run.changes)
    if run.suite in COLD_STEPS:
        settings = settings.changed(steps=COLD_STEPS[run.suite])
    if run.suite.startswith("warm"):
        rotation, fit, pairs = warm_start(run.problem, run.seed, run.n, data)
        pair = pairs[run.name != UNLEVELED]
        record |= {"rotation": scores(*rotation, held), "faithful": scores(fit.forward, fit.backward, held)}
        maps = latent_maps(*rotation)
        record["teacher"] = scores(*pair, held)
        record["status"] = str(fit.verdict.status)
        if settings.consensus:
            teachers = dict(zip((SIDES, SIDES[::-1]), pair, strict=True))
    if run.damage is not None:
        settings = SMALL_WARM.changed(consensus=0.0, steps=60, check_every=30)
        maps = latent_maps(*_damaged(run, x, y, held))
    record["seconds_before"] = time.perf_counter() - started
    selection: Any = Selection(spaces, seed=run.seed, teachers=teachers)
    snapshots: list[dict[str, Any]] = []

    def select(network: Network) -> dict[str, float]:
        measures: dict[str, float] = selection(network)
        found = of_network(network, held)
        snapshots.append({**measures, "top1": (found["forward"]["top1"] + found["backward"]["top1"]) / 2})
        return measures

    # The paired scores are recorded and never passed to the run.
    trainer = Trainer.prepare(
        spaces,
        settings,
        seed=run.seed,
        maps=maps,
        teachers=teachers,
        selection=select if run.suite == "selection" else selection,
    )
    trained = trainer.run()
    record |= {
        "network": of_network(trained.network, held),
        "last": of_network(trainer.snapshot(), held),
        "best_step": trained.best,
        "measures": dict(trained.measures),
        "seconds": trained.seconds,
        "settings": run.changes,
        "steps": settings.steps,
    }
    return record | ({"snapshots": snapshots} if snapshots else {})


def restarted(run: Run, spaces: dict[str, Rows], settings: Settings, held: tuple[Rows, Rows]) -> dict[str, Any]:
    """Start cold until a start is convincing without pairs, and score all of them afterwards."""
    selection = Selection(spaces, seed=run.seed)
    began = time.process_time()
    starts = []
    for number in range(STARTS[run.suite]):
        trained = Trainer.prepare(spaces, settings, seed=1000 * run.seed + number, selection=selection).run()
        starts.append((trained, time.process_time() - began))
        if is_convincing(trained.measures) and run.suite == "planted":
            break
    best = max(range(len(starts)), key=lambda i: starts[i][0].measures["score"])
    tries = [
        {**trained.measures, "processor_seconds": seconds, "network": of_network(trained.network, held)}
        for trained, seconds in starts
    ]
    return {
        "starts": tries,
        "chosen": best,
        "convincing": is_convincing(starts[best][0].measures),
        "network": tries[best]["network"],
        "seconds": starts[-1][1],
        "settings": run.changes,
        "steps": settings.steps,
    }


def throughput(width: int, batch: int) -> dict[str, Any]:
    """Time training steps beside a loop of the same matrix products, forwards and backwards, alternately."""
    s = SMALL.changed(
        width=width, latent=width, discriminator_width=width, discriminator_depth=5, batch=batch, warmup=0
    )
    rng = np.random.default_rng(0)
    spaces = {
        name: rng.standard_normal((2 * batch, d)).astype(np.float32) for name, d in zip(SIDES, (768, 384), strict=True)
    }
    trainer = Trainer.prepare(spaces, s.changed(average=0.0))
    shapes = products(trainer, batch)
    tensors = {shape: [torch.randn(shape[:2]), torch.randn(shape[1:])] for shape in set(shapes)}
    times: dict[str, list[float]] = {"step": [], "bare": []}
    for turn in range(9):
        started = time.perf_counter()
        trainer._train()
        trainer._step += 1
        middle = time.perf_counter()
        for shape in shapes:
            torch.mm(*tensors[shape])
        if turn > 1:
            times["step"].append(middle - started)
            times["bare"].append(time.perf_counter() - middle)
    step, bare = (float(np.median(times[name])) for name in ("step", "bare"))
    return {
        "key": f"throughput/{width}/{batch}", "width": width, "batch": batch, "threads": torch.get_num_threads(),
        "products": len(shapes), "gflop": sum(2 * a * b * c for a, b, c in shapes) / 1e9,
        "step_seconds": step, "bare_seconds": bare, "ratio": bare / step,
    }  # fmt: skip


def products(trainer: Trainer, batch: int) -> list[tuple[int, int, int]]:
    """Return the shapes of all matrix products that one step calls, as the profiler of torch sees them."""
    trainer._train()
    with torch.profiler.profile(record_shapes=True) as profile:
        trainer._train()
    found = []
    for event in profile.events():
        if event.name in ("aten::mm", "aten::addmm"):
            a, b = event.input_shapes[-2:] if event.name == "aten::mm" else event.input_shapes[1:3]
            found.append((a[0], a[1], b[1]))
    return found


def two_processes() -> dict[str, Any]:
    """Train on two processes with half the batch each, and on one, and compare the curves."""
    code = (
        f"import sys, numpy as np\nfrom pathlib import Path\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from neural import Run, planted, SIDES\nfrom interlingua.neural.presets import SMALL\n"
        "from interlingua.neural.trainer import Trainer\n"
        "x, y, *_ = planted(Run('ddp', 'ddp', 0))\n"
        "s = SMALL.changed(batch=int(sys.argv[2]), steps=200, log_every=5)\n"
        "Trainer.prepare(dict(zip(SIDES, (x, y))), s, folder=Path(sys.argv[1])).run()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "run.py"
        script.write_text(code)
        launch = ["-m", "torch.distributed.run", "--nproc-per-node=2"]
        for command in ([str(script), f"{folder}/one", "256"], [*launch, str(script), f"{folder}/two", "128"]):
            subprocess.run([sys.executable, *command], check=True)
        one, two = (
            [json.loads(line)["loss"] for line in (Path(folder) / name / "metrics.jsonl").read_text().splitlines()]
            for name in ("one", "two")
        )
    gaps = np.abs(np.array(one) / np.array(two) - 1)
    return {"key": "ddp", "steps": 200, "one": one, "two": two, "largest_gap": gaps.max(), "first_gap": gaps[0]}


def main() -> None:
    """Run a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"), help="what encode.py wrote")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=seed_range, default="0:10", help="first:last")
    parser.add_argument("--only", default="", help="only runs whose key contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.out or Path(f"benchmarks/results/neural-{arguments.suite}.jsonl")
    done = {record["key"] for record in read_records(out)}
    todo: dict[str, Callable[[], dict[str, Any]]]
    if arguments.suite == "throughput":
        todo = {f"throughput/{w}/{b}": lambda w=w, b=b: throughput(w, b) for w, b in ((256, 256), (1024, 256))}
    elif arguments.suite == "ddp":
        todo = {"ddp": two_processes}
    else:
        todo = {
            r.key: lambda r=r: measure(r, arguments.data, arguments.vectors)
            for r in runs(arguments.suite, arguments.seeds)
        }
    for key, work in todo.items():
        if key in done or arguments.only not in key:
            continue
        record = work()
        append(out, [record])
        brief = {name: record[name] for name in ("rotation", "network", "ratio", "largest_gap") if name in record}
        sys.stderr.write(f"{key}: {json.dumps(brief)} {record.get('seconds', 0):.0f} s\n")


if __name__ == "__main__":
    main()
