"""One whole audit of many rows from the command line, and where its time goes; one JSON line per run, appended.

    python benchmarks/audit_time.py --vectors DIR --work DIR --rows 50000

The texts of several corpora are audited under the victim's encoder; other texts of the same corpora are the public
text, with a stand-in. Both fits, the stand-in, words, labels (the corpora), kinds, quick defenses, the annex and the
measurement against the true texts are part of the run. The wall time depends on what else the machine does: the load
and the processor time of the command are in the record beside it. ``--vectors`` holds what ``encode.py`` wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from records import append

CORPORA = ("nq-open", "opentriviaqa", "clickbait", "wiki-split", "medquad", "clinc150", "banking77", "ag_news_test")
RESULTS = Path(__file__).resolve().parent / "results" / "audit-time.jsonl"


def write_inputs(vectors: Path, work: Path, rows: int, public: int, encoders: dict[str, str]) -> dict[str, int]:
    """Write the files of the audit and return their numbers of rows."""
    parts: dict[str, list[Any]] = {name: [] for name in encoders}
    texts: list[dict[str, str]] = []
    for corpus in CORPORA:
        if not all((vectors / f"{corpus}.{encoder}.npy").exists() for encoder in encoders.values()):
            continue
        for name, encoder in encoders.items():
            parts[name].append(np.load(vectors / f"{corpus}.{encoder}.npy"))
        lines = (vectors / f"{corpus}.texts.jsonl").read_text("utf-8").splitlines()
        texts += [{"text": json.loads(line)["text"], "label": corpus} for line in lines]
    order = np.random.default_rng(0).permutation(len(texts))
    sides = {"audited": order[:rows], "public": order[rows:][:public]}
    work.mkdir(parents=True, exist_ok=True)
    for side, chosen in sides.items():
        lines = [json.dumps(texts[i]) + "\n" for i in chosen]
        (work / f"{side}.jsonl").write_text("".join(lines), "utf-8")
    for name, side in (("victim", "audited"), ("known", "public"), ("stand-in", "public")):
        np.save(work / f"{name}.npy", np.concatenate(parts[name])[sides[side]])
    return {side: len(chosen) for side, chosen in sides.items()}


def steps(log: Path) -> dict[str, float]:
    """Return the seconds between the events of the log, summed by what was reported, the longest first."""
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    times = [datetime.fromisoformat(event["time"]).timestamp() for event in events]
    found: dict[str, float] = {}
    for (event, begin), (_, end) in pairwise(zip(events, times, strict=True)):
        name = " ".join(str(event[key]) for key in ("event", "task", "step", "work", "name") if key in event)
        found[name] = found.get(name, 0.0) + max(0.0, end - begin)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def stages(log: Path) -> dict[str, Any]:
    """Return the seconds of each part of the audit, and of each defense, in the order in which they ran."""
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    found: dict[str, Any] = {}
    name, begun = None, 0.0
    for event in events:
        now = datetime.fromisoformat(event["time"]).timestamp()
        step = event.get("step")
        following = {
            "audit": "fit 1",
            "fit": f"fit {len([part for part in found if part.startswith('fit')]) + 2}",
            "stand-in": "decoder",
            "audited": "end",
        }.get(event["event"])
        if event["event"] == "progress" and step == "defense":
            following = f"defense {event['name']}"
        elif event["event"] == "progress" and step == "attack":
            following = "attack" if not any(part.startswith("defense") for part in found) else "attack, the rest"
            following = "attack, the rest" if str(name).startswith("defense") else following
        if following is None or following == name:
            continue
        if name is not None:
            found[name] = round(now - begun, 1)
        name, begun = following, now
    # What follows the last fit until its event is that of the stand-in.
    last = max(part for part in found if part.startswith("fit"))
    return {("stand-in" if part == last else part): seconds for part, seconds in found.items()}


def estimates(log: Path) -> dict[str, float | None]:
    """Return what the log said at a tenth, a quarter, a half and three quarters of the time, beside the true time.

    Each is the estimated time of the whole audit as a multiple of the true one; None where it said nothing yet.
    """
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    told = [(event["total_elapsed"], event.get("total_seconds_left")) for event in events if "total_elapsed" in event]
    end = told[-1][0]
    found: dict[str, float | None] = {}
    for share in (0.1, 0.25, 0.5, 0.75):
        elapsed, left = [pair for pair in told if pair[0] <= share * end][-1]
        found[f"{share:.0%}"] = None if left is None else round((elapsed + left) / end, 2)
    return found


def main() -> None:
    """Run the audit once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--work", type=Path, default=Path("benchmarks/vectors/audit"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--public", type=int, default=50_000)
    parser.add_argument("--victim", default="use")
    parser.add_argument("--known", default="wordllama")
    parser.add_argument("--stand-in", default="model2vec")
    arguments = parser.parse_args()
    encoders = {"victim": arguments.victim, "known": arguments.known, "stand-in": arguments.stand_in}
    counts = write_inputs(arguments.vectors, arguments.work, arguments.rows, arguments.public, encoders)
    command = (
        "audit victim.npy --authorized-by benchmark --corpus public.jsonl --corpus-vectors known.npy "
        "--stand-in stand-in.npy --label-column label --truth audited.jsonl --truth-labels audited.jsonl --kinds "
        "--defenses quick --annex annex.html --out audit.html --log log.jsonl --force"
    )
    (arguments.work / "log.jsonl").unlink(missing_ok=True)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "interlingua", *command.split()], cwd=arguments.work, check=True)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads((arguments.work / "audit.json").read_text("utf-8"))
    record = {
        "rows": counts,
        "encoders": encoders,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "seconds": round(seconds, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mib": round(after.ru_maxrss / 1024),
        "verdicts": found["verdicts"],
        "leak": found["leak"],
        "stages": stages(arguments.work / "log.jsonl"),
        "estimates": estimates(arguments.work / "log.jsonl"),
        "steps": {name: round(value, 1) for name, value in list(steps(arguments.work / "log.jsonl").items())[:20]},
    }
    append(arguments.out, [record])


if __name__ == "__main__":
    main()
