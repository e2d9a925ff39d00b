"""The translator: what it gives, what it refuses, and that it survives its folder bit by bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

import interlingua as il
from interlingua.core.errors import InputError, OutputExistsError, SpaceMismatchError
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.storage import check_destination
from interlingua.core.translator import Translator, load
from planted import encode, rotation, topics

Array = npt.NDArray[Any]
D_SOURCE, D_TARGET = 48, 32


@pytest.fixture(scope="module")
def rows() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    content = topics(600, 16, rng)
    return encode(content, D_SOURCE, rng), encode(content, D_TARGET, rng)


@pytest.fixture(scope="module")
def translator(rows: tuple[Array, Array]) -> Translator:
    rng = np.random.default_rng(4)
    maps = []
    for here, there in ((D_SOURCE, D_TARGET), (D_TARGET, D_SOURCE)):
        means = [rng.standard_normal(width).astype(np.float32) / 10 for width in (here, there)]
        maps.append(AffineMap(means[0], rotation(here, there, rng), means[1], norm_out=float(here)))
    card = {
        "source": {"name": "left", "n": 600, "d": D_SOURCE, "fingerprint": "0" * 16},
        "target": {"name": "right", "n": 500, "d": D_TARGET, "fingerprint": "1" * 16},
        "verdict": {"status": "doubtful", "score": 0.625, "reasons": ["Too few rows.", "Ünlike."], "evidence": []},
        "method": "linear",
        "seed": 7,
        "settings": {"rounds": 10},
    }
    return Translator(maps[0], maps[1], (SpaceProfile.of(rows[0]), SpaceProfile.of(rows[1])), card)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_translation_is_the_forward_map_and_inversion_the_backward_one(
    translator: Translator, rows: tuple[Array, Array]
) -> None:
    assert np.array_equal(translator.translate(rows[0]), translator.forward(rows[0]))
    assert np.array_equal(translator.invert(rows[1]), translator.backward(rows[1]))
    assert (translator.d_source, translator.d_target) == (D_SOURCE, D_TARGET)
    assert repr(translator) == "Translator(48 -> 32, doubtful)"


@pytest.mark.parametrize(
    ("given_as", "returned"),
    [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float64), (np.int16, np.float32)],
)
def test_floats_keep_their_dtype_and_integers_give_float32(
    translator: Translator, rows: tuple[Array, Array], given_as: Any, returned: Any
) -> None:
    x = (100 * rows[0]).astype(given_as)
    out = translator.translate(x)
    assert out.dtype == returned
    assert out == pytest.approx(translator.translate(x.astype(np.float64)), abs=0.02)


def test_a_row_is_translated_alone_as_among_others(translator: Translator, rows: tuple[Array, Array]) -> None:
    whole = translator.translate(rows[0])
    single = translator.translate(rows[0][5])
    assert single.shape == (D_TARGET,)
    assert single == pytest.approx(whole[5], abs=1e-4)
    assert translator.translate(list(map(float, rows[0][5]))) == pytest.approx(whole[5], abs=1e-4)
    assert translator.translate(rows[0][::-1]) == pytest.approx(whole[::-1], abs=1e-4)


def test_a_large_matrix_is_translated_in_blocks_and_to_the_same_rows(
    translator: Translator, rows: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = translator.translate(rows[0])
    blocks = [slice(start, start + 100) for start in range(0, 600, 100)]
    monkeypatch.setattr("interlingua.core.translator.row_blocks", lambda n: iter(blocks))
    assert translator.translate(rows[0]) == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 5)), "source vectors has 5 columns; 48 are needed. Is it from another model"),
        (np.ones(5), "source vectors has 5 columns; 48 are needed"),
        (np.full((2, D_SOURCE), np.nan), "source vectors: 2 of 2 rows hold NaN or infinity; the first is row 0"),
        (np.zeros((2, D_SOURCE)), "source vectors: 2 of 2 rows are all zeros"),
        (np.ones((0, D_SOURCE)), "source vectors has shape .*at least 1 row and"),
        (np.ones((1, 2, D_SOURCE)), r"source vectors has shape \(1, 2, 48\)"),
        (np.array(["x"] * D_SOURCE), "source vectors has dtype <U1; real numbers"),
    ],
)
def test_rows_that_cannot_be_translated_are_refused(translator: Translator, vectors: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translator.translate(vectors)


def test_inversion_names_the_other_side(translator: Translator) -> None:
    with pytest.raises(InputError, match="target vectors has 48 columns; 32 are needed"):
        translator.invert(np.ones((2, D_SOURCE)))


def test_vectors_of_another_encoder_of_the_same_width_are_noticed(
    translator: Translator, rows: tuple[Array, Array], rng: np.random.Generator
) -> None:
    other = encode(topics(300, 16, rng), D_SOURCE, rng)
    with pytest.raises(SpaceMismatchError, match=r"source vectors are not of the space .* Check the model") as caught:
        translator.translate(other)
    assert "allow_foreign=True goes on nevertheless" in str(caught.value)
    placed = caught.value.at("a.npy, rows 0 to 9")
    assert str(placed) == f"a.npy, rows 0 to 9: {caught.value}"
    assert placed.rows is caught.value.rows
    with pytest.raises(SpaceMismatchError, match="target vectors are not of the space"):
        translator.invert(other[:, :D_TARGET])
    assert np.array_equal(translator.translate(other, allow_foreign=True), translator.forward(other))
    assert translator.invert(other[:, :D_TARGET], allow_foreign=True).shape == (300, D_SOURCE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translator.translate(rows[0])
        translator.invert(rows[1])
        # A few foreign rows among many are the user's business.
        translator.translate(np.concatenate([rows[0], other[:100]]))


def test_a_saved_translator_is_the_same_to_the_bit(
    translator: Translator, rows: tuple[Array, Array], tmp_path: Path
) -> None:
    folder = translator.save(tmp_path / "new" / "translator")
    again = load(folder)
    assert np.array_equal(again.translate(rows[0]), translator.translate(rows[0]))
    assert np.array_equal(again.invert(rows[1]), translator.invert(rows[1]))
    assert again.card == translator.card
    for ours, theirs in zip(translator.profiles, again.profiles, strict=True):
        for part in ("mean", "basis", "shares", "spread", "limits"):
            assert np.array_equal(getattr(ours, part), getattr(theirs, part))
    assert contents(again.save(tmp_path / "second")) == contents(folder)


def test_nothing_but_the_folder_is_left_behind(translator: Translator, tmp_path: Path) -> None:
    translator.save(tmp_path / "translator")
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]
    assert sorted(contents(tmp_path / "translator")) == ["README.md", "card.json", "translator.safetensors"]


def test_an_existing_translator_is_replaced_only_when_asked(
    translator: Translator, rows: tuple[Array, Array], tmp_path: Path
) -> None:
    folder = translator.save(tmp_path / "translator")
    turned = Translator(translator.backward, translator.forward, translator.profiles[::-1], translator.card)
    with pytest.raises(OutputExistsError, match="exists. Choose another name, or replace it with overwrite=True"):
        turned.save(folder)
    assert load(folder).d_source == D_SOURCE
    turned.save(folder, overwrite=True)
    assert load(folder).d_source == D_TARGET


def test_a_save_that_fails_leaves_what_was_there(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "translator")
    before = contents(folder)
    broken = Translator(translator.forward, translator.backward, translator.profiles, {"seed": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(folder, overwrite=True)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_replaced(translator: Translator, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises((InputError, OutputExistsError), match="exists"):
        translator.save(tmp_path, overwrite=overwrite)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists and is not a translator, so it is not replaced"):
        check_destination(tmp_path / "file", overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.fixture
def turned(translator: Translator) -> Translator:
    """Another translator than ``translator``, with another card."""
    card = translator.card | {"method": "turned"}
    return Translator(translator.backward, translator.forward, translator.profiles[::-1], card)


def is_one_of(folder: Path, *translators: Translator) -> bool:
    """Whether a folder holds one of the translators as it was saved: maps, profiles and card of the same one."""
    loaded = load(folder)
    return any(
        loaded.card == one.card
        and loaded.fingerprint() == one.fingerprint()
        and all(np.array_equal(a.mean, b.mean) for a, b in zip(loaded.profiles, one.profiles, strict=True))
        for one in translators
    )


@pytest.mark.parametrize("pretrained", [False, True])
def test_files_of_others_beside_a_translator_survive_its_replacement(
    translator: Translator, turned: Translator, tmp_path: Path, pretrained: bool
) -> None:
    folder = translator.save(tmp_path / "translator")
    (folder / "thesis.txt").write_text("years of work")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("history")
    if pretrained:
        turned.save_pretrained(folder)
    else:
        turned.save(folder, overwrite=True)
    assert is_one_of(folder, turned)
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert (folder / ".git" / "config").read_text() == "history"


@pytest.mark.parametrize("card", ['{"title": "a recipe"}', '["card"]', "not JSON", '{"format": 1, "kind": "deck"}'])
def test_a_card_of_another_program_is_not_a_translators(translator: Translator, tmp_path: Path, card: str) -> None:
    (tmp_path / "card.json").write_text(card)
    (tmp_path / "translator.safetensors").write_bytes(b"theirs")
    with pytest.raises(InputError, match="exists and is not a translator, so it is not replaced"):
        translator.save(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="exists and is not a translator, so it is not replaced"):
        translator.save_pretrained(tmp_path)
    assert contents(tmp_path) == {"card.json": card.encode(), "translator.safetensors": b"theirs"}


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_rename_that_fails_leaves_a_whole_translator(
    translator: Translator, turned: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    folder = translator.save(tmp_path / "translator")
    calls = []

    def failing_once(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            calls.append(arguments)
            if len(calls) == failing:
                raise OSError(16, "Device or resource busy")
            function(*arguments)

        return call

    monkeypatch.setattr(os, "replace", failing_once(os.replace))
    monkeypatch.setattr(os, "rename", failing_once(os.rename))
    with pytest.raises(OSError, match="busy"):
        turned.save(folder, overwrite=True)
    assert is_one_of(folder, translator, turned)
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]
    assert sorted(contents(folder)) == ["README.md", "card.json", "translator.safetensors"]


KILLED_SAVES = """
import os, shutil, signal, sys
from pathlib import Path
from interlingua.core.translator import load

folder = Path(sys.argv[1])
new = load(folder / "new")

def kill_at(moment):
    passed = []
    def stop():
        passed.append(1)
        if len(passed) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    def stopping(function):
        def call(*arguments, **options):
            stop()
            function(*arguments, **options)
            stop()
        return call
    for module, name in ((os, "replace"), (os, "rename"), (shutil, "rmtree")):
        setattr(module, name, stopping(getattr(module, name)))

for moment in range(1, 20):
    shutil.copytree(folder / "old", folder / str(moment))
    child = os.fork()
    if not child:
        kill_at(moment)
        new.save(folder / str(moment), overwrite=True)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(moment)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_kill_at_any_moment_leaves_a_whole_translator(
    translator: Translator, turned: Translator, tmp_path: Path
) -> None:
    translator.save(tmp_path / "old")
    turned.save(tmp_path / "new")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SAVES, str(tmp_path)], capture_output=True, text=True, check=True
    )
    moments = int(done.stdout)
    assert moments > 4
    for moment in range(1, moments):
        assert is_one_of(tmp_path / str(moment), translator, turned), moment
        # Whatever was left behind, the next save succeeds.
        assert is_one_of(translator.save(tmp_path / str(moment), overwrite=True), translator)
    assert is_one_of(tmp_path / str(moments), turned)


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_linked_folder_stays_a_link_and_is_replaced_behind_it(
    translator: Translator, turned: Translator, tmp_path: Path
) -> None:
    folder = translator.save(tmp_path / "translator")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    turned.save(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert is_one_of(folder, turned)


@pytest.mark.parametrize("exists", [False, True])
def test_two_savers_at_once_leave_one_whole_translator_and_readers_see_one(
    translator: Translator, turned: Translator, tmp_path: Path, exists: bool
) -> None:
    folder = tmp_path / "translator"
    if exists:
        translator.save(folder)
    start = threading.Barrier(2)

    def save(one: Translator) -> bool:
        start.wait()
        for _ in range(10):
            one.save(folder, overwrite=True)
            if not is_one_of(folder, translator, turned):
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(save, (translator, turned))) == [True, True]
    assert is_one_of(folder, translator, turned)
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]
    assert sorted(contents(folder)) == ["README.md", "card.json", "translator.safetensors"]


def test_an_empty_folder_may_be_filled(translator: Translator, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert load(translator.save(tmp_path / "empty", overwrite=True)).card == translator.card


def test_the_model_card_has_spaces_method_and_verdict(translator: Translator, tmp_path: Path) -> None:
    text = (translator.save(tmp_path / "translator") / "README.md").read_text("utf-8")
    for said in ("# left (48) to right (32)", "`linear`", "seed 7", "600 source and 500 target rows"):
        assert said in text
    for said in ("**doubtful** (score 0.62)", "- Too few rows.", "- Ünlike.", "library_name: interlingua"):
        assert said in text


def test_the_card_on_disk_is_strict_json_with_the_settings_of_the_maps(translator: Translator, tmp_path: Path) -> None:
    card = json.loads((translator.save(tmp_path / "translator") / "card.json").read_text("utf-8"))
    assert card["format"] == 1
    assert card["maps"]["forward"] == {"unit_in": True, "unit_out": True, "norm_out": 48.0}
    assert card["verdict"] == translator.card["verdict"]


def edit_card(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text("utf-8"))
        change(card)
        (folder / "card.json").write_text(json.dumps(card))

    return edit


def edit_weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        tensors = dict(load_file(folder / "translator.safetensors"))
        change(tensors)
        save_file(tensors, folder / "translator.safetensors")

    return edit


def set_map(direction: str, name: str, value: object) -> Callable[[Path], object]:
    return edit_card(lambda card: card["maps"][direction].update({name: value}))


def fill_tensor(name: str, value: float) -> Callable[[Path], object]:
    return edit_weights(lambda tensors: tensors.update({name: np.full_like(tensors[name], value)}))


def deep_header() -> bytes:
    header = b'{"__metadata__":' + b"[" * 100_000
    return len(header).to_bytes(8, "little") + header


def test_a_card_with_a_byte_order_mark_is_read(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "translator")
    card = folder / "card.json"
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes())
    assert il.load(folder).card == il.load(translator.save(tmp_path / "plain")).card
    translator.save(folder, overwrite=True)


def test_a_card_nested_too_deeply_is_not_a_translators(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "translator")
    (folder / "card.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not a translator, so it is not replaced"):
        translator.save(folder, overwrite=True)


def test_a_header_card_nested_too_deeply_is_damage(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "translator")
    weights = folder / "translator.safetensors"
    save_file(load_file(weights), weights, {"card": "[" * 100_000})
    with pytest.raises(InputError, match="is damaged .it is nested too deeply"):
        il.load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "card.json").unlink(), "is not a translator: a folder with card.json and translator.safetens"),
        (lambda f: (f / "translator.safetensors").unlink(), "is not a translator"),
        (lambda f: (f / "card.json").write_text("{"), "is damaged .*fit again or restore"),
        (lambda f: (f / "card.json").write_text("[]"), "is damaged"),
        (lambda f: (f / "card.json").write_text("null"), "is damaged"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda f: (f / "translator.safetensors").write_bytes(b"weights"), "is damaged"),
        (lambda f: (f / "translator.safetensors").write_bytes(b""), "is damaged"),
        (edit_card(lambda c: c.update(format=2)), "has another format than 1; a newer interlingua wrote it. Upgrade"),
        (edit_card(lambda c: c.update(kind="pickle")), "has another format"),
        (edit_card(lambda c: c.pop("maps")), "is damaged .*'maps'"),
        (edit_card(lambda c: c["maps"]["forward"].update(surprise=1)), "is damaged .*surprise"),
        (edit_card(lambda c: c["maps"].update(forward={})), "is damaged .*forward.unit_in"),
        (edit_card(lambda c: c["maps"]["backward"].pop("norm_out")), "is damaged .*backward.norm_out"),
        (edit_weights(lambda t: t.pop("backward.matrix")), "is damaged .*backward.matrix"),
        (
            edit_weights(lambda t: t.update({"forward.matrix": t["forward.matrix"][:9].copy()})),
            "disagree on the widths",
        ),
        (edit_weights(lambda t: t.update({"forward.mean_out": np.ones(3, np.float32)})), "disagree on the widths"),
        *(
            (set_map("backward", "norm_out", value), "is damaged .norm_out is ")
            for value in (0, -1.0, float("nan"), float("inf"), "1", None, True, 10**400, 1e39)
        ),
        *(
            (
                set_map("forward", name, "no"),
                f"is damaged .{name} is 'no'; True",
            )
            for name in ("unit_in", "unit_out")
        ),
        (edit_card(lambda c: c.update(maps=[])), "is damaged"),
        (edit_card(lambda c: c.update(kind=[])), "is damaged"),
        *(
            (
                fill_tensor(name, value),
                f"is damaged .the tensor {name} of dtype float32 does not hold finite real numbers",
            )
            for name in ("forward.matrix", "backward.mean_in", "source.basis", "target.limits")
            for value in (np.nan, np.inf)
        ),
        (
            edit_weights(lambda t: t.update({"forward.matrix": t["forward.matrix"].astype(np.int64)})),
            "is damaged .the tensor forward.matrix of dtype int64 does not hold finite real numbers",
        ),
        (set_map("forward", "norm_out", 5.0), "is damaged .maps in card.json is not what was saved; its copy in tr"),
        (set_map("backward", "unit_in", False), "is damaged .maps in card.json is not what was saved"),
        (edit_card(lambda c: c.update(verdict="fine")), "is damaged .verdict in the card is 'fine'; an object is"),
        (lambda f: (f / "card.json").write_text("[" * 100_000), "is damaged .it is nested too deeply"),
        (lambda f: (f / "translator.safetensors").write_bytes(deep_header()), "is damaged"),
        (edit_weights(lambda t: t.update({"backward.matrix": np.ones(3, np.float32)})), "disagree on the widths"),
        (edit_weights(lambda t: t.update({"source.basis": np.ones((3, 3), np.float32)})), "disagree on the widths"),
        (edit_weights(lambda t: t.update({"target.limits": np.ones(2, np.float32)})), "disagree on the widths"),
    ],
)
def test_a_damaged_folder_is_refused_on_loading(
    translator: Translator, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = translator.save(tmp_path / "translator")
    damage(folder)
    with pytest.raises(InputError, match=message):
        il.load(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file.npy/sub", "file.npy/sub cannot be written: .*file.npy is a file and not a folder. Choose another name"),
        ("file.npy/sub/deeper", "cannot be written: .*file.npy is a file and not a folder"),
        ("x" * 300, r"cannot be written \(the system reports: File name too long\). Choose another name or folder"),
        ("é" * 200, r"cannot be written \(the system reports: File name too long\)"),
        ("new/" + "x" * 300 + "/deeper", r"cannot be written \(the system reports: File name too long\)"),
    ],
)
def test_a_place_where_no_folder_can_be_made_is_refused_before_anything_is_written(
    translator: Translator, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file.npy").touch()
    for call in (lambda: translator.save(tmp_path / name), lambda: check_destination(tmp_path / name, overwrite=True)):
        with pytest.raises(InputError, match=message):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["file.npy"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has /proc")
def test_a_file_system_without_new_folders_is_refused(translator: Translator) -> None:
    with pytest.raises(InputError, match=r"/proc/x cannot be written \(the system reports: .*Choose another name"):
        translator.save("/proc/x")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="nowhere is not a translator: .*Make one with `interlingua fit`, or with Translator.save"
    ):
        load(tmp_path / "nowhere")


def test_a_map_of_another_kind_translates_but_only_affine_maps_and_networks_are_saved(tmp_path: Path) -> None:
    class Doubled:
        d_in = d_out = 4

        def __call__(self, x: Any) -> Any:
            return 2 * x

    rows = np.eye(4, dtype=np.float32) + 0.5
    profile = SpaceProfile.of(np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32))
    translator = Translator(Doubled(), Doubled(), (profile, profile), {})
    assert translator.forward(rows).shape == (4, 4)
    with pytest.raises(InputError, match="the forward map is Doubled; only AffineMap and networks can be saved"):
        translator.save(tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    "card", [{"verdict": "aligned"}, {"verdict": {"score": None}}, {"source": 3}, {"source": {"name": "\ud800"}}]
)
def test_a_card_that_cannot_be_written_leaves_the_saved_translator_as_it_was(
    tmp_path: Path, card: dict[str, Any]
) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    identity = AffineMap(np.zeros(4, np.float32), np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    profile = SpaceProfile.of(rows)
    Translator(identity, identity, (profile, profile), {}).save(tmp_path / "t")
    before = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    doubled = AffineMap(identity.mean_in, 2 * identity.matrix, identity.mean_out)
    with pytest.raises(InputError, match="the card cannot be written .*; nothing was saved"):
        Translator(doubled, doubled, (profile, profile), card).save(tmp_path / "t", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == before


def test_all_files_of_a_translator_have_the_same_permissions(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "t")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("rows.npy", "source vectors is str of length 8; a matrix .* is needed, and not the name of a file"),
        (None, "source vectors is None; real numbers in a matrix"),
        (
            (row for row in [[1.0]]),
            "source vectors is an object of type generator; .*collect a generator into an array",
        ),
        ([], r"source vectors has shape \(0,\)"),
        (
            np.array([[1.0, 2.0], [1.0], None], object)[:2],
            r"dtype object.*Make one of a column x of lists with np\.stack\(x\), or of an Arrow column with",
        ),
    ],
    ids=["name", "none", "generator", "empty", "lists"],
)
def test_rows_of_another_kind_are_named_as_they_were_given(translator: Translator, given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translator.translate(given)
