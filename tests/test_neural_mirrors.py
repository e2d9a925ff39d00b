"""Mirrored copies: what they are, and that a run goes on from the one that measures best without pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from interlingua.aligners.frames import polar
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.neural import schedule
from interlingua.neural.batches import Batches
from interlingua.neural.mirrors import copies, mirror, principal_directions
from interlingua.neural.selection import Selection
from interlingua.neural.settings import Settings
from interlingua.neural.trainer import Trainer
from planted import around_a_path, rotation, unpaired

Rows = npt.NDArray[Any]
WIDTHS = {"a": 10, "b": 8}
SMALL = Settings(
    width=16,
    latent=8,
    adapter_depth=2,
    backbone_depth=2,
    norm="layer",
    discriminator_depth=3,
    discriminator_width=16,
    warmup=3,
    average=0.9,
    batch=32,
    steps=20,
    skips=True,
    mirrors=3,
)


@pytest.fixture
def vectors() -> dict[str, Rows]:
    return unpaired(WIDTHS, np.random.default_rng(0))


def turned(z: Rows, axis: Rows) -> Rows:
    return np.asarray(unit_rows(z - 2 * (z @ axis)[:, None] * axis))


def test_directions_are_the_wide_principal_ones(rng: np.random.Generator) -> None:
    basis = rotation(5, 5, rng)
    rows = rng.standard_normal((4000, 5)) * [3, 2, 1, 0.2, 0.01] @ basis + 7
    found = principal_directions(rows, 5)
    assert np.abs(found @ basis.T) == pytest.approx(np.eye(3, 5), abs=0.05)
    assert np.array_equal(principal_directions(rows, 2), found[:2])


def test_a_mirrored_network_translates_into_the_mirrored_space_and_out_of_it(rng: np.random.Generator) -> None:
    """Exact while the nets are closed and rows spread around 0, so that lengths do not matter."""
    names = list(WIDTHS)
    maps = {"a": (zero_mean(10, 8, rng), zero_mean(8, 10, rng))}
    rows = {name: unit_rows(rng.standard_normal((400, d)).astype(np.float32)) for name, d in WIDTHS.items()}
    rows = {name: np.concatenate([z, -z]) for name, z in rows.items()}
    trainer = Trainer.prepare(rows, SMALL.changed(average=0.0), maps=maps)
    before = trainer.snapshot()
    axis = principal_directions(rows["b"], 1)[0]
    mirror(trainer.model.generator, 1, axis, rows["b"])
    after = trainer.snapshot()
    wanted = turned(before.translate(rows["a"], *names), axis)
    assert after.translate(rows["a"], *names) == pytest.approx(wanted, abs=1e-5)
    back = before.translate(turned(rows["b"], axis), *names[::-1])
    assert after.translate(rows["b"], *names[::-1]) == pytest.approx(back, abs=1e-5)
    assert after.translate(rows["b"], "b", "b") == pytest.approx(before.translate(rows["b"], "b", "b"), abs=1e-5)


def test_rows_come_back_as_they_were_through_a_mirror_at_their_mean(
    vectors: dict[str, Rows], rng: np.random.Generator
) -> None:
    trainer = Trainer.prepare(
        vectors, SMALL.changed(average=0.0), maps={"a": (zero_mean(10, 8, rng), zero_mean(8, 10, rng))}
    )
    rows = unit_rows(vectors["b"])
    assert np.linalg.norm(rows.mean(axis=0)) > 0.3
    mirror(trainer.model.generator, 1, principal_directions(rows, 1)[0], rows)
    assert trainer.snapshot().translate(rows, "b", "b") == pytest.approx(rows, abs=0.02)


def zero_mean(d_in: int, d_out: int, rng: np.random.Generator) -> AffineMap:
    return AffineMap(np.zeros(d_in, np.float32), rotation(d_in, d_out, rng), np.zeros(d_out, np.float32))


def test_copies_are_the_network_itself_and_mirrors_of_all_spaces_but_the_first(vectors: dict[str, Rows]) -> None:
    generator = Trainer.prepare(vectors, SMALL.changed(average=0.0)).model.generator
    start = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    seen = []
    for turn in copies(Batches(vectors, 32, seed=0), 2, 3):
        generator.load_state_dict(start)
        turn(generator)
        seen.append({name for name, tensor in generator.state_dict().items() if not torch.equal(tensor, start[name])})
    parts = (
        "input_adapters.1.skip.weight",
        "input_adapters.1.skip.bias",
        "output_adapters.1.skip.weight",
        "output_adapters.1.skip.bias",
    )
    assert seen == [set(), *[set(parts)] * 3]


def test_the_copy_with_the_best_score_continues(vectors: dict[str, Rows]) -> None:
    """If the network itself scores best, the run equals one without mirrors; if a copy does, it does not."""
    calls: list[float] = []

    def likes(number: int) -> Any:
        def score(network: Any) -> dict[str, float]:
            calls.append(float(len(calls) == number))
            return {"score": calls[-1]}

        return score

    s = SMALL.changed(check_every=20, log_every=20)
    reports: list[dict[str, Any]] = []
    ends = []
    for number in (1, 3):  # the first score is that of the network at step 0
        calls.clear()
        trainer = Trainer.prepare(vectors, s, selection=likes(number), on_step=reports.append)
        trainer.run()
        ends.append(trainer.snapshot())
    plain = Trainer.prepare(vectors, s.changed(mirrors=0), selection=lambda network: {"score": 0.0})
    plain.run()
    same = [all(np.array_equal(v, plain.snapshot().tensors[k]) for k, v in end.tensors.items()) for end in ends]
    assert same == [True, False]
    tried = [(step["copy"], step["at"], step["score"]) for step in reports if step["step"] == "mirror"]
    assert tried == [(k, 7, float(k == 0)) for k in range(4)] + [(k, 7, float(k == 2)) for k in range(4)]


def test_a_run_that_ends_among_copies_loses_none_that_was_done(
    vectors: dict[str, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.neural.trainer._SAVE_SECONDS", 0.0)
    s = SMALL.changed(check_every=20, log_every=5, save_every=1000)
    lists: list[list[dict[str, Any]]] = [[] for _ in range(4)]

    def prepare(number: int, folder: Path | None) -> Trainer:
        reports = lists[number].append
        return Trainer.prepare(vectors, s, folder=folder, selection=Selection(vectors), on_step=reports)

    whole = prepare(0, None).run()

    def interrupt(step: dict[str, Any]) -> None:
        lists[1].append(step)
        if step["step"] == "mirror" and step["copy"] == 2:
            raise KeyboardInterrupt

    broken = prepare(1, tmp_path)
    broken._on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    taken: list[int] = []
    resumed = prepare(2, tmp_path)
    train = resumed._train

    def counted() -> Any:
        taken.append(resumed._step)
        return train()

    resumed._train = counted  # type: ignore[method-assign]
    ended = resumed.run(resume=True)
    # Copies 0 and 1 were saved; copies 2 and 3 take the mirrored steps again, and then the run goes on.
    begin, end = (schedule.mirror_steps(s)[k] for k in (0, -1))
    assert taken == [*range(begin, end + 1)] * 2 + [*range(end + 1, s.steps)]
    assert all(np.array_equal(v, ended.network.tensors[k]) for k, v in whole.network.tensors.items())
    prepare(3, tmp_path).run(resume=True)
    mirrors = [[step for step in reports if step["step"] == "mirror"] for reports in lists]
    assert [step["copy"] for step in mirrors[0]] == [0, 1, 2, 3]
    assert mirrors[0] == mirrors[2] == mirrors[3]


def test_without_selection_no_copy_is_tried(vectors: dict[str, Rows]) -> None:
    first, second = (Trainer.prepare(vectors, SMALL.changed(mirrors=k)) for k in (0, 3))
    assert all(np.array_equal(v, second.run().network.tensors[k]) for k, v in first.run().network.tensors.items())


def test_when_copies_are_compared() -> None:
    assert schedule.mirror_steps(SMALL.changed(steps=100)) == range(30, 35)
    assert schedule.mirror_steps(SMALL.changed(steps=4)) == range(1, 2)
    assert not schedule.mirror_steps(SMALL.changed(mirrors=0))


def test_intervals_that_end_among_mirrored_steps_are_logged_and_evaluated_after_them(vectors: dict[str, Rows]) -> None:
    s = SMALL.changed(steps=60, mirrors=1, log_every=20, check_every=20)
    assert schedule.mirror_steps(s) == range(18, 21)
    reports: list[dict[str, Any]] = []
    Trainer.prepare(vectors, s, selection=lambda network: {"score": 0.0}, on_step=reports.append).run()
    assert [step["at"] for step in reports if step["step"] == "train"] == [21, 40, 60]
    assert [step["at"] for step in reports if step["step"] == "check"] == [0, 21, 40, 60]


def test_mirrors_need_skips() -> None:
    with pytest.raises(InputError, match="mirrors is 3 without skips; mirrored copies need skips=True"):
        SMALL.changed(skips=False)


def test_a_start_with_one_direction_turned_round_is_mended_without_a_pair(rng: np.random.Generator) -> None:
    content = np.asarray(around_a_path(3000, rng), np.float32)
    a, b = (unit_rows(content @ rotation(6, d, rng)) for d in (10, 8))
    spaces, held = {"a": a[:1400], "b": b[1400:2800]}, (a[2800:], b[2800:])
    right = polar((a[2800:] - a.mean(axis=0)).T @ (b[2800:] - b.mean(axis=0)))
    axis = principal_directions(b, 3)[2]
    wrong = (right - 2 * np.outer(right @ axis, axis)).astype(np.float32)
    means = a.mean(axis=0), b.mean(axis=0)
    maps = {"a": (AffineMap(means[0], wrong, means[1]), AffineMap(means[1], wrong.T.copy(), means[0]))}
    cosines = []
    for tried in (0, 4):
        s = SMALL.changed(mirrors=tried, lr=1e-4, discriminator_lr=1e-4, check_every=20)
        run = Trainer.prepare(spaces, s, maps=maps, selection=Selection(spaces)).run()
        cosines.append(float((run.network.translate(held[0], "a", "b") * held[1]).sum(axis=1).mean()))
    assert cosines[0] < 0.9
    assert cosines[1] > 0.99
