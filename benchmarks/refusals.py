"""Open every hostile file of the tests in a process of its own, with little memory and time; one JSON object in all.

    python benchmarks/refusals.py

Each process may map 3 GiB and run 20 seconds. What counts is that it ends by refusing the file with the right sentence:
``seconds`` and ``peak_mb`` are of the refusal alone, after the imports.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
MEMORY, SECONDS = 3 * 2**30, 20


def refuse(number: int, folder: str, results: Any) -> None:
    """Write one file, try to use it, and report how that ended."""
    import resource

    from hostile.cases import ON_OPENING, ON_READING
    from interlingua.core.errors import InputError
    from interlingua.io import open_vectors

    name, content, message = (ON_OPENING + ON_READING)[number]
    path = Path(folder) / name
    path.write_bytes(content)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    try:
        open_vectors(path).check()
        outcome, said = "accepted", ""
    except InputError as error:
        said = str(error).replace(str(path), name)
        outcome = "refused" if re.search(message, str(error)) else "refused for another reason"
    except Exception as error:  # noqa: BLE001  (whatever else comes out is what this script looks for)
        outcome, said = f"raised {type(error).__name__}", str(error)[:200]
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    results.put({"file": name, "bytes": len(content), "outcome": outcome, "message": said[:200],
                 "seconds": round(seconds, 4), "peak_mb": round(grown, 1)})  # fmt: skip


def main() -> None:
    """Try all files and write the record."""
    from hostile.cases import ON_OPENING, ON_READING

    fork = multiprocessing.get_context("fork")
    rows: list[dict[str, Any]] = []
    for number, (name, content, _) in enumerate(ON_OPENING + ON_READING):
        results = fork.SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            process = fork.Process(target=refuse, args=(number, folder, results))
            process.start()
            process.join(SECONDS)
            if process.is_alive() or process.exitcode:
                process.kill()
                rows.append({"file": name, "bytes": len(content), "outcome": f"ended with {process.exitcode}"})
            else:
                rows.append(results.get())
    record = {
        "files": len(rows),
        "refused": sum(row["outcome"] == "refused" for row in rows),
        "slowest_seconds": max(row.get("seconds", SECONDS) for row in rows),
        "largest_peak_mb": max(row.get("peak_mb", 0) for row in rows),
        "rows": rows,
    }
    (ROOT / "benchmarks" / "results" / "refusals.json").write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(json.dumps({k: v for k, v in record.items() if k != "rows"}) + "\n")


if __name__ == "__main__":
    main()
