"""Commands whose inputs are on this machine open no network connection, as SECURITY.md promises."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from interlingua.cli import app

ROOT = Path(__file__).resolve().parents[1]
# In a process of its own, because an audit hook cannot be removed.
GUARDED = """
import json, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        opened.append(f"{event} {arguments[1:]}")
        raise OSError("no network in this test")

opened, codes = [], {}
sys.addaudithook(refuse)
from interlingua.cli import main

for words in json.loads(sys.argv[1]):
    codes[" ".join(words[:3])] = main(words)
sys.stderr.write(json.dumps({"codes": codes, "opened": opened}))
"""
# The rest opens connections: bench with --encode, serve on this machine; or is tried with its heavy data elsewhere.
PROGRAM = "import sys\nfor line in sys.stdin: print(len(line), 1, 2)"
COMMANDS = [
    ["settings", "linear", "--json"],
    ["doctor", "--json"],
    ["plan", "source.npy", "target.npy", "--json"],
    ["identify", "source.npy", "--json"],
    ["fit", "source.npy", "target.npy", "--pairs", "pairs.npy", "--method", "ridge", "--out", "made", "--json"],
    ["inspect", "made", "--json"],
    ["translate", "translator", "source.npy", "--out", "translated.npy", "--json"],
    ["evaluate", "translator", "source.npy", "target.npy", "--json"],
    ["search", "translator", "source.npy", "--query", "target.npy", "-k", "2", "--json"],
    ["calibrate", "translator", "source.npy", "target.npy", "--out", "scaled", "--json"],
    ["migrate", "translator", "source.npy", "new.npy", "--dry-run", "--json"],
    [
        "embed",
        "texts.jsonl",
        "embedded.jsonl",
        "--encoder",
        f"command:{shlex.join([sys.executable, '-c', PROGRAM])}",
        "--json",
    ],
    ["export", "translator", "--to", "safetensors", "--out", "plain.safetensors", "--json"],
    ["export", "translator", "--to", "sentence-transformers", "--out", "modules", "--json"],
    ["export", "translator", "--to", "hub-folder", "--out", "hub", "--json"],
    ["audit", "--demo", "--data", "data", "--authorized-by", "me", "--translator", "translator", "--json"],
]
NEEDS_NETWORK_OR_DATA = {"bench", "serve", "demo"}


@pytest.fixture
def audited(saved: Path, folder: Path) -> Path:
    """The folder of a translator, with small data for an audit."""
    lines = [f'{{"text": "text {i}", "vector": [1, 0, {i}]}}' for i in range(20)]
    (folder / "texts.jsonl").write_text("\n".join(lines))
    data = folder / "data"
    data.mkdir()
    for side in ("source", "target"):
        rows = (folder / f"{side}.npy").read_bytes()
        (data / f"{side}.npy").write_bytes(rows)
        (data / f"eval-{side}.npy").write_bytes(rows)
    words = ("amber", "birch", "cedar", "delta", "ember")
    # Named after the largest and the smallest coordinate of the vector, so that names and vectors belong together.
    target = np.load(folder / "target.npy")
    ends = zip(target.argmax(axis=1).tolist(), target.argmin(axis=1).tolist(), strict=True)
    names = [f"{words[a % 5]}{'abcdefgh'[a // 5]}-low{words[b % 5]}{'abcdefgh'[b // 5]}" for a, b in ends]
    (data / "names.json").write_text(json.dumps({"source": names, "target": names}))
    sections = {"names": ["a", "b"], "source": [0, 1] * 300, "target": [0, 1] * 300, "eval": [0, 1] * 300}
    (data / "sections.json").write_text(json.dumps(sections))
    return folder


def test_commands_on_files_open_no_connection(audited: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, json.dumps(COMMANDS)], cwd=audited, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr[done.stderr.rindex('{"codes"') :])
    assert found["opened"] == []
    assert {name: code for name, code in found["codes"].items() if code} == {}, done.stdout[-2000:]


def test_the_guard_sees_a_connection(tmp_path: Path) -> None:
    words = ["migrate", "t", "old.npy", "postgresql://me@127.0.0.1:9/shop#items.v"]
    code = GUARDED.replace(
        "codes[",
        "import socket\n    try: socket.create_connection(('127.0.0.1', 9))\n    except OSError: pass\n    codes[",
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([words])], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "socket.getaddrinfo" in done.stderr


def test_every_command_is_tried_or_listed_as_one_that_needs_the_network() -> None:
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert names == {words[0] for words in COMMANDS} | NEEDS_NETWORK_OR_DATA


def test_every_option_that_names_an_encoder_is_in_the_table_of_security() -> None:
    table = (ROOT / "SECURITY.md").read_text("utf-8")
    row = next(line for line in table.splitlines() if "an encoder that is a name" in line)
    loads = {
        (name, parameter.opts[0])
        for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
        for parameter in command.params
        if parameter.name in ("source_encoder", "target_encoder", "view_encoders", "encoder", "rerank")
        and parameter.metavar != "FOLDER"
        if name != "bench"  # which names encoders of the paper, and has a row of its own
    }
    assert {name for name, _ in loads} == {"fit", "embed", "audit", "search"}
    assert all(f"`{name}`" in row and f"`{option}`" in row for name, option in loads)


def test_only_modules_that_security_speaks_of_can_open_connections() -> None:
    """A new module with a network client needs a line in SECURITY.md, and its name here."""
    client = re.compile(
        r"urlopen|build_opener|http\.client|import requests|import httpx|socket\.socket|create_connection"
        r"|uvicorn\.Server|snapshot_download|HfApi|load_dataset\(|module\.SentenceTransformer\(|AutoModel|ray\.init"
        r"|psycopg\.connect|HttpClient\(|QdrantClient\(|MilvusClient\("
    )
    package = ROOT / "src" / "interlingua"
    found = {
        str(path.relative_to(package).with_suffix("")).replace("\\", "/")
        for path in package.rglob("*.py")
        if client.search(path.read_text("utf-8"))
    }
    assert found == {
        "bench/encode",
        "cli/serve",
        "core/hub",
        "distributed/ray",
        "encoders",
        "leakage/inversion/guided",
        "leakage/inversion/judge",
        "stores/_pgtable",
        "stores/chroma",
        "stores/milvus",
        "stores/qdrant",
    }
