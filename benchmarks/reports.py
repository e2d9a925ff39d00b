"""The two audit reports of the documentation, each from one command line.

    python benchmarks/reports.py encode --corpora ../shared/data/corpora --work DIR    # an environment with encoders
    python benchmarks/reports.py audit --work DIR --out docs/reports

``packages`` audits the demo's data that the package contains, as ``interlingua audit --demo`` does after an
installation. ``notes`` audits passages of medical notes (mtsamples, CC0) under the Universal Sentence Encoder, with
passages of other notes under all-MiniLM-L6-v2 as the public text and WordLlama as the stand-in. A note is on one side
alone, and no passage is on two sides. The audit is given the true passages and specialties to measure with, records
for the membership test, 1,000 passages of leaked notes and as many of notes that are on no other side, and a second
leak under WordLlama, which holds 2,000 of the leaked passages and those other records. Whole notes are too few: with
1,178 of them on each side, the fit fails.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import make_data

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "interlingua"
WORDS, MIN_WORDS, PARTS, SEED = 40, 20, 8, 20_261_123
# One note of eight on the public side is a record of the membership test instead.
HELD_OUT, RECORDS, SHARED = 8, 1_000, 2_000
# The texts that each file of vectors holds, and their encoder.
VECTORS = {
    "notes.npy": ("notes", "use"),
    "public.npy": ("public", "minilm"),
    "public-stand-in.npy": ("public", "wordllama"),
    "members.npy": ("members", "minilm"),
    "others.npy": ("others", "minilm"),
    "second.npy": ("second", "wordllama"),
}
PACKAGES = "interlingua audit --demo --defenses quick --kinds --halvings 2 --annex packages-annex.html --show-words"
NOTES = (
    "interlingua audit notes.npy --authorized-by 'nobody: the notes are public (CC0)' --corpus public.jsonl "
    "--corpus-vectors public.npy --stand-in public-stand-in.npy --label-column label --truth notes.jsonl "
    "--truth-labels notes.jsonl --members members.npy --nonmembers others.npy --second second.npy "
    "--second-truth second.jsonl --defenses quick --kinds --halvings 2 --annex notes-annex.html --show-words"
)


def passages(path: Path, most: int) -> dict[str, list[tuple[str, str]]]:
    """Return (specialty, passage) of every side; no passage is on two of the first three sides.

    The sides are those of the leaked notes, of the public ones and of the others; then the leaked passages that are
    the members of the test, and the second leak.
    """
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        notes = {note["transcription"]: note["medical_specialty"].strip() for note in map(json.loads, stream)}
    texts = sorted(text for text in notes if text)
    leaked, rest = np.array_split(np.random.default_rng(SEED).permutation(len(texts)), 2)
    held_out = np.arange(len(rest)) % HELD_OUT == 0
    sides: dict[str, list[tuple[str, str]]] = {}
    seen: set[str] = set()
    for side, rows in (("notes", leaked), ("others", rest[held_out]), ("public", rest[~held_out])):
        found = {part.lower(): (notes[texts[row]], part) for row in rows for part in parts_of(texts[row])}
        new = [value for part, value in found.items() if part not in seen]
        sides[side] = [new[i] for i in np.random.default_rng(SEED).permutation(len(new))[:most]]
        seen |= found.keys()
    sides["others"] = sides["others"][:RECORDS]
    sides["members"] = sides["notes"][:RECORDS]
    sides["second"] = sides["notes"][-SHARED:] + sides["others"]
    return sides


def parts_of(text: str) -> Iterator[str]:
    """Yield the first passages of a note."""
    words = text.replace(",", ", ").split()
    for start in range(0, min(len(words), WORDS * PARTS), WORDS):
        if len(words) - start >= MIN_WORDS:
            yield " ".join(words[start : start + WORDS])


def encode(corpora: Path, work: Path, most: int) -> None:
    """Write texts, labels and vectors of every side; vectors that exist are kept if the texts are the same."""
    work.mkdir(parents=True, exist_ok=True)
    sides = passages(corpora / "mtsamples.jsonl.gz", most)
    for side, found in sides.items():
        write_texts(work, side, found)
    for file, (side, encoder) in VECTORS.items():
        if not (work / file).exists():
            vectors = make_data.ENCODERS[encoder].encode([text for _, text in sides[side]], work)
            np.save(work / file, make_data.unit_rows(np.asarray(vectors, np.float32)).astype(np.float16))


def write_texts(work: Path, side: str, found: list[tuple[str, str]]) -> None:
    """Write the texts and labels of a side; delete vectors of other texts."""
    path, lines = work / f"{side}.jsonl", "".join(json.dumps({"text": t, "label": label}) + "\n" for label, t in found)
    if path.is_file() and path.read_text("utf-8") == lines:
        return
    # Before the texts, so that a run that is stopped in between leaves no vectors of other texts.
    for file, (held, _) in VECTORS.items():
        if held == side:
            (work / file).unlink(missing_ok=True)
    path.write_text(lines, "utf-8")


def audit(work: Path, out: Path, only: str) -> None:
    """Run both commands in the work folder and keep the reports."""
    out.mkdir(parents=True, exist_ok=True)
    # Beside a checkout the demo would read the full data; a copy of the package has only its own.
    shutil.copytree(PACKAGE, work / "installed" / "interlingua", dirs_exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str((work / "installed").resolve())}
    for name, command in (("packages", PACKAGES), ("notes", NOTES)):
        if only not in name:
            continue
        words = shlex.split(command)[1:]
        options = ["--out", f"{name}.html", "--keep", f"{name}-fits", "--force"]
        subprocess.run([sys.executable, "-m", "interlingua", *words, *options], cwd=work, env=environment, check=True)
        for file in (f"{name}.html", f"{name}-annex.html"):
            shutil.copyfile(work / file, out / file)


def main() -> None:
    """Encode the passages, or run the audits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("encode", "audit"))
    parser.add_argument("--corpora", type=Path, default=Path("../shared/data/corpora"))
    parser.add_argument("--work", type=Path, default=Path("benchmarks/vectors/reports"))
    parser.add_argument("--out", type=Path, default=Path("docs/reports"))
    parser.add_argument("--most", type=int, default=10_000, help="passages of each side")
    parser.add_argument("--only", default="", help="only the report whose name contains this")
    arguments = parser.parse_args()
    if arguments.action == "encode":
        encode(arguments.corpora, arguments.work, arguments.most)
    else:
        audit(arguments.work, arguments.out, arguments.only)


if __name__ == "__main__":
    main()
