from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua
from command_line import D_SOURCE, N, Rows, Run, insert
from interlingua.core.wording import time_taken


@pytest.fixture
def store(folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Parquet file with ids and payload; journals go beside it."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), D_SOURCE)
    names = pa.array([f"row {i}" for i in range(N)])
    pq.write_table(pa.table({"id": names, "vector": vectors, "year": pa.array(range(N))}), folder / "old.parquet")
    monkeypatch.chdir(folder)
    return folder / "old.parquet"


def test_migrate_moves_every_row(run: Run, store: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    ran = run("migrate", saved, store, "new.parquet", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == N
    assert ran.json["checked"] >= 256
    table = pq.read_table("new.parquet")
    assert table["year"].to_pylist() == list(range(N))
    vectors = table["vectors"].combine_chunks().flatten().to_numpy().reshape(N, -1)
    np.testing.assert_allclose(vectors, planted[1], atol=1e-5)


def test_a_dry_run_estimates_the_cost_and_writes_nothing(run: Run, store: Path, saved: Path) -> None:
    before = sorted(Path().iterdir())
    ran = run("migrate", saved, store, "new.parquet", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["plan"]["rows"] == N
    assert ran.json["plan"]["needed_bytes"] > 0
    assert sorted(Path().iterdir()) == before
    text = run("migrate", saved, store, "new.parquet", "--dry-run")
    assert "600 rows of width 24" in text.out
    assert "the vectors in column 'vector' of old.parquet, translated from model left to model right" in text.out
    assert "payload that is copied: year" in text.out
    assert "Nothing was written" in text.err
    alone = run("migrate", saved, store, "new.parquet", "--dry-run", "--drop-payload")
    assert "left out: year" in alone.out
    assert "payload" not in alone.out
    plain = run("migrate", saved, "source.npy", "new.npy", "--dry-run")
    assert "payload that is copied: none" in plain.out


def test_a_dry_run_names_the_file_of_a_source_without_collections(
    run: Run, store: Path, saved: Path, planted: tuple[Rows, Rows], folder: Path
) -> None:
    faiss = pytest.importorskip("faiss", reason="the extra faiss is not installed")
    index = faiss.IndexFlatIP(D_SOURCE)
    index.add(planted[0])
    faiss.write_index(index, "old.faiss")
    words = ("migrate", saved, f"faiss://{folder}/old.faiss", "new.parquet", "--dry-run")
    ran = run(*words)
    assert ran.code == 0, ran.err
    assert "the vectors of old.faiss, translated from model left to model right" in ran.out
    assert run(*words, "--json").json["plan"]["origin"]["collection"] == "old.faiss"


def test_a_dry_run_of_this_folder_names_it(run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.parent / "parts").mkdir()
    store.rename(store.parent / "parts" / "old.parquet")
    monkeypatch.chdir(store.parent / "parts")
    ran = run("migrate", saved, ".", "../new.parquet", "--dry-run", "--journal", "../journal")
    assert ran.code == 0, ran.err
    assert "the vectors in column 'vector' of parts, translated" in ran.out


def test_the_time_of_a_migration_is_without_that_of_its_report(
    run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote: list[int] = []
    monkeypatch.setattr("interlingua.cli.migrate._write_report", lambda *_: wrote.append(1))
    clock = property(lambda _: 77.7 if wrote else 5.5)
    monkeypatch.setattr("interlingua.cli.console.Stopwatch.seconds", clock)
    ran = run("migrate", saved, store, "new.parquet", "--report", "report.html")
    assert "Wrote 600 rows to new.parquet in 5.5 s" in ran.err
    assert wrote


def test_a_migration_is_reported(run: Run, store: Path, saved: Path) -> None:
    ran = run("migrate", saved, store, "new.parquet", "--report", "report.html", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["report"] == "report.html"
    page = Path("report.html").read_text("utf-8")
    for part in ("600 rows are in the target", "new.parquet", "Nearest other translations", "It was made so."):
        assert part in page
    assert "old.parquet, width 24, vectors vector, model left" in page
    assert "metric cosine, model right" in page
    for phase, seconds in ran.json["phases"].items():
        assert f"<dt>{phase.capitalize()}</dt><dd>{time_taken(seconds)}</dd>" in page
    again = run("migrate", saved, store, "other.parquet", "--report", "report.html", "--json")
    assert again.code == 2
    assert "report.html exists" in again.json["error"]
    assert not Path("other.parquet").exists()
    back = run("migrate", saved, "new.parquet", "back.parquet", "--inverse", "--report", "report.html", "--force")
    assert back.code == 0, back.err


def test_rollback_undoes_a_migration(run: Run, store: Path, saved: Path) -> None:
    assert run("migrate", saved, store, "new.parquet").code == 0
    resumed = run("migrate", saved, store, "new.parquet", "--resume")
    assert "Wrote 600 rows to new.parquet (600 of them in an earlier run) in" in resumed.err.replace("\n", " ")
    Path("report.html").write_text("of the first run")
    ran = run("migrate", saved, store, "new.parquet", "--report", "report.html", "--rollback", "--json")
    assert ran.json["dropped"] == "new.parquet"
    assert not Path("new.parquet").exists()
    assert store.exists()
    again = run("migrate", saved, store, "new.parquet", "--rollback")
    assert "Nothing was dropped: what this migration made, if anything, no longer exists" in again.err
    assert run("migrate", saved, store, "gone.parquet").code == 0
    Path("gone.parquet").unlink()
    gone = run("migrate", saved, store, "gone.parquet", "--rollback")
    assert gone.code == 2
    assert "was it renamed or moved?" in gone.err


def test_a_rollback_is_previewed_and_refused_where_vectors_would_be_lost(
    run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    target = "duckdb://new.duckdb#docs.v"
    assert run("migrate", saved, store, target).code == 0
    with duckdb.connect("new.duckdb") as connection:
        connection.execute("insert into docs by name select 'native ' || id id, v, year from docs limit 50")

    dry = run("migrate", saved, store, target, "--rollback", "--dry-run")
    assert dry.code == 0, dry.err
    assert f"--rollback would drop {target} with 650 rows. It is refused without --allow-loss." in dry.err
    assert "50 rows that the migration did not write, for example the one with the id 'native " in dry.err
    assert "Nothing was dropped." in dry.err
    counted = run("migrate", saved, store, target, "--rollback", "--dry-run", "--json").json
    assert (counted["rows"], counted["added"], counted["edited"], counted["dry_run"]) == (650, 50, 0, True)
    refused = run("migrate", saved, store, target, "--rollback", "--json")
    assert refused.code == 2
    assert "50 rows that the migration did not write" in refused.json["error"]
    assert "Copy it first, or drop it with --allow-loss." in refused.json["error"]
    with duckdb.connect("new.duckdb") as connection:
        connection.execute("delete from docs where id like 'native %'")
    moved = store.rename(store.with_name("moved.parquet"))
    refused = run("migrate", saved, store, target, "--rollback", "--json")
    assert refused.code == 2
    assert "may be the last ones, because" in refused.json["error"]
    moved.rename(store)
    # The same stores, as another path, find the same journal.
    elsewhere = f"duckdb://{Path.cwd()}/new.duckdb#docs.v"
    assert "with 600 rows" in run("migrate", saved, Path(store).resolve(), elsewhere, "--rollback", "--dry-run").err
    assert f"Dropped {target} with 600 rows" in run("migrate", saved, store, target, "--rollback").err


def test_a_column_that_exists_is_not_to_be_dropped(
    run: Run, saved: Path, store: Path, planted: tuple[Rows, Rows]
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    connection: Any = duckdb.connect("shop.duckdb")
    connection.execute(f"create table items(id bigint primary key, v float[{D_SOURCE}], customer text)")
    insert(connection, "items", [(i, planted[0][i].tolist(), "Ada") for i in range(60)])
    connection.close()
    address = "duckdb://shop.duckdb#items"
    ran = run("migrate", saved, f"{address}.v", f"{address}.customer", "--journal", "j.sqlite", "--json")
    assert re.search("customer exists, and nothing is overwritten. .* of that run by --journal FILE", ran.json["error"])
    assert "Then --resume continues it, the same command with --catch-up copies rows" in ran.json["error"]
    assert "since, and the same command with --rollback undoes it." in ran.json["error"]
    assert "drop" not in ran.json["error"]


def test_a_fit_that_is_interrupted_says_what_was_written(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **parts: object) -> None:
        raise KeyboardInterrupt

    fit = ("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "t")
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.cli.fit.run_fit", interrupted)
        ran = run(*fit)
        assert (ran.code, "Interrupted. No translator was written." in ran.err) == (130, True)
        ran = run(*fit, "--method", "adversarial", "--run", folder / "checkpoints")
        assert "Interrupted. Go on from the checkpoints in" in ran.err
    monkeypatch.setattr("interlingua.report.write_report", interrupted)
    for again in ((), ("--force",)):
        ran = run(*fit, "--method", "mean-shift", "--allow-failed", "--report", folder / "r.html", *again)
        assert (ran.code, "written" in ran.err) == (130, False)
        assert re.search("Interrupted. The translator .*t is saved.", " ".join(ran.err.split()))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("phase", "advice"), [("survey", "Nothing was written"), ("index", "the same command with --resu")]
)
def test_an_interrupted_migration_says_what_to_do(
    run: Run,
    store: Path,
    saved: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    advice: str,
    number: signal.Signals,
    code: int,
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(number)

    before = signal.getsignal(number)

    with monkeypatch.context() as patch:
        patch.setattr(f"interlingua.stores._run.Run.{phase}", interrupted)
        ran = run("migrate", saved, store, "new.parquet")
    assert (ran.code, signal.getsignal(number)) == (code, before)
    assert f"Interrupted. {advice}" in ran.err.replace("Run ", "").replace("\n", " ")
    assert not Path("new.parquet").exists()
    if phase == "index":
        again = run("migrate", saved, store, "new.parquet", "--json").json["error"]
        assert "Go on with --resume, or run the same command with --rollback to drop what it made." in again
    finished = run("migrate", saved, store, "new.parquet", *(["--resume"] if phase == "index" else []))
    assert finished.code == 0, finished.err


def test_a_second_run_asks_for_resume(run: Run, store: Path, saved: Path) -> None:
    assert run("migrate", saved, store, "new.parquet").code == 0
    again = run("migrate", saved, store, "new.parquet", "--json")
    assert again.code == 2
    assert "exists" in again.json["error"]
    Path("new.parquet").unlink()
    again = run("migrate", saved, store, "new.parquet", "--json")
    assert again.code == 2
    assert "--resume" in again.json["error"]
    other = run("migrate", saved, store, "new.parquet", "--drop-payload", "--json")
    assert other.code == 2
    assert "options were drop_payload=False and are drop_payload=True" in other.json["error"]


def test_a_fit_of_a_store_on_itself_migrates_nothing(run: Run, store: Path) -> None:
    ran = run("migrate", "fresh", store, "new.parquet", "--fit", store, "--json")
    assert ran.code == 2
    assert "given for both sides, which hold the same vectors" in ran.json["error"]
    assert not Path("fresh").exists()


def test_a_failed_fit_migrates_nothing(
    run: Run, store: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = interlingua.align
    monkeypatch.setattr(
        interlingua, "align", lambda *s, seed, on_step: whole(*s, seed=seed, method="random-rotation"), raising=False
    )
    np.save("noise.npy", rng.standard_normal((150, 16)).astype(np.float32))
    ran = run("migrate", "fresh", store, "new.parquet", "--fit", "noise.npy", "--json")
    assert ran.code == 1
    assert ran.json["verdict"]["status"] == "failed"
    assert not Path("fresh").exists()
    assert not Path("new.parquet").exists()


def test_search_over_two_files(run: Run, store: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    # The row that is farthest from all others.
    apart = int(np.partition(planted[1] @ planted[1].T, -2, axis=1)[:, -2].argmin())
    np.save("queries.npy", planted[1][[0, apart, 2]])
    ran = run("search", saved, store, "target.npy", "--query", "queries.npy", "-k", "4", "--json")
    assert ran.code == 0, ran.err
    assert [hits[0]["score"] for hits in ran.json["hits"]] == pytest.approx([1, 1, 1], abs=1e-3)
    assert {hit["id"] for hit in ran.json["hits"][1][:2]} == {apart, f"row {apart}"}
    shown = run("search", saved, store, "--query", "queries.npy", "-k", "2", "--no-calibrate")
    assert "row 0" in shown.out


def test_a_password_in_a_url_is_refused_and_not_repeated(run: Run, saved: Path, folder: Path) -> None:
    ran = run("migrate", saved, "postgresql://me:s3cret@host/db#t.v", folder / "x.parquet", "--json")
    assert ran.code == 2
    assert "PGPASSWORD" in ran.json["error"]
    assert "s3cret" not in ran.out + ran.err


def test_no_secret_no_vector_and_no_payload_is_kept(
    run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "QDRANT_API_KEY", "CHROMA_TOKEN", "MILVUS_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    table = pq.read_table(store)
    pq.write_table(table.append_column("note", pa.array(["whispered"] * N)), store)
    ran = run("migrate", saved, store, "new.parquet", "--log", "log.jsonl")
    assert ran.code == 0, ran.err
    kept = ran.out.encode() + ran.err.encode() + b"".join(path.read_bytes() for path in Path().glob("*.sqlite"))
    kept += Path("log.jsonl").read_bytes()
    assert b"s3cret" not in kept
    assert b"whispered" not in kept
    assert table["vector"].combine_chunks().flatten().to_numpy()[:4].tobytes() not in kept


def test_killed_and_resumed_from_outside(store: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    command = [sys.executable, "-c", "import sys; from interlingua.cli import main; sys.exit(main())", "migrate"]
    command += [str(saved), str(store), "new.jsonl", "--page-rows", "5", "--json"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (
        not Path("new.jsonl.partial/checkpoint.json").exists() and time.monotonic() < deadline and first.poll() is None
    ):
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in Path("new.jsonl").read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"row {i}" for i in range(N)]
    np.testing.assert_allclose([line["vectors"] for line in lines], planted[1], atol=1e-5)


def test_a_dry_run_with_a_fit_saves_nothing_and_the_fit_can_be_run_afterwards(
    run: Run, store: Path, folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", _paired_align(planted), raising=False)
    before = sorted(folder.rglob("*"))
    dry = run("migrate", "fresh", store, "new.parquet", "--fit", "target.npy", "--dry-run", "--log", "log", "--json")
    assert dry.code == 0, dry.err
    assert dry.json["plan"]["rows"] == N
    assert sorted(folder.rglob("*")) == before
    ran = run("migrate", "fresh", store, "new.parquet", "--fit", "target.npy", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == N
    assert Path("fresh").is_dir()


def _paired_align(planted: tuple[Rows, Rows]) -> Callable[..., Any]:
    """Stand in for a fit of half a minute; what is saved and when is the claim, not how well it fits."""
    pairs = np.stack([np.arange(N)] * 2, 1)
    whole = interlingua.align
    return lambda *spaces, seed, on_step: whole(*planted, seed=seed, method="procrustes", pairs=pairs)


@pytest.mark.parametrize("option", ["--report", "--log", "--journal"])
@pytest.mark.parametrize("spelling", ["old.parquet", "./folder/../old.parquet", "link.html"])
def test_no_option_writes_over_an_input(run: Run, store: Path, saved: Path, option: str, spelling: str) -> None:
    Path("folder").mkdir()
    Path("link.html").symlink_to(store)
    before = store.read_bytes()
    ran = run("migrate", saved, store, "new.parquet", option, spelling, "--force", "--json")
    assert ran.code == 2
    assert "is the input" in ran.json["error"]
    assert store.read_bytes() == before


def test_after_a_kill_the_same_command_says_that_it_can_be_resumed_before_it_fits_again(
    run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores.files.FileStore.finish", lambda self: (_ for _ in ()).throw(OSError("full")))
        assert run("migrate", saved, store, "new.jsonl").code == 1
    monkeypatch.setattr(interlingua, "align", lambda *a, **k: pytest.fail("it was fitted again"), raising=False)
    again = run("migrate", saved, store, "new.jsonl", "--fit", "target.npy", "--json")
    assert again.code == 2
    assert f"interrupted with {N} rows written. Go on with --resume" in again.json["error"]
    assert run("migrate", saved, store, "new.jsonl", "--resume").code == 0


def change(store: Path) -> None:
    """Exchange the vectors of two rows of a file."""
    table = pq.read_table(store)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(N, -1).copy()
    vectors[[3, 4]] = vectors[[4, 3]]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), D_SOURCE)
    pq.write_table(table.set_column(1, "vector", column), store)


def test_a_source_that_changes_meanwhile_is_named_and_a_catch_up_copies_the_rows(
    run: Run, store: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duck = pytest.importorskip("interlingua.stores.duckdb")
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    command = ["migrate", saved, store, "duckdb://new.duckdb#docs.v", "--journal", "j"]
    honest = duck.DuckStore.finish

    def finish(self: Any) -> None:
        honest(self)
        change(store)

    with monkeypatch.context() as patch:
        patch.setattr(duck.DuckStore, "finish", finish)
        ran = run(*command)
    assert ran.code == 1
    wanted = f"{store} changed during the migration: 2 rows updated, 0 added, 0 deleted. j.changes.jsonl lists the ids."
    assert wanted in ran.err
    assert "by the same command with --catch-up" in ran.err
    ids = [json.loads(line)["id"] for line in Path("j.changes.jsonl").read_text("utf-8").splitlines()]
    assert ids == ["row 3", "row 4"]
    dry = run(*command, "--catch-up", "--dry-run")
    assert "600 rows of" in dry.err
    assert "2 rows updated, 0 added, 0 deleted" in dry.err
    assert "Nothing was written" in dry.err
    caught = run(*command, "--catch-up", "--json")
    assert caught.code == 0, caught.err
    assert (caught.json["updated"], caught.json["added"]) == (2, 0)
    again = run(*command, "--catch-up", "--json")
    assert (again.json["updated"], again.json["listed"]) == (0, None)
    other = run(*command, "--catch-up", "--where", "year > 3", "--json")
    assert other.code == 2
    assert "the options of this migration were where=None and are where='year > 3'. Use the same" in other.json["error"]
    resumed = run(*command, "--resume")
    assert (resumed.code, "changed after the migration" in resumed.err) == (0, False)
    pq.write_table(pq.read_table(store).slice(2), store)
    resumed = run(*command, "--resume")
    assert resumed.code == 1
    assert "changed after the migration, which is finished: 0 rows updated, 0 added, 2 deleted" in resumed.err
    kept = run(*command, "--catch-up")
    assert "0 rows updated, 0 added, 2 deleted" in kept.err
    assert "the same command with --delete-vanished deletes them" in kept.err.replace("\n", " ")
    resumed = run(*command, "--resume")
    assert resumed.code == 0
    assert (
        f"duckdb://new.duckdb#docs.v still holds 2 rows that {store} no longer has. The last catch-up did not delete "
        "them; the same command with --catch-up --delete-vanished does."
    ) in resumed.err
    dry = run(*command, "--catch-up", "--dry-run")
    assert "the same command with --delete-vanished and without --dry-run deletes them" in dry.err
    fitted = run(*command, "--catch-up", "--fit", "target.npy", "--json")
    assert fitted.code == 2
    assert "--fit and --catch-up exclude each other" in fitted.json["error"]
    removed = run(*command, "--catch-up", "--delete-vanished")
    assert f"Deleted in duckdb://new.duckdb#docs.v: 2 rows that {store} no longer has." in removed.err
    assert run(*command, "--catch-up", "--json").json["deleted"] == 0


def test_a_catch_up_of_embed_names_no_option_that_embed_lacks(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    monkeypatch.chdir(folder)
    lines = [json.dumps({"id": i, "text": f"text {i}", "vector": [1, i]}) for i in range(20)]
    source = Path("texts.jsonl")
    source.write_text("\n".join(lines), "utf-8")
    program = "import sys\nfor line in sys.stdin: print(len(line), 1)"
    encoder = "command:" + shlex.join([sys.executable, "-c", program])
    command = ["embed", source, "duckdb://new.duckdb#docs.v", "--encoder", encoder, "--journal", "j"]
    ran = run(*command)
    assert ran.code == 0, ran.err
    source.write_text("\n".join(lines[2:]), "utf-8")
    for more in ((), ("--dry-run",)):
        kept = run(*command, "--catch-up", *more)
        assert kept.code == 0, kept.err
        assert "The deleted rows are still in duckdb://new.duckdb#docs.v." in kept.err
        assert "--delete-vanished" not in kept.err
        resumed = run(*command, "--resume")
        assert (resumed.code, "The last catch-up did not delete them.\n" in resumed.err) == (0, True)


def test_a_catch_up_keeps_vectors_of_others_and_takes_another_page_size(run: Run, store: Path, saved: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    target = "duckdb://new.duckdb#docs.v"
    command = ["migrate", saved, store, target]
    assert run(*command, "--page-rows", "100").code == 0
    with duckdb.connect("new.duckdb") as connection:
        connection.execute("update docs set v = (select v from docs where id = 'row 9') where id = 'row 3'")
    change(store)
    dry = run(*command, "--catch-up", "--dry-run")
    assert dry.code == 0, dry.err
    kept = f"Kept in {target}: 1 row whose vector something else has written since. --allow-loss replaces such vectors."
    assert kept in dry.err
    done = run(*command, "--catch-up")
    assert kept in done.err
    assert f"The other updated and added rows were written to {target}" in done.err
    again = run(*command, "--catch-up", "--allow-loss", "--json")
    assert (again.json["updated"], again.json["kept"]) == (1, 0)
    assert run(*command, "--catch-up", "--json").json["updated"] == 0


def test_rows_that_cannot_be_translated_are_left_out_on_demand(run: Run, store: Path, saved: Path) -> None:
    table = pq.read_table(store)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(N, -1).copy()
    vectors[[7, 23]] = 0
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), D_SOURCE)
    pq.write_table(table.set_column(1, "vector", column), store)
    refused = run("migrate", saved, store, "new.parquet", "--json")
    assert refused.code == 2
    assert "2 of 600 rows are all zeros" in refused.json["error"]
    assert "left out with --skip-bad" in refused.json["error"]
    dry = run("migrate", saved, store, "new.parquet", "--skip-bad", "--dry-run")
    assert "598 rows of width 24" in dry.out
    assert "with a vector that cannot be translated: 2 more rows, left out" in dry.out
    ran = run("migrate", saved, store, "new.parquet", "--skip-bad", "--journal", "j")
    assert ran.code == 0, ran.err
    assert "Left out: 2 rows without a usable vector; j.skipped.jsonl lists the ids" in ran.err
    assert Path("j.skipped.jsonl").read_text("utf-8").splitlines() == ['"row 7"', '"row 23"']
    assert pq.read_metadata("new.parquet").num_rows == N - 2


def test_embedding_that_is_ended_says_how_to_go_on(tmp_path: Path) -> None:
    lines = [json.dumps({"id": i, "vector": [1.0, 0.5], "text": f"text {i}"}) for i in range(40)]
    (tmp_path / "old.jsonl").write_text("\n".join(lines))
    program = "import os, sys, time\nfor line in sys.stdin: print([float(len(line)), 1.0])\n"
    (tmp_path / "slow.py").write_text(f"{program}sys.stdout.flush()\ntime.sleep(0.3)\n")
    command = [sys.executable, "-m", "interlingua", "embed", "old.jsonl", "new.parquet", "--page-rows", "2"]
    command += ["--encoder", f"command:{sys.executable} slow.py", "--journal", "j.sqlite", "--log", "log.jsonl"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "new.parquet.partial").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "Interrupted. Run the same command with --resume" in " ".join(said.split())
    assert "Traceback" not in said
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"event": "stopped", "reason": "interrupted"}.items() <= last.items()
    assert "error" not in last


def test_an_interrupt_while_modules_are_imported_ends_with_one_sentence() -> None:
    code = (
        "import builtins, runpy\n"
        "whole = builtins.__import__\n"
        "def interrupted(name, *rest, **more):\n"
        "    if name == 'typer':\n"
        "        raise KeyboardInterrupt\n"
        "    return whole(name, *rest, **more)\n"
        "builtins.__import__ = interrupted\n"
        "runpy.run_module('interlingua', run_name='__main__')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (130, "Interrupted.\n")


def test_a_fit_leaves_out_rows_of_the_new_model_without_a_vector(
    run: Run, store: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect("new.duckdb") as connection:
        connection.execute(f"create table t (id bigint primary key, v float[{planted[1].shape[1]}])")
        rows = [(i, None if i < 3 else row.tolist()) for i, row in enumerate(planted[1])]
        insert(connection, "t", rows)
    fit, seen = _paired_align(planted), []

    def align(source: Any, target: Any, **options: Any) -> Any:
        seen.append(target.n)
        return fit(source, target, **options)

    monkeypatch.setattr(interlingua, "align", align, raising=False)
    ran = run("migrate", "fresh", store, "new.parquet", "--fit", "duckdb://new.duckdb#t.v", "--report", "r.html")
    assert ran.code == 0, ran.err
    assert seen == [N - 3]
    assert Path("r.html").is_file()


def test_a_column_beside_the_old_one_is_kept_after_the_switch(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(folder)

    def execute(*statements: str) -> None:
        with duckdb.connect("shop.duckdb") as connection:
            for statement in statements:
                connection.execute(statement)

    execute(f"create table items (id bigint primary key, embedding float[{D_SOURCE}])")
    with duckdb.connect("shop.duckdb") as connection:
        insert(connection, "items", [(i, v.tolist()) for i, v in enumerate(planted[0])])
    addresses = "duckdb://shop.duckdb#items.embedding", "duckdb://shop.duckdb#items.embedding_new"
    command = ("migrate", saved, *addresses, "--where", "id < 500", "--journal", "journal")
    dry = run(*command, "--dry-run")
    assert f"a second vector, of width {planted[1].shape[1]}, metric cosine, in the same rows" in dry.out
    left_out = f"100 rows of the collection stay without a vector in {addresses[1]}: the condition is 'id < 500'."
    assert left_out in dry.out
    migrated = run(*command)
    assert migrated.code == 0, migrated.err
    assert left_out in migrated.err
    finished = run(*command, "--resume")
    assert finished.code == 0, finished.err
    assert "It was finished before this run. The same command with --catch-up writes rows that are" in finished.err
    execute("delete from items where id = 3")
    caught_up = run(*command, "--catch-up")
    assert "0 rows updated, 0 added, 1 deleted" in caught_up.err
    assert "deleted rows are still" not in caught_up.err
    assert "lists the ids" not in caught_up.err
    assert "0 rows updated, 0 added, 0 deleted" in run(*command, "--catch-up", "--dry-run").err
    resumed = run(*command, "--resume")
    assert (resumed.code, "changed after" in resumed.err) == (0, False), resumed.err
    assert "Wrote 499 rows to duckdb://shop.duckdb#items.embedding_new (499 of them in an earlier run)" in resumed.err
    execute(
        "alter table items rename column embedding to embedding_old",
        "alter table items rename column embedding_new to embedding",
    )
    undone = run(*command, "--rollback")
    assert undone.code == 2
    assert "#items.embedding_new is not there; was it renamed or moved? Rename or move it back first." in undone.err
    for resumes in ("--catch-up", "--resume"):
        refused = run(*command, resumes)
        assert refused.code == 2
        assert "rename them back first" in refused.err
    execute(
        "alter table items rename column embedding to embedding_new",
        "alter table items rename column embedding_old to embedding",
    )
    assert run(*command, "--catch-up").code == 0
    assert "Dropped" in run(*command, "--rollback").err


@pytest.mark.parametrize("show", [(), ("--show", "year")])
def test_the_report_of_a_migration_names_rows_by_their_ids(
    run: Run, store: Path, saved: Path, planted: tuple[Rows, Rows], show: tuple[str, ...]
) -> None:
    ran = run("migrate", saved, store, "new.parquet", "--report", "report.html", *show)
    assert ran.code == 0, ran.err
    page = Path("report.html").read_text("utf-8")
    cosines = planted[0] @ planted[0].T
    np.fill_diagonal(cosines, -1)
    lines = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*row \d+.*?</tr>", page, re.S)
    assert lines
    for line in lines:
        row, *near = (int(number) for number in re.findall(r"row (\d+)", line))
        assert near[:3] == np.argsort(-cosines[row])[:3].tolist()
        assert (f"row {row}: {row}" in line) == bool(show)


def test_a_column_that_the_source_lacks_is_refused_before_the_migration(run: Run, store: Path, saved: Path) -> None:
    ran = run("migrate", saved, store, "new.parquet", "--report", "report.html", "--show", "title", "--json")
    assert ran.code == 2
    assert "has no column 'title'; its columns are year" in ran.json["error"]
    assert not Path("new.parquet").exists()
    assert "--show has no effect without --report" in run("migrate", saved, store, "new.parquet", "--show", "year").err


@pytest.mark.parametrize("force", [(), ("--force",), ("--force", "--report", "report.html")])
def test_a_fit_over_a_translator_names_no_option_that_would_not_replace_it(
    run: Run, store: Path, saved: Path, force: tuple[str, ...]
) -> None:
    ran = run("migrate", saved, store, "new.parquet", "--fit", "target.npy", *force)
    assert ran.code == 2
    if force != ("--force",):
        assert "translator exists, and --fit makes a new translator. Choose another name, or leave --fit out" in ran.err
        assert "--force" not in ran.err


def test_rows_of_another_unfinished_migration_are_no_reason_for_an_option_that_there_is_not(
    run: Run, store: Path, saved: Path
) -> None:
    from interlingua.io import create_writer

    writer = create_writer("new.parquet", d=2, dtype="float32", n=9, settings={"job": "another"})
    writer.write(np.ones((3, 2), np.float32))
    writer.checkpoint()
    writer.close()
    ran = run("migrate", saved, store, "new.parquet")
    assert ran.code == 2
    assert "--force" not in ran.err


@pytest.mark.parametrize(
    "words", ["old.parquet memory://x#c.v", "memory://x#c.v new.parquet", "MEMORY://x#c new.parquet"]
)
def test_the_memory_of_a_command_is_no_store(run: Run, store: Path, saved: Path, words: str) -> None:
    ran = run("migrate", saved, *words.split())
    assert ran.code == 2
    assert "memory:// holds collections of one Python process, and those of a command are gone when it ends" in ran.err
    assert not list(Path().glob("migration-*"))


@pytest.mark.parametrize(
    "words", ["identify ADDRESS", "plan ADDRESS", "fit ADDRESS old.parquet --out x", "audit ADDRESS"]
)
def test_no_command_reads_the_memory_of_its_process(run: Run, store: Path, words: str) -> None:
    ran = run(*words.replace("ADDRESS", "memory://x#c").split())
    assert ran.code == 2
    assert "Name a file or a store on disk or on a server" in ran.err


def test_catch_up_is_advised_only_where_the_target_can_catch_up(
    run: Run, saved: Path, planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    np.save(tmp_path / "old.npy", planted[0][:60])
    ran = run("migrate", saved, tmp_path / "old.npy", tmp_path / "new.npy", "--journal", tmp_path / "journal")
    assert ran.code == 0, ran.err
    assert "to undo, run the same command with --rollback" in ran.err
    assert "--catch-up" not in ran.err


@pytest.mark.parametrize("command", ["migrate", "embed"])
@pytest.mark.parametrize(
    ("target", "kind"),
    [("new.parquet", "file"), ("file://new.jsonl", "file"), ("duckdb://new.duckdb#t.v", "collection")],
)
def test_a_dry_run_says_what_it_would_make(
    run: Run, store: Path, saved: Path, command: str, target: str, kind: str
) -> None:
    if kind == "collection":
        pytest.importorskip("duckdb")
    pq.write_table(pq.read_table(store).append_column("text", pa.array(["a text"] * N)), "texts.parquet")
    Path("embed.py").write_text("import sys\nfor line in sys.stdin: print([float(len(line)), 1.0])\n")
    made = {
        "migrate": ("migrate", saved, store, target),
        "embed": ("embed", "texts.parquet", target, "--encoder", f"command:{sys.executable} embed.py"),
    }
    ran = run(*made[command], "--dry-run")
    assert ran.code == 0, ran.err
    assert f", a new {kind}, of width" in ran.out
