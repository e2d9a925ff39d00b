"""Make the query and document sets of ``retrieval.py`` and ``score_calibration.py`` from text corpora, and encode them.

    python benchmarks/retrieval_sets.py --corpora ../shared/data/corpora --out benchmarks/vectors ENCODER...

A set has queries, documents, and other texts of the same kind that are in neither:

- medquad: medical questions, and sentences; relevant are the sentences of the question's answer
- wiki-split: halves of sentences, and sentences; relevant is the sentence that was split
- clinc150: utterances to an assistant, and other utterances; relevant are those of the same intent
- nq-open: search questions, without judgments
- beir: questions of 23 search benchmarks under BGE and MiniLM, which are given as vectors (--spaces), without judgments

Writes retrieval-SET.PART.ENCODER.npy, float16 unit rows, with PART one of queries, documents and others, and
retrieval-SET.json with the texts, and the relevant documents of each query or null. Encoders are those of
``demo/make_data.py``. ``--known`` is a folder of ``encode.py``, whose vectors of the same texts are taken.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import interlingua as il

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import make_data

QUERIES, DOCUMENTS, OTHERS, SEED = 500, 6_000, 4_500, 20_261_129
# The set whose texts play the part of public ones.
PUBLIC = {"medquad": "nq-open", "wiki-split": "nq-open", "clinc150": "nq-open", "nq-open": "clinc150"}
BEIR = {"bge": "bge-base-en-v1.5", "minilm": "all-MiniLM-L6-v2"}
PARTS = ("queries", "documents", "others")
# Answers of more sentences are documents of several topics.
MOST_SENTENCES = 10
# Share of the words of a half that its sentence must have.
SHARED_WORDS = 0.6
log = logging.getLogger(__name__)

# Groups of texts: queries of a topic, and its documents.
Groups = list[tuple[list[str], list[str]]]


def medquad(records: list[dict[str, str]], rng: np.random.Generator) -> Groups:
    """Return each question with the sentences of its answer, which follow it."""
    groups: Groups = []
    for record in records:
        if record["label"].startswith("Q:"):
            groups.append(([record["text"]], []))
        elif groups:
            groups[-1][1].append(record["text"])
    return [group for group in groups if 0 < len(group[1]) <= MOST_SENTENCES]


def wiki_split(records: list[dict[str, str]], rng: np.random.Generator) -> Groups:
    """Return one half of each sentence with the whole sentence, which two halves follow."""
    texts = [record["text"] for record in records]
    groups: Groups = []
    for whole, *halves in zip(texts, texts[1:], texts[2:], strict=False):
        words = set(whole.lower().split())
        shares = [np.mean([word in words for word in half.lower().split()]) for half in halves]
        if min(shares) > SHARED_WORDS and max(map(len, halves)) < len(whole):
            groups.append(([halves[int(rng.integers(2))]], [whole]))
    return groups


def clinc150(records: list[dict[str, str]], rng: np.random.Generator) -> Groups:
    """Return some utterances of each intent as queries and the others as documents."""
    intents: dict[str, list[str]] = {}
    for record in records:
        if record["label"] != "oos":
            intents.setdefault(record["label"], []).append(record["text"])
    return [(texts[: QUERIES // 100], texts[QUERIES // 100 : 50]) for texts in intents.values()]


def nq_open(records: list[dict[str, str]], rng: np.random.Generator) -> Groups:
    """Return half of the questions as queries and half as documents, without any relation."""
    texts = [record["text"] for record in records]
    return [([text], []) for text in texts[::2]] + [([], [text]) for text in texts[1::2]]


SETS: dict[str, Callable[[list[dict[str, str]], np.random.Generator], Groups]] = {
    "medquad": medquad,
    "wiki-split": wiki_split,
    "clinc150": clinc150,
    "nq-open": nq_open,
}


def make_set(folder: Path, name: str) -> dict[str, Any]:
    """Return the texts of each part, no text twice, and the relevant documents of each query."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream]
    rng = np.random.default_rng(SEED)
    groups = SETS[name](records, rng)
    order = rng.permutation(len(groups))
    queries = _distinct((text, at) for at in order for text in groups[at][0])[:QUERIES]
    asked = {at for _, at in queries}
    taken = {text.lower() for text, _ in queries}
    # First the relevant documents, then those of other topics.
    first = [at for at in order if at in asked] + [at for at in order if at not in asked]
    documents = [
        each for each in _distinct((t, at) for at in first for t in groups[at][1]) if each[0].lower() not in taken
    ]
    kept, others = documents[:DOCUMENTS], documents[DOCUMENTS : DOCUMENTS + OTHERS]
    if len(others) < OTHERS:
        held = taken | {text.lower() for text, _ in documents}
        spare = _distinct((record["text"], 0) for record in records)
        others += [each for each in spare if each[0].lower() not in held][: OTHERS - len(others)]
    kept = [kept[at] for at in rng.permutation(len(kept))]
    of_topic: dict[int, list[int]] = {}
    for row, (_, at) in enumerate(kept):
        of_topic.setdefault(int(at), []).append(row)
    judged = [of_topic.get(int(at), []) for _, at in queries]
    return {
        "queries": [text for text, _ in queries],
        "documents": [text for text, _ in kept],
        "others": [text for text, _ in others],
        "relevant": judged if all(judged) else None,
    }


def _distinct(texts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for text, at in texts:
        found.setdefault(text.lower(), (" ".join(text.split()), at))
    return list(found.values())


def write_beir(spaces: Path, out: Path) -> None:
    """Cut the vectors of the BEIR questions into the parts of a set."""
    for encoder, name in BEIR.items():
        vectors = np.load(spaces / f"beir-queries.{name}.npy")
        order = np.random.default_rng(SEED).permutation(len(vectors))
        for part, rows in zip(PARTS, np.split(order, [QUERIES, QUERIES + DOCUMENTS]), strict=True):
            np.save(out / f"retrieval-beir.{part}.{encoder}.npy", vectors[rows])
    (out / "retrieval-beir.json").write_text(json.dumps({"relevant": None}), "utf-8")


def load(folder: Path, name: str, encoder: str) -> dict[str, Any]:
    """Return the vectors of each part of a set in float32."""
    return {part: np.load(folder / f"retrieval-{name}.{part}.{encoder}.npy").astype(np.float32) for part in PARTS}


def is_encoded(folder: Path, name: str, encoders: Iterable[str]) -> bool:
    """Return whether a set has all its vectors."""
    return all((folder / f"retrieval-{name}.{part}.{encoder}.npy").exists() for encoder in encoders for part in PARTS)


def fitted(folder: Path, name: str, encoders: tuple[str, str], kind: str, seed: int) -> il.Translator:
    """Return the translator of a set between two encoders, fitted on first use and kept in the folder.

    Args:
        folder: of the vectors.
        name: of the set.
        encoders: old and new.
        kind: ``unpaired``: documents under the old encoder, other texts under the new one; ``public``: pairs of texts
            of another set; ``paired``: pairs of other texts of the same kind.
        seed: of the fit.
    """
    kept = folder / "translators" / f"{name}.{encoders[0]}.{encoders[1]}.{kind}.{seed}"
    if kept.exists():
        return il.load(kept)
    if kind == "unpaired":
        old, new = (load(folder, name, encoder) for encoder in encoders)
        alignment = il.align(old["documents"][:OTHERS], new["others"], seed=seed)
    else:
        of = name if kind == "paired" else PUBLIC[name]
        old, new = (load(folder, of, encoder)["others"] for encoder in encoders)
        pairs = np.stack([np.arange(len(old))] * 2, axis=1)
        alignment = il.align(old, new, pairs=pairs, method="ridge", seed=seed)
    translator = alignment.translator(force=True)
    translator.save(kept)
    return translator


def known_vectors(folder: Path, corpus: str, encoder: str) -> dict[str, Any]:
    """Return the vectors that ``encode.py`` made of a corpus, by their texts; none where it made none."""
    texts, vectors = folder / f"{corpus}.texts.jsonl", folder / f"{corpus}.{encoder}.npy"
    if not (texts.exists() and vectors.exists()):
        return {}
    rows = np.load(vectors)
    return {json.loads(line)["text"]: row for line, row in zip(texts.open(encoding="utf-8"), rows, strict=True)}


def encode(texts: list[str], encoder: str, known: dict[str, Any], cache: Path) -> Any:
    """Return the float16 unit rows of texts, of which the known ones are not encoded again."""
    new = [text for text in texts if text not in known]
    if new:
        vectors = make_data.ENCODERS[encoder].encode(new, cache)
        made = make_data.unit_rows(np.asarray(vectors, np.float32)).astype(np.float16)
        known = known | dict(zip(new, made, strict=True))
    return np.stack([known[text] for text in texts])


def main() -> None:
    """Make every set and encode it with the encoders named, leaving out what is there already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", help=f"any of {', '.join(make_data.ENCODERS)}")
    parser.add_argument("--spaces", type=Path, help="the folder of the vectors of set beir")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--corpora", type=Path, default=Path("../shared/data/corpora"))
    parser.add_argument("--known", type=Path, help="a folder of vectors by encode.py")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.spaces:
        write_beir(arguments.spaces, arguments.out)
    for encoder in arguments.encoders:
        for name in arguments.sets:
            made = make_set(arguments.corpora, name)
            (arguments.out / f"retrieval-{name}.json").write_text(json.dumps(made), "utf-8")
            known = known_vectors(arguments.known, name, encoder) if arguments.known else {}
            for part in PARTS:
                path = arguments.out / f"retrieval-{name}.{part}.{encoder}.npy"
                if not path.exists():
                    np.save(path, encode(made[part], encoder, known, arguments.out))
                    log.info("wrote %s: %d rows", path, len(made[part]))


if __name__ == "__main__":
    main()
