"""Make text corpora for ``encode.py`` from two dictionaries that Debian packages.

    apt-get download wordnet-base dict-foldoc
    for package in *.deb; do dpkg-deb -x "$package" unpacked; done
    python benchmarks/dictionaries.py --unpacked unpacked --out DIR

- wordnet: the gloss of every synset of WordNet 3.0, without its examples
- foldoc: the first paragraph of every entry of the Free On-line Dictionary of Computing, without its label

Writes DIR/CORPUS.jsonl.gz with the columns ``text`` and ``label``: the part of speech, or the field of computing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

PARTS = ("noun", "verb", "adj", "adv")
# An entry starts at the left margin and its text is indented.
_ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)
_LABEL = re.compile(r"^<([^>]*)>\s*")


def wordnet(unpacked: Path) -> Iterator[tuple[str, str]]:
    """Yield the gloss and the part of speech of every synset; a gloss stands behind a bar, with quoted examples."""
    for part in PARTS:
        for line in (unpacked / "usr/share/wordnet" / f"data.{part}").read_text("utf-8").splitlines():
            gloss = line.partition(" | ")[2].partition('; "')[0].strip()
            if gloss:
                yield gloss, part


def foldoc(unpacked: Path) -> Iterator[tuple[str, str]]:
    """Yield the first paragraph and the field of every entry.

    A blank line separates the name of an entry from its text. It is missing in the header of the file
    (``00-database-...``) and in lines of a text that are not indented; both are left out.
    """
    with gzip.open(unpacked / "usr/share/dictd/foldoc.dict.dz", "rt", encoding="utf-8") as stream:
        entries = _ENTRY.split(stream.read())
    for entry in entries:
        _, _, body = entry.partition("\n")
        if not body.startswith("\n"):
            continue
        paragraph = " ".join(body.strip().partition("\n\n")[0].split())
        label = _LABEL.match(paragraph)
        text = _LABEL.sub("", paragraph).replace("{", "").replace("}", "")
        if text:
            yield text, label[1] if label else ""


def main() -> None:
    """Write both corpora."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpacked", type=Path, required=True, help="folder into which the packages were unpacked")
    parser.add_argument("--out", type=Path, default=Path("../shared/data/corpora"))
    arguments = parser.parse_args()
    for name, read in {"wordnet": wordnet, "foldoc": foldoc}.items():
        with gzip.open(arguments.out / f"{name}.jsonl.gz", "wt", encoding="utf-8") as stream:
            for text, label in read(arguments.unpacked):
                stream.write(json.dumps({"text": text, "label": label}) + "\n")


if __name__ == "__main__":
    main()
