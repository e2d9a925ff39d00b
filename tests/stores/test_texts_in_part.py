"""A collection of which some rows have a text: the commands of its plan work one after the other, in every store."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import interlingua as il
from command_line import Run
from interlingua.stores import Records, Spec, open_source, open_store
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options
from interlingua.stores.reembedding import TextEmbedder
from stores.migrations import fill, translator, whole
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

DEMO = Path(__file__).parents[2] / "demo" / "data"
N, WITH_TEXT = 1_600, 1_200
PROGRAM = """
import sys
import numpy as np
rows = np.load(sys.argv[1])
for line in sys.stdin:
    number = line.split()[-1]
    print(rows[int(number) if number.isdigit() else 0].astype("f4").tolist())
"""


def put(address: str) -> Any:
    """Make the old collection, and return the vectors of all of its texts by the new model."""
    old, new = (np.load(DEMO / f"eval-{side}.npy").astype(np.float32) for side in ("source", "target"))
    missing = (None, "", " \n")
    texts = [f"The description of package {i}" if i < WITH_TEXT else missing[i % 3] for i in range(N)]
    payload = pa.table({"text": texts})
    with open_store(address) as store:
        store.create(Spec(old.shape[1], "cosine", pa.int64(), payload.schema, N))
        store.prepare(Spec(old.shape[1], "cosine", pa.int64(), payload.schema, N), 0)
        store.upsert(Records(pa.array(range(N)), old[:N], payload))
        store.finish()
    return new


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("scheme", ["duckdb", "lancedb"])
def test_the_commands_of_the_plan_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    pytest.importorskip(scheme)
    monkeypatch.chdir(tmp_path)
    address = f"{scheme}://{tmp_path}/old.db#items.embedding"
    new = put(address)
    (tmp_path / "embed.py").write_text(PROGRAM)
    np.save("queries.npy", new[N : N + 20])
    encoder = shlex.quote(f"command:{sys.executable} embed.py {DEMO / 'eval-target.npy'}")
    places = {
        "NATIVE": f"{scheme}://{tmp_path}/native.db#items.embedding",
        "TRANSLATED": f"{scheme}://{tmp_path}/translated.db#items.embedding",
        "NEW_MODEL": encoder,
        "NEW_QUERIES.npy": "queries.npy",
    }
    plan = il.plan(address)
    assert (plan.route, plan.needed_rows, plan.text_share) == ("re-embed in part", WITH_TEXT, WITH_TEXT / N)
    printed = ""
    for command in plan.commands:
        if "OLD_QUERIES" in command:
            continue
        for name, value in places.items():
            command = command.replace(name, value)
        ran = run(*shlex.split(command)[1:])
        assert ran.code == 0, f"{command}\n{ran.err}"
        printed = ran.out + ran.err
        if command.startswith("interlingua fit"):
            assert f"pairs: {WITH_TEXT:,} ids are on both sides" in ran.err
    for place, rows in (("NATIVE", WITH_TEXT), ("TRANSLATED", N - WITH_TEXT)):
        with open_store(places[place]) as store:
            assert store.info().count == rows
    said = " ".join(printed.split())
    assert re.search(r"\(target\), translated", said)
    assert "is converted so that translated and native vectors rank alike, by a comparison of sampled rows" in said
    assert "--unique-ids" not in printed


@pytest.mark.store
def test_rows_without_a_text_are_selected_in_postgresql(postgres: str) -> None:
    import psycopg

    from interlingua.stores._blank_texts import without_text

    with psycopg.connect(postgres) as connection:
        connection.execute('create temp table part (id int, "A text" text)')
        rows = [(1, "a b"), (2, None), (3, ""), (4, " \n"), (5, "x")]
        connection.cursor().executemany("insert into part values (%s, %s)", rows)
        found = connection.execute(f"select id from part where {without_text('postgresql', 'A text')} order by id")
        assert [key for (key,) in found.fetchall()] == [2, 3, 4]


# Every character that one side could take for white space and the other not, alone, among blanks and in a text.
CHARACTERS = [*(chr(code) for code in range(1, 0x3100)), "\ufeff", "\U000e0020", "\U0001f600"]
MAYBE_BLANK = [
    None,
    "",
    " \n",
    *CHARACTERS,
    *(f" {each}\t" for each in CHARACTERS if each.isspace()),
    "a\u00a0b",
    "\u2003a",
    "x\x1c",
]


@pytest.mark.parametrize("scheme", ["duckdb", "lancedb", pytest.param("postgresql", marks=pytest.mark.store)])
def test_each_row_is_embedded_or_translated(scheme: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from interlingua.stores._blank_texts import without_text

    place = request.getfixturevalue("postgres") if scheme == "postgresql" else f"{scheme}://{tmp_path}/old.db"
    if scheme != "postgresql":
        pytest.importorskip(scheme)
    rest = without_text(scheme, "A text")
    with open_store(f"{place}#items.embedding") as store:
        fill(store, pa.array(range(len(MAYBE_BLANK))), pa.table({"A text": pa.array(MAYBE_BLANK, pa.string())}))
    embedder = TextEmbedder.of(lambda texts: [[float(len(text)), 1.0] for text in texts], "A text", "lengths")
    with open_source(f"{place}#items.embedding") as source:
        with open_store(f"memory://{tmp_path.name}#native") as native:
            migrate(embedder, source, native, journal=tmp_path / "e", options=Options(skip_bad=True))
            embedded = whole(native).ids.to_pylist()
        with open_store(f"memory://{tmp_path.name}#translated") as translated:
            migrate(translator(), source, translated, journal=tmp_path / "t", options=Options(where=rest))
            moved = whole(translated).ids.to_pylist()
    assert sorted(embedded + moved) == list(range(len(MAYBE_BLANK)))
    assert sorted(moved) == [i for i, text in enumerate(MAYBE_BLANK) if not (text and text.strip())]
