"""``method="adversarial"`` from end to end: two spaces to a translator that is saved, loaded and asked everything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import interlingua as il
from interlingua.aligners import METHODS
from interlingua.aligners.base import ignore_step
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import affine_maps
from interlingua.aligners.linear.aligner import Linear, LinearFit
from interlingua.aligners.null import NullMaps
from interlingua.core.alignment import Status, Verdict
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.networks import NetworkMap
from interlingua.core.translator import NeuralTranslator
from interlingua.neural.aligner import Adversarial, verdict_of
from interlingua.neural.pairwise import PairwiseAlignments
from interlingua.neural.selection import is_convincing
from planted import Problem, Rows, around_a_path, draw_few_null_maps, small_problem

TINY: dict[str, Any] = {
    "width": 24, "latent": 16, "discriminator_width": 16, "discriminator_depth": 3, "batch": 64,
    "warmup": 5, "check_every": 10, "save_every": 10, "log_every": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def planted_problem() -> Problem:
    return small_problem(400, (20, 14), held_out=500)


@pytest.fixture(scope="module")
def warm(planted_problem: Problem) -> il.Alignment:
    return il.align(
        planted_problem.source, planted_problem.target, method="adversarial", steps=20, max_rows=360, **TINY
    )


@pytest.fixture(scope="module")
def translator(warm: il.Alignment) -> NeuralTranslator:
    made = warm.translator(force=True)
    assert isinstance(made, NeuralTranslator)
    return made


def test_the_method_is_there_by_name() -> None:
    assert "adversarial" in METHODS
    assert Adversarial(start="cold").start == "cold"


def test_the_result_is_an_alignment_like_any_other(warm: il.Alignment) -> None:
    assert warm.method == "adversarial"
    assert warm.verdict.evidence
    assert TINY.items() <= warm.settings.items()
    assert "overrides" not in warm.settings
    assert not {"folder", "resume"} & warm.settings.keys()
    assert [step["step"] for step in warm.trace][-1] == "run"


@pytest.mark.slow
def test_a_short_warm_run_stays_near_its_start(warm: il.Alignment, planted_problem: Problem) -> None:
    p = planted_problem
    start = il.align(p.source, p.target, method="linear", nonorthogonal=False, max_rows=360)
    scores = [
        il.evaluate(a.translator(force=True), p.source_eval, p.target_eval, bootstrap=0).forward.top1.value
        for a in (start, warm)
    ]
    # One standard error of top-1 on 500 rows is 0.022.
    assert scores[1] >= scores[0] - 0.03


class Reflected(NetworkMap):
    """A network whose translations are reflected along the eight widest of their principal axes."""

    def __call__(self, x: Rows) -> Rows:
        rows = super().__call__(x)
        centered = rows - rows.mean(axis=0)
        axes = np.linalg.svd(centered, full_matrices=False)[2][:8]
        return np.asarray(rows - 2 * centered @ axes.T @ axes, np.float32)


def test_the_verdict_of_a_warm_start_is_on_the_network_and_not_on_its_start(
    warm: il.Alignment, planted_problem: Problem
) -> None:
    forward, rows = warm.forward, {"source": planted_problem.source, "target": planted_problem.target}
    assert isinstance(forward, NetworkMap)
    starts = PairwiseAlignments.fit(
        rows, aligner=Linear(nonorthogonal=False), known=None, seed=0, on_step=ignore_step, with_teachers=False
    )
    intact = verdict_of(forward, rows, starts, 0)
    spoiled = verdict_of(Reflected(forward.network, "source", "target"), rows, starts, 0)
    assert intact.status is Status.ALIGNED
    assert spoiled.status is Status.FAILED
    measured = [{e.name: e.value for e in verdict.evidence} for verdict in (intact, spoiled)]
    for criterion in ("transport_excess", "start_agreement"):
        assert measured[1][criterion] < measured[0][criterion]


def test_a_failed_start_of_two_spaces_gives_no_teachers_and_the_trace_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict(zip(("a", "b"), np.random.default_rng(0).standard_normal((2, 40, 3)).astype(np.float32), strict=True))
    verdict = Verdict(Status.FAILED, 0.2, ("Nothing is aligned.",))

    def fit(self: Linear, problem: Any, **more: Any) -> LinearFit:
        source, target = problem.frames
        maps = affine_maps(source, target, np.eye(3, dtype=np.float32))
        null = NullMaps.sample(CoarseSpaces.of(source.rows, target.rows), seed=0)
        return LinearFit(
            forward=maps[0],
            backward=maps[1],
            verdict=verdict,
            rotation=maps[0].matrix,
            null=null,
            start_agreement=0.0,
            problem=problem,
        )

    monkeypatch.setattr(Linear, "fit", fit)
    starts = PairwiseAlignments.fit(rows, aligner=Linear(), known=None, seed=0, on_step=ignore_step, with_teachers=True)
    assert starts.teachers == {}
    assert starts.trace == ({"step": "failed start", "from": "a", "to": "b", "score": 0.2},)


def test_a_translator_survives_its_folder(
    translator: NeuralTranslator, planted_problem: Problem, tmp_path: Path
) -> None:
    loaded = il.load(translator.save(tmp_path / "t"))
    assert isinstance(loaded, NeuralTranslator)
    x, y = planted_problem.source_eval, planted_problem.target_eval
    assert np.array_equal(loaded.translate(x), translator.translate(x))
    assert np.array_equal(loaded.invert(y), translator.invert(y))
    assert loaded.card == translator.card
    assert (loaded.d_source, loaded.d_target) == (20, 14)
    assert loaded.translate(x[0].astype(np.float16)).dtype == np.float16


def test_a_saved_translator_is_used_without_torch_or_accelerate(
    translator: NeuralTranslator, planted_problem: Problem, tmp_path: Path
) -> None:
    translator.save(tmp_path / "t")
    np.save(tmp_path / "x.npy", planted_problem.source_eval[:5])
    code = (
        "import sys; sys.modules.update(torch=None, accelerate=None)\n"
        "import numpy as np, interlingua as il\n"
        f"t = il.load({str(tmp_path / 't')!r}); np.save({str(tmp_path / 'y.npy')!r}, t.translate(np.load("
        f"{str(tmp_path / 'x.npy')!r})))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert np.load(tmp_path / "y.npy") == pytest.approx(translator.translate(planted_problem.source_eval[:5]), abs=1e-6)


def test_every_direction_goes_through_the_latent_space(translator: NeuralTranslator, planted_problem: Problem) -> None:
    x = planted_problem.source_eval
    z = translator.encode(x, "source")
    assert z.shape == (len(x), 14)
    assert translator.spaces == ("source", "target")
    for space in translator.spaces:
        assert translator.decode(z, space) == pytest.approx(translator.between(x, "source", space), abs=1e-6)
    assert translator.between(x, "source", "target") == pytest.approx(translator.translate(x), abs=1e-6)


def test_unknown_spaces_and_wrong_widths_are_refused(translator: NeuralTranslator) -> None:
    with pytest.raises(InputError, match="There is no space 'left' in this translator; it knows source, target"):
        translator.encode(np.eye(20), "left")
    with pytest.raises(InputError, match="source vectors has 14 columns; 20 are needed"):
        translator.between(np.eye(14), "source", "target")


def test_a_damaged_network_is_noticed(translator: NeuralTranslator, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = translator.save(tmp_path / "t") / "translator.safetensors"
    tensors = load_file(file)
    tensors["network.output_adapters.0.skip.weight"] = tensors["network.output_adapters.0.skip.weight"][:, :-1].copy()
    save_file(tensors, file)
    with pytest.raises(InputError, match="is damaged"):
        il.load(tmp_path / "t")


@pytest.mark.parametrize(
    "change",
    [
        {"norms": [0.0, 1.0]},
        {"norms": [float("nan"), 1.0]},
        {"norms": [1.0, 1.0, 1.0]},
        {"gated": "no"},
        {"norm": "other"},
        {"depths": [1]},
        {"depths": [-1, 1]},
        {"ends": ["source", "left"]},
        {"ends": ["source"]},
        {"spaces": [["source", "20"], ["target", 14]]},
        {"spaces": [["source", 20], ["source", 20]]},
    ],
    ids=str,
)
def test_a_network_with_settings_that_no_network_has_is_damaged(
    translator: NeuralTranslator, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = translator.save(tmp_path / "t")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    card["maps"].update(change)
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="is damaged"):
        il.load(folder)


def test_a_cold_start_takes_the_best_of_its_restarts(planted_problem: Problem, tmp_path: Path) -> None:
    p = planted_problem
    alignment = il.align(
        p.source, p.target, method="adversarial", start="cold", steps=10, restarts=2, folder=str(tmp_path), **TINY
    )
    runs = [step for step in alignment.trace if step["step"] == "run"]
    assert [run["seed"] for run in runs] == [0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-0", "seed-1"]
    assert alignment.verdict.status == "failed"


def test_no_restart_follows_one_that_is_beyond_doubt(planted_problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.neural.selection.is_convincing", lambda measures: True)
    p = planted_problem
    cold: dict[str, Any] = {"method": "adversarial", "start": "cold", "steps": 5, "restarts": 3, **TINY}
    alignment = il.align(p.source, p.target, **cold)
    assert sum(step["step"] == "run" for step in alignment.trace) == 1


def test_only_a_copy_of_a_space_is_beyond_doubt() -> None:
    right = {"distance": -0.002, "geometry": 0.999, "cycle": 0.9995}
    assert is_convincing(right)
    for name, wrong in (("distance", 0.013), ("geometry", 0.976), ("cycle", 0.9)):
        assert not is_convincing(right | {name: wrong})


@pytest.mark.slow
def test_a_cold_start_finds_a_planted_isometry_and_knows_it() -> None:
    """Content around a path, 16 to 24 wide; successful starts are recognized without pairs."""
    rng = np.random.default_rng(0)
    n, held = 3000, 500
    content = around_a_path(2 * n + held, rng)
    x, y = (unit_rows(content @ np.linalg.qr(rng.standard_normal((d, 6)))[0].T) for d in (16, 24))
    cold: dict[str, Any] = {"method": "adversarial", "start": "cold", "preset": "annealed", "restarts": 4}
    alignment = il.align(x[:n], y[n : 2 * n], **cold)
    runs = [step for step in alignment.trace if step["step"] == "run"]
    assert is_convincing(max(runs, key=lambda run: run["score"]))
    found = il.evaluate(alignment.translator(force=True), x[2 * n :], y[2 * n :], bootstrap=0)
    assert found.forward.top1.value > 0.95
    assert found.backward.top1.value > 0.95


def test_the_report_pictures_the_latent_space(
    warm: il.Alignment, translator: NeuralTranslator, planted_problem: Problem, tmp_path: Path
) -> None:
    from interlingua.report import write_report

    p = planted_problem
    path = write_report(
        tmp_path / "report.html", warm, translator=translator, source_eval=p.source_eval, target_eval=p.target_eval
    )
    page = path.read_text("utf-8")
    assert "Source latents with target latents" in page
    assert "the two vectors of one text have a mean cosine of" in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "huge"}, "preset is 'huge'; choose from paper, paper-text, small"),
        ({"restarts": 0}, "restarts is 0; an integer >= 1 is needed"),
        ({"device": "cuda"}, "device is 'cuda' and torch finds no GPU. Use device='cpu' or device='auto'"),
        ({"resume": True}, "resume and tensorboard need the folder of a run"),
        ({"depth": 3}, r"unknown keyword 'depth'. Did you mean width"),
        ({"start": "cold", "pairs": [[0, 0]]}, "pairs were given and a cold start uses none"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(
    settings: dict[str, Any], message: str, planted_problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(Linear, "fit", lambda *_, **__: pytest.fail("the linear start was fitted"))
    with pytest.raises(InputError, match=message):
        il.align(planted_problem.source, planted_problem.target, method="adversarial", **settings)


@pytest.mark.parametrize(("width", "threads"), [(16, 1), (129, 2)])
def test_narrow_networks_train_with_one_thread_which_is_restored(
    width: int, threads: int, planted_problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for the others after each small product makes a step on busy cores many times as long."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("interlingua.core.backend.available_cores", lambda: 2)
    before, seen = torch.get_num_threads(), list[int]()

    def stop(step: dict[str, Any]) -> None:
        if step["step"] == "train":
            seen.append(torch.get_num_threads())
            raise InterruptedError

    sides = planted_problem.source, planted_problem.target
    sizes: dict[str, Any] = {
        "width": width,
        "latent": 8,
        "discriminator_width": 16,
        "adapter_depth": 1,
        "backbone_depth": 1,
    }
    try:
        torch.set_num_threads(2)
        with pytest.raises(InterruptedError):
            il.align(*sides, method="adversarial", start="cold", steps=2, batch=32, log_every=1, on_step=stop, **sizes)
        assert seen == [threads]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_few_rows_are_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 12))
    with pytest.raises(InputError, match="source has 50 rows; without pairs at least 100"):
        il.align(rows, rows, method="adversarial")


def test_settings_are_the_preset_s_unless_changed() -> None:
    assert Adversarial(preset="paper", start="cold").training_settings().width == 1024
    assert Adversarial(steps=7, width=33).training_settings().width == 33


def test_a_folder_that_cannot_hold_the_run_is_refused_before_the_linear_start(
    planted_problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "used" / "seed-1").mkdir(parents=True)
    (tmp_path / "used" / "seed-1" / "checkpoint.pt").touch()
    monkeypatch.setattr(PairwiseAlignments, "fit", lambda *_, **__: pytest.fail("the linear start began"))
    for folder, message in (("file", "file is a file and not a folder"), ("used", "seed-1 holds a run already")):
        with pytest.raises(InputError, match=message):
            il.align(
                planted_problem.source, planted_problem.target, method="adversarial", restarts=2,
                folder=str(tmp_path / folder), **TINY,
            )  # fmt: skip


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS_OF_THE_CALLER: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default_device": lambda: torch.device("meta"),
    "default_dtype": lambda: default_dtype(torch.float64),
}


def translations_of_short_fits(p: Problem) -> list[Rows]:
    """Return the translations of a network and of a trained rotation, after a few steps each."""
    x, y = p.source[:150], p.target[:150]
    settings: dict[str, Any] = {**TINY, "start": "cold", "steps": 3, "check_every": 3}
    with pytest.MonkeyPatch.context() as patch:
        draw_few_null_maps(patch)
        network = il.align(x, y, method="adversarial", **settings)
        trained = il.align(x, y, method="adversarial-rotation", epochs=1, epoch_rows=64, batch=32)
    return [np.asarray(alignment.forward(x)) for alignment in (network, trained)]


@pytest.fixture(scope="module")
def plain(planted_problem: Problem) -> list[Rows]:
    return translations_of_short_fits(planted_problem)


@pytest.mark.parametrize("name", SETTINGS_OF_THE_CALLER)
def test_global_settings_of_torch_neither_break_nor_change_a_fit(
    name: str, planted_problem: Problem, plain: list[Rows]
) -> None:
    with SETTINGS_OF_THE_CALLER[name]():
        before = torch.is_grad_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu")
        others = translations_of_short_fits(planted_problem)
        after = torch.is_grad_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu")
    for first, second in zip(plain, others, strict=True):
        assert np.array_equal(first, second)
    assert after == before
