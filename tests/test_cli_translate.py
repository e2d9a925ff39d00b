from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from command_line import D_SOURCE, N, Rows, Run
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator, load
from interlingua.io import open_vectors


def test_translate_is_the_translator_row_by_row(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    ran = run("translate", saved, folder / "source.npy", "--out", folder / "out.npy", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == N
    np.testing.assert_allclose(np.load(folder / "out.npy"), planted[1], atol=1e-5)
    back = run("translate", saved, folder / "out.npy", "--inverse", "--out", folder / "back.npy")
    assert back.code == 0
    np.testing.assert_allclose(np.load(folder / "back.npy"), planted[0], atol=1e-5)


def test_shards_together_are_the_whole(run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    parts = []
    for i in (1, 2, 3, 4, 5, 6, 7):
        out = folder / f"part-{i}.npy"
        assert run("translate", saved, folder / "source.npy", "--out", out, "--shard", f"{i}/7").code == 0
        parts.append(np.load(out))
    assert {len(part) for part in parts} == {85, 86}
    np.testing.assert_allclose(np.concatenate(parts), planted[1], atol=1e-5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_translation_resumes_where_it_stopped(
    run: Run,
    folder: Path,
    saved: Path,
    planted: tuple[Rows, Rows],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    arguments = ["translate", saved, folder / "source.npy", "--out", folder / "out.npy"]
    whole = Translator.translate
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.io.VectorFile.batches.__defaults__", (100, 0, None))

        def stop_after_300(self: Translator, x: Rows, **options: bool) -> npt.NDArray[Any]:
            if np.array_equal(x[0], planted[0][300]):
                signal.raise_signal(number)
            return whole(self, x, **options)

        # By its path, because another test may have imported the modules again.
        patch.setattr("interlingua.core.translator.Translator.translate", stop_after_300)
        ran = run(*arguments)
    assert ran.code == code
    assert "Interrupted after 300 rows" in ran.err
    assert not (folder / "out.npy").exists()
    again = run(*arguments, "--json")
    assert again.code == 2
    assert "--resume" in again.json["error"]
    resumed = run(*arguments, "--resume", "--json")
    assert resumed.code == 0
    assert resumed.json["resumed_from"] == 300
    np.testing.assert_allclose(np.load(folder / "out.npy"), planted[1], atol=1e-5)


def test_ids_and_columns_travel_along(run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), D_SOURCE)
    names = pa.array([f"row {i}" for i in range(N)])
    pq.write_table(pa.table({"key": names, "vector": vectors, "year": pa.array(range(N))}), folder / "in.parquet")
    ran = run("translate", saved, folder / "in.parquet", "--id-column", "key", "--out", folder / "out.parquet")
    assert ran.code == 0, ran.err
    table = pq.read_table(folder / "out.parquet")
    assert table["key"].to_pylist() == names.to_pylist()
    origin = {"collection": "in.parquet", "vector": "vector", "from_model": "left", "model": "right"}
    found = open_vectors(folder / "out.parquet").origin
    assert found is not None
    assert found == origin | {"translator": load(saved).fingerprint()}
    assert table["year"].to_pylist() == list(range(N))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["target.npy"], "--inverse to translate target"),
        (["source.npy", "--inverse"], "Leave out --inverse"),
        (["source.npy", "--shard", "0/4"], "1 <= i <= n"),
        (["source.npy", "--shard", "half"], "1 <= i <= n"),
        (["source.npy", "--shard", "1/601"], "more parts than there are rows"),
        (["source.npy", "--out", "out.xlsx"], "unknown extension"),
        (["source.npy", "--out", "target.npy"], "exists.*--force"),
        (["source.npy", "--scale", "2"], "scale is for int8 vectors"),
    ],
)
def test_translate_refuses_before_the_work(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delattr(Translator, "translate")
    out = [] if "--out" in more else ["--out", "out.npy"]
    ran = run("translate", saved, *more, *out, "--json")
    assert ran.code == 2
    with pytest.raises(ValueError, match=message):
        raise ValueError(ran.json["error"])
    assert not Path("out.npy").exists()
    assert not list(folder.glob("*.partial"))


def test_foreign_vectors_are_refused_before_anything_is_written_unless_allowed(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    np.save(folder / "foreign.npy", -planted[0])
    arguments = ("translate", saved, folder / "foreign.npy", "--out", folder / "out.npy")
    ran = run(*arguments, "--json")
    assert ran.code == 2
    assert ran.json["error"].startswith("The source vectors are of this model with the opposite sign: ")
    assert "With the opposite sign they look like it. Multiply them by -1." in ran.json["error"]
    assert "--allow-foreign goes on nevertheless." in ran.json["error"]
    assert not list(folder.glob("out.npy*"))
    assert run(*arguments, "--allow-foreign").code == 0
    np.testing.assert_allclose(np.load(folder / "out.npy"), -planted[1], atol=1e-5)


def test_rows_too_few_to_recognize_their_model_are_named(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    target = planted[1]
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((target.shape[1],) * 2))[0].astype(np.float32)
    zeros = np.zeros(len(turn), np.float32)
    profiles = SpaceProfile.of(target @ turn), SpaceProfile.of(target)
    forward, backward = AffineMap(zeros, turn.T.copy(), zeros), AffineMap(zeros, turn, zeros)
    equal = Translator(forward, backward, profiles, load(saved).card).save(folder / "equal")
    np.save(folder / "few.npy", target[:3])
    np.save(folder / "turned.npy", target @ turn)
    said = "Too few rows to check which model made them: 3 rows, and 50 different ones are needed. They are taken for"
    translate = ("translate", equal, folder / "few.npy", "--out", folder / "out.npy", "--force")
    migrate = ("migrate", equal, folder / "few.npy", folder / "new.npy", "--journal", folder / "journal.sqlite")
    for command in (translate, (*migrate, "--dry-run"), migrate):
        ran = run(*command)
        assert ran.code == 0, ran.err
        assert f"{said} vectors of the source model; for those of the target model add --inverse." in ran.err
        back = "vectors of the target model; for those of the source model leave out --inverse."
        if command is not migrate:
            assert f"{said} {back}" in run(*command, "--inverse").err
            assert "Too few rows" not in run(*command, "--allow-foreign").err
    many = ("translate", equal, folder / "turned.npy", "--out", folder / "out.npy", "--force")
    assert "Too few rows" not in run(*many).err
    # Widths tell the spaces of this translator apart.
    few = ("translate", saved, folder / "few.npy", "--inverse", "--out", folder / "out.npy", "--force")
    assert "Too few rows" not in run(*few).err


def test_foreign_rows_in_a_later_batch_are_refused_and_the_run_goes_on_when_allowed(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.io.VectorFile.batches.__defaults__", (100, 0, None))
    monkeypatch.setattr("interlingua.cli.translate._FIRST_ROWS", 100)
    mixed = np.concatenate([planted[0][:300], -planted[0][300:]])
    np.save(folder / "mixed.npy", mixed)
    arguments = ("translate", saved, folder / "mixed.npy", "--out", folder / "out.npy")
    ran = run(*arguments)
    assert ran.code == 2
    assert "opposite sign" in ran.err
    assert "mixed.npy, rows 300 to 399: " in ran.err
    assert not (folder / "out.npy").exists()
    assert run(*arguments, "--resume", "--allow-foreign", "--json").json["resumed_from"] == 300
    assert len(np.load(folder / "out.npy")) == N


def test_a_translator_that_changed_in_its_card_alone_is_not_resumed(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output lengths are in card.json; the first half of a file must not have others than the second."""
    whole = Translator.translate
    monkeypatch.setattr("interlingua.io.VectorFile.batches.__defaults__", (100, 0, None))
    calls: list[int] = []

    def interrupted(self: Translator, x: Any, **options: bool) -> Any:
        calls.append(len(x))
        if len(calls) > 3:
            raise KeyboardInterrupt
        return whole(self, x, **options)

    monkeypatch.setattr(Translator, "translate", interrupted)
    arguments = ("translate", saved, folder / "source.npy", "--out", folder / "out.npy")
    assert run(*arguments).code == 130
    monkeypatch.setattr(Translator, "translate", whole)
    translator = load(saved)
    assert isinstance(translator.forward, AffineMap)
    assert translator.forward.norm_out == 1
    translator.forward = replace(translator.forward, norm_out=7.0)
    translator.save(saved, overwrite=True)
    ran = run(*arguments, "--resume", "--json")
    assert ran.code == 2
    assert "cannot be continued: translator was" in ran.json["error"]
    assert not (folder / "out.npy").exists()


@pytest.mark.parametrize(
    "address", ["duckdb://shop.duckdb#t.v", "postgresql://me@host/shop#t.v", "Qdrant://./f#c", "pgvector"]
)
@pytest.mark.parametrize("inverse", [(), ("--inverse",)])
def test_an_address_of_a_store_is_sent_to_migrate(
    run: Run, folder: Path, saved: Path, address: str, inverse: tuple[str, ...]
) -> None:
    from interlingua.stores.registry import ALIASES

    address = f"{next(iter(ALIASES))}://h/d#t" if address == "pgvector" else address
    ran = run("translate", saved, address, "--out", folder / "out.npy", *inverse, "--json")
    assert ran.code == 2
    assert ran.json["error"] == (
        f"{address.replace('./', '')} is an address. `interlingua translate` reads files; use `migrate` for a store."
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no folder that a process works in")
def test_a_deleted_working_directory_is_named(
    run: Run, folder: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ran = run("translate", saved, folder / "source.npy", "--out", "o.npy", "--json")
    assert ran.code == 2
    assert "The working directory does not exist, and relative paths start from it" in ran.json["error"]
