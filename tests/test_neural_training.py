"""Training: what a run is a function of, that it can be killed, and that its start is the alignment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError, TrainingError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.neural import checkpoints, monitor, schedule
from interlingua.neural.batches import Batches
from interlingua.neural.presets import PAPER, preset
from interlingua.neural.selection import Selection
from interlingua.neural.settings import Settings
from interlingua.neural.terms import LossTerm
from interlingua.neural.trainer import Trainer
from planted import encode, rotation, topics, unpaired

Rows = npt.NDArray[Any]
WIDTHS = {"a": 12, "b": 8}
QUICK = Settings(
    width=16,
    latent=10,
    adapter_depth=3,
    backbone_depth=3,
    norm="layer",
    dropout=0.1,
    discriminator_depth=3,
    discriminator_width=16,
    lr=1e-3,
    discriminator_lr=1e-3,
    warmup=3,
    average=0.9,
    batch=32,
    steps=12,
    noise=0.05,
    instance_noise=0.3,
    vsp_end=0.5,
    log_every=2,
    check_every=4,
    save_every=5,
)


@pytest.fixture
def vectors() -> dict[str, Rows]:
    return unpaired(WIDTHS, np.random.default_rng(0))


def affine(d_in: int, d_out: int, seed: int) -> AffineMap:
    rng = np.random.default_rng(seed)
    means = [rng.standard_normal(d).astype(np.float32) / 10 for d in (d_in, d_out)]
    return AffineMap(means[0], rotation(d_in, d_out, rng), means[1])


def same(first: Network, second: Network) -> bool:
    return first.tensors.keys() == second.tensors.keys() and all(
        np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors
    )


def test_a_run_is_a_function_of_its_seed_and_leaves_torch_as_it_was(vectors: dict[str, Rows]) -> None:
    before = torch.get_rng_state()
    first, again, other = (Trainer.prepare(vectors, QUICK, seed=seed).run().network for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_unit_rows_that_go_through_every_row_before_any_twice(vectors: dict[str, Rows]) -> None:
    batches = Batches(vectors, 30, seed=1)
    epoch = np.concatenate([batches(step)[0] for step in range(5)])
    assert np.linalg.norm(epoch, axis=1) == pytest.approx(1, abs=1e-5)
    assert len(np.unique(epoch.round(6), axis=0)) == 150
    assert not np.array_equal(batches(5)[0], batches(0)[0])
    assert all(np.array_equal(x, y) for x, y in zip(batches(3), Batches(vectors, 30, seed=1)(3), strict=True))


def test_parts_of_a_batch_make_up_the_whole(vectors: dict[str, Rows]) -> None:
    whole = Batches(vectors, 32, seed=0)(7)
    parts = [Batches(vectors, 32, seed=0, part=(k, 2))(7) for k in (0, 1)]
    for space in (0, 1):
        assert np.array_equal(np.concatenate([part[space] for part in parts]), whole[space])


def test_batches_come_straight_from_a_memory_map(vectors: dict[str, Rows], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors["a"].astype(np.float16))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    (rows,) = Batches({"a": mapped}, 10, seed=0)(0)
    assert rows.dtype == np.float32
    assert rows == pytest.approx(Batches({"a": vectors["a"]}, 10, seed=0)(0)[0], abs=2e-3)


def test_fewer_rows_than_a_batch_are_refused(vectors: dict[str, Rows]) -> None:
    with pytest.raises(InputError, match="b has 150 rows; a batch takes 200. Pass more rows, or a smaller batch"):
        Trainer.prepare(vectors | {"a": np.ones((500, 12), np.float32)}, QUICK.changed(batch=200))
    with pytest.raises(InputError, match="At least 2 spaces are needed, but only one was given"):
        Trainer.prepare({"a": vectors["a"]}, QUICK)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("swap", [False, True])
def test_a_warm_start_is_the_alignment_exactly(norm: str, swap: bool, vectors: dict[str, Rows]) -> None:
    into, out = affine(12, 8, 1), affine(8, 12, 2)
    spaces = dict(reversed(vectors.items())) if swap else vectors
    trainer = Trainer.prepare(spaces, QUICK.changed(norm=norm, average=0.0), maps={"a": (into, out)})
    network = trainer.snapshot()
    assert network.latent == 8
    assert network.translate(vectors["a"], "a", "b") == pytest.approx(into(vectors["a"]), abs=2e-6)
    assert network.translate(vectors["b"], "b", "a") == pytest.approx(out(vectors["b"]), abs=2e-6)
    assert network.translate(vectors["b"], "b", "b") == pytest.approx(unit_rows(vectors["b"]), abs=2e-6)


def test_a_warm_start_moves_when_trained_and_stays_near(vectors: dict[str, Rows]) -> None:
    maps = {"a": (affine(12, 8, 1), affine(8, 12, 2))}
    trained = Trainer.prepare(vectors, QUICK.changed(average=0.0), maps=maps).run().network
    translated = trained.translate(vectors["a"], "a", "b")
    start = maps["a"][0](vectors["a"])
    assert not np.allclose(translated, start, atol=1e-5)
    assert float((translated * start).sum(axis=1).mean()) > 0.9


def test_instance_noise_falls_geometrically_and_stays_at_its_end() -> None:
    s = QUICK.changed(instance_noise=0.8, instance_noise_end=0.2, steps=12)
    seen = [schedule.instance_noise(s, step) for step in range(12)]
    assert seen[0] == pytest.approx(0.8)
    assert seen[1] / seen[0] == pytest.approx(seen[3] / seen[2])
    assert seen[3:] == pytest.approx([0.2] * 9)
    assert schedule.instance_noise(QUICK.changed(instance_noise=0.0), 0) == 0


def test_the_weight_of_preservation_changes_after_two_fifths_of_the_steps() -> None:
    s = QUICK.changed(vsp=60.0, vsp_end=2.0, steps=8)
    assert [schedule.settings_at(s, step).vsp for step in range(8)] == [60.0] * 4 + [2.0] * 4
    assert schedule.settings_at(s.changed(vsp_end=None), 7).vsp == 60.0


def test_skips_start_small_and_with_the_networks_closed(vectors: dict[str, Rows]) -> None:
    network = Trainer.prepare(vectors, QUICK.changed(skips=True, average=0.0)).snapshot()
    x = vectors["a"]
    latents = network.encode(x, "a")
    assert latents == pytest.approx(unit_rows(x) @ network.tensors["input_adapters.0.skip.weight"].T, abs=1e-5)
    assert 0 < np.linalg.norm(latents, axis=1).mean() < 0.5


def test_maps_that_are_missing_are_named(vectors: dict[str, Rows]) -> None:
    with pytest.raises(InputError, match="The alignment leaves out a, b; just one is needed without maps"):
        Trainer.prepare(vectors, QUICK, maps={})


def test_three_spaces_train_through_one_latent_space(vectors: dict[str, Rows]) -> None:
    spaces = vectors | {"c": encode(topics(150, 6, np.random.default_rng(5)), 10, np.random.default_rng(6))}
    network = Trainer.prepare(spaces, QUICK).run().network
    assert network.names == ("a", "b", "c")
    assert network.translate(spaces["c"], "c", "a").shape == (150, 12)


def test_the_snapshot_with_the_best_score_is_kept(vectors: dict[str, Rows]) -> None:
    seen: list[Network] = []

    def score(network: Network) -> dict[str, float]:
        seen.append(network)
        return {"score": {0: 0.1, 1: 0.5, 2: 0.9, 3: 0.2}[len(seen) - 1]}

    trained = Trainer.prepare(vectors, QUICK, selection=score).run()
    assert [line["at"] for line in trained.history] == [0, 4, 8, 12]
    assert (trained.best, trained.measures["score"]) == (8, 0.9)
    assert same(trained.network, seen[2])


def test_snapshots_before_vsp_end_applies_are_measured_and_not_kept(vectors: dict[str, Rows]) -> None:
    scores = iter([0.9, 0.8, 0.3, 0.4])
    trained = Trainer.prepare(vectors, QUICK, selection=lambda network: {"score": next(scores)}).run()
    assert (trained.best, trained.measures["score"]) == (12, 0.4)
    assert [step for step in range(11) if schedule.is_selectable(QUICK.changed(steps=10), step)] == [5, 6, 7, 8, 9, 10]
    scores = iter([0.9, 0.8, 0.3, 0.4])
    kept = Trainer.prepare(
        vectors, QUICK.changed(vsp_end=None), selection=lambda network: {"score": next(scores)}
    ).run()
    assert kept.best == 0


def test_selection_measures_without_pairs_and_ignores_row_order(vectors: dict[str, Rows]) -> None:
    network = Trainer.prepare(vectors, QUICK.changed(steps=1)).run().network
    measured = Selection(vectors)(network)
    assert {"score", "neighbors", "geometry", "cycle", "distance", "hubness", "effective_rank"} <= measured.keys()
    assert all(np.isfinite(value) for value in measured.values())


@pytest.mark.parametrize(
    "change",
    [
        {"adversarial_loss": "vanilla", "latent_discriminators": "all"},
        {"adversarial_loss": "relativistic", "r1": 0.1, "r2": 0.1},
        {"vsp_form": "translated", "cycle_detached": False},
        {"vsp_form": "unpaired", "norm": "batch", "decay": True},
        {"cycle": 0.0, "cycle_vsp": 0.0, "vsp": 0.0},
        {"adversarial": 0.0, "latent_adversarial": 0.0, "accumulate": 2, "warmup": 0},
    ],
)
def test_every_published_choice_trains(change: dict[str, Any], vectors: dict[str, Rows]) -> None:
    lines: list[dict[str, Any]] = []
    Trainer.prepare(vectors, QUICK.changed(**change), on_step=lines.append).run()
    assert lines[-1]["at"] == 12
    assert np.isfinite(lines[-1]["loss"])


def test_both_learning_rates_rise_in_the_warm_up_and_stay() -> None:
    s = QUICK.changed(warmup=4, steps=8)
    assert [schedule.lr_factor(s, step) for step in range(8)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    assert schedule.lr_factor(s.changed(decay=True), 6) == pytest.approx(0.5)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(vectors: dict[str, Rows]) -> None:
    trainer = Trainer.prepare(vectors, QUICK)
    with torch.no_grad():
        trainer.model.generator.backbone.blocks[0][0].weight.fill_(float("nan"))  # type: ignore[index]
    with pytest.raises(TrainingError, match="is not finite at step 2. Take a smaller lr than 0.001 or a longer warmup"):
        trainer.run()


def test_advice_to_resume_is_given_where_a_checkpoint_exists(vectors: dict[str, Rows], tmp_path: Path) -> None:
    for folder in (None, tmp_path / "run"):
        trainer = Trainer.prepare(vectors, QUICK.changed(save_every=1, log_every=1), folder=folder)

        def spoil(step: dict[str, Any], trainer: Trainer = trainer) -> None:
            if step.get("at") == 3:
                with torch.no_grad():
                    trainer.model.generator.backbone.blocks[0][0].weight.fill_(float("nan"))  # type: ignore[index]

        trainer._on_step = spoil
        with pytest.raises(TrainingError, match="is not finite at step") as raised:
            trainer.run()
        assert ("continues from it" in str(raised.value)) == (folder is not None)


RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np
import torch
from planted import unpaired
from test_neural_training import QUICK, WIDTHS
from interlingua.neural.selection import Selection
from interlingua.neural.trainer import Trainer
torch.set_num_threads(1)
vectors = unpaired(WIDTHS, np.random.default_rng(0))
settings = QUICK.changed(log_every=1, skips=True, mirrors=2)
def run(folder, die, resume):
    folder.mkdir(exist_ok=True)
    trainer = Trainer.prepare(vectors, settings, seed=3, folder=folder, selection=Selection(vectors))
    inner = trainer._train
    def train():
        if trainer._step == die:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner()
    trainer._train = train
    np.savez(folder / "final.npz", **trainer.run(resume=resume).network.tensors)
# Every run is a process of its own, and the imports are shared.
for name, die, resume in {runs!r}:
    pid = os.fork()
    if not pid:
        run(Path({folder!r}) / name, die, resume)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def processes(folder: Path, *runs: tuple[str, int, bool]) -> list[int]:
    """Run in a folder up to the step at which the process kills itself, and return the exit code of each run."""
    code = RUN.format(tests=str(Path(__file__).parent), folder=str(folder), runs=runs)
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return [int(line) for line in done.stdout.split()]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Killed before the first checkpoint, among mirrored copies, right after a checkpoint and between two.

    Always the network of the unbroken run.
    """
    killed = [("broken", die, resume) for die, resume in ((2, False), (4, True), (5, True), (8, True))]
    codes = processes(tmp_path, ("whole", -1, False), *killed, ("broken", -1, True))
    assert codes == [0, *[-signal.SIGKILL] * 4, 0]
    wanted = dict(np.load(tmp_path / "whole" / "final.npz"))
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    broken = tmp_path / "broken"
    found = dict(np.load(broken / "final.npz"))
    assert wanted.keys() == found.keys()
    assert all(wanted[name].tobytes() == found[name].tobytes() for name in wanted)

    def without_time(line: str) -> dict[str, Any]:
        return {key: value for key, value in json.loads(line).items() if key != "seconds"}

    again = (broken / "metrics.jsonl").read_text().splitlines()
    assert [without_time(line) for line in again] == [without_time(line) for line in lines]


def test_a_folder_with_a_run_is_not_started_over_nor_mixed(vectors: dict[str, Rows], tmp_path: Path) -> None:
    Trainer.prepare(vectors, QUICK, folder=tmp_path).run()
    with pytest.raises(InputError, match=r"holds a run already\. Continue it with resume=True, or choose another"):
        Trainer.prepare(vectors, QUICK, folder=tmp_path).run()
    with pytest.raises(InputError, match=r"holds a run with other settings \(lr 0.001, now 0.1\)"):
        Trainer.prepare(vectors, QUICK.changed(lr=0.1), folder=tmp_path).run(resume=True)


def test_a_run_is_not_continued_on_other_vectors_nor_from_another_start(
    vectors: dict[str, Rows], tmp_path: Path
) -> None:
    Trainer.prepare(vectors, QUICK, folder=tmp_path, start={"nonorthogonal": False}).run()
    others = {"a": vectors["a"], "b": vectors["b"][::-1]}
    message = (
        r"holds a run on other vectors of b\. Pass the same rows in the same order and of the same dtype to resume"
    )
    with pytest.raises(InputError, match=message):
        Trainer.prepare(others, QUICK, folder=tmp_path, start={"nonorthogonal": False}).run(resume=True)
    with pytest.raises(InputError, match="holds a run on other vectors of a and b"):
        Trainer.prepare({name: z[:100] for name, z in vectors.items()}, QUICK, folder=tmp_path).run(resume=True)
    with pytest.raises(InputError, match=r"holds a run with other settings \(nonorthogonal False, now True\)"):
        Trainer.prepare(vectors, QUICK, folder=tmp_path, start={"nonorthogonal": True}).run(resume=True)


LENGTHENED = QUICK.changed(vsp_end=None, instance_noise=0.0, log_every=2)


def test_a_run_can_be_lengthened_and_equals_one_that_was_long_from_the_start(
    vectors: dict[str, Rows], tmp_path: Path
) -> None:
    whole = Trainer.prepare(vectors, LENGTHENED.changed(steps=24), selection=Selection(vectors)).run()
    Trainer.prepare(vectors, LENGTHENED, folder=tmp_path, selection=Selection(vectors)).run()
    longer = Trainer.prepare(vectors, LENGTHENED.changed(steps=24), folder=tmp_path, selection=Selection(vectors))
    lengthened = longer.run(resume=True)
    assert lengthened.history == whole.history
    assert same(lengthened.network, whole.network)


def test_a_run_whose_schedule_follows_its_length_cannot_be_lengthened(vectors: dict[str, Rows], tmp_path: Path) -> None:
    Trainer.prepare(vectors, QUICK, folder=tmp_path / "scheduled").run()
    with pytest.raises(InputError, match="12 steps that cannot become one of 24: instance_noise, vsp_end changes at"):
        Trainer.prepare(vectors, QUICK.changed(steps=24), folder=tmp_path / "scheduled").run(resume=True)
    Trainer.prepare(vectors, LENGTHENED, folder=tmp_path / "plain").run()
    with pytest.raises(InputError, match="12 steps that cannot become one of 8: it has taken more. Repeat steps=12"):
        Trainer.prepare(vectors, LENGTHENED.changed(steps=8), folder=tmp_path / "plain").run(resume=True)


def test_a_resumed_run_reports_the_steps_of_before_so_that_its_trace_is_whole(
    vectors: dict[str, Rows], tmp_path: Path
) -> None:
    def steps_of(trainer: Trainer, lines: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        trainer.run(**options)
        return [{key: value for key, value in line.items() if key not in ("seconds_left", "of")} for line in lines]

    lists: list[list[dict[str, Any]]] = [[] for _ in range(3)]
    traces = []
    for (steps, folder, resume), lines in zip(
        ((24, "whole", False), (12, "parts", False), (24, "parts", True)), lists, strict=True
    ):
        trainer = Trainer.prepare(
            vectors,
            LENGTHENED.changed(steps=steps),
            folder=tmp_path / folder,
            selection=Selection(vectors),
            on_step=lines.append,
        )
        traces.append(steps_of(trainer, lines, resume=resume))
    key = json.dumps
    assert sorted(map(key, traces[2])) == sorted(map(key, traces[0]))


def test_a_checkpoint_is_written_when_the_last_one_is_old(
    vectors: dict[str, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.neural.trainer._SAVE_SECONDS", 0.0)
    trainer = Trainer.prepare(vectors, QUICK.changed(save_every=1000), folder=tmp_path)
    train = trainer._train

    def interrupted() -> Any:
        if trainer._step == 3:
            raise KeyboardInterrupt
        return train()

    trainer._train = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    saved = checkpoints.read(tmp_path)
    assert saved is not None
    assert saved["at"] == 3


def test_the_loss_scale_does_not_change_accumulated_gradients(vectors: dict[str, Rows]) -> None:
    """Powers of 2 scale exactly, so a run with a scale that doubles at every step must equal one without."""
    s = QUICK.changed(accumulate=2, steps=4)
    networks = []
    for scaled in (False, True):
        trainer = Trainer.prepare(vectors, s)
        if scaled:
            for optimizer in trainer.model.optimizers:
                optimizer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_factor=2.0, growth_interval=1)
        networks.append(trainer.run().network)
    assert trainer.model.optimizers[0].scaler.get_scale() == 2**5
    for name, tensor in networks[0].tensors.items():
        assert networks[1].tensors[name] == pytest.approx(tensor, rel=1e-5, abs=1e-7), name


def test_extra_terms_and_their_weights_are_part_of_a_run(vectors: dict[str, Rows], tmp_path: Path) -> None:
    term = LossTerm("size", lambda step: step.latents[0].square().mean(), weight=0.1)
    Trainer.prepare(vectors, QUICK, folder=tmp_path, extra_terms=[term]).run()
    with pytest.raises(InputError, match=r"other settings \(extra_terms \{'size': 0.1\}, now \{\}\)"):
        Trainer.prepare(vectors, QUICK, folder=tmp_path).run(resume=True)


def test_tensorboard_gets_grouped_tags_and_no_file_without_a_step(
    vectors: dict[str, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    scalars: dict[str, float] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            opened.append(folder)

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            scalars[tag] = value

    monkeypatch.setattr(monitor, "require", lambda module, extra: SimpleNamespace(SummaryWriter=Writer))
    trainer = Trainer.prepare(vectors, QUICK, folder=tmp_path, tensorboard=True, selection=Selection(vectors))
    assert not opened
    trainer.run()
    assert opened == [str(tmp_path)]
    assert {"generator/cycle", "generator/loss", "discriminator/adversarial.0", "gradient_norm"} <= scalars.keys()
    assert {"learning_rate/networks", "learning_rate/discriminators", "selection/score"} <= scalars.keys()
    assert scalars["learning_rate/networks"] == pytest.approx(QUICK.lr)
    assert all(np.isfinite(value) for value in scalars.values())


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"checkpoint.pt is damaged .* remove it to start again"):
        checkpoints.read(tmp_path)
    # A text whose first bytes are opcodes of pickle.
    (tmp_path / "checkpoint.pt").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"checkpoint.pt is damaged .* remove it to start again"):
        checkpoints.read(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda saved: [1, 2],
        lambda saved: torch.ones(3),
        *(
            lambda saved, name=name: {key: value for key, value in saved.items() if key != name}
            for name in ("run", "at", "state", "history", "best", "seconds")
        ),
        *(
            lambda saved, name=name: {**saved, name: -3}
            for name in ("run", "at", "state", "history", "best", "mirrors")
        ),
        lambda saved: {**saved, "seconds": None},
        lambda saved: {**saved, "state": {**saved["state"], "generator": {}}},
    ],
)
def test_a_checkpoint_without_a_run_in_it_is_named(
    edit: Callable[[dict[str, Any]], Any], vectors: dict[str, Rows], tmp_path: Path
) -> None:
    settings = QUICK.changed(steps=4)
    Trainer.prepare(vectors, settings, folder=tmp_path).run()
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(edit(saved), tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=r"checkpoint.pt is damaged \(\w+ on reading it\); remove it to start again"):
        Trainer.prepare(vectors, settings, folder=tmp_path).run(resume=True)


@pytest.mark.parametrize("line", [b"junk\n", b"[1]\n", b'{"loss": 1}\n', b'{"at": "2"}\n', b"null\n", b"\xff\xfe\n"])
def test_a_damaged_line_of_metrics_is_named(line: bytes, vectors: dict[str, Rows], tmp_path: Path) -> None:
    settings = QUICK.changed(steps=4)
    Trainer.prepare(vectors, settings, folder=tmp_path).run()
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(InputError, match=r"metrics.jsonl: line 3 is damaged. Remove the line, or the file, and resume"):
        Trainer.prepare(vectors, settings, folder=tmp_path).run(resume=True)


def test_presets_are_found_by_name_and_the_paper_s_is_the_published_one() -> None:
    assert preset("paper", "cold") is PAPER
    assert (PAPER.lr, PAPER.discriminator_lr, PAPER.batch, PAPER.warmup, PAPER.cycle) == (2e-5, 1e-5, 256, 2000, 10)
    with pytest.raises(InputError, match=r"^preset is 'large'; choose from paper, paper-text, small, annealed\.$"):
        preset("large", "warm")
    with pytest.raises(InputError, match=r"^preset is 'papre'; choose .*\. Did you mean paper\?$"):
        preset("papre", "cold")
    with pytest.raises(InputError, match=r"^start is 'luke'; choose from cold, warm\.$"):
        preset("small", "luke")
    with pytest.raises(InputError, match=r"^The preset annealed has no warm start\. Set start to cold\.$"):
        preset("annealed", "warm")


def test_one_preset_is_the_text_of_the_paper_and_another_its_code() -> None:
    for setting in Settings.describe():
        for name, published in (("paper", setting.code), ("paper-text", setting.paper)):
            if published is not None:
                assert getattr(preset(name, "cold"), setting.name) == published, (name, setting.name)


TWO = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import json, numpy as np, torch
from planted import unpaired
from test_neural_training import QUICK, WIDTHS
from interlingua.neural.trainer import Trainer
torch.set_num_threads(1)
vectors = unpaired(WIDTHS, np.random.default_rng(0))
s = QUICK.changed(dropout=0.0, noise=0.0, instance_noise=0.0, log_every=1, batch=int(sys.argv[2]))
Trainer.prepare(vectors, s, folder=Path(sys.argv[1])).run()
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_doubled_batch(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(TWO.format(tests=str(Path(__file__).parent)))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29617"]
    for command in ([*launch, str(script), str(tmp_path / "two"), "16"], [str(script), str(tmp_path / "one"), "32"]):
        subprocess.run([sys.executable, *command], check=True, timeout=300)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert len(one) == len(two) == 12
    for first, second in zip(one, two, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_run_on_an_accelerator_ends_with_finite_numbers(precision: str, vectors: dict[str, Rows]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no accelerator is here")
    network = Trainer.prepare(vectors, QUICK.changed(precision=precision), device="auto").run().network
    assert np.isfinite(network.translate(vectors["a"], "a", "b")).all()
