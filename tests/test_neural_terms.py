"""Loss terms of a caller's own, settings as keywords, and the table that describes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import interlingua as il
from interlingua.aligners import create_aligner, describe_settings
from interlingua.core.errors import InputError, TrainingError
from interlingua.neural import losses
from interlingua.neural.aligner import Adversarial
from interlingua.neural.settings import Settings
from interlingua.neural.terms import TERMS, LossTerm, StepOutputs
from interlingua.neural.trainer import Trainer
from planted import unpaired
from test_neural_training import QUICK, WIDTHS

Rows = npt.NDArray[Any]


@pytest.fixture
def vectors() -> dict[str, Rows]:
    return unpaired(WIDTHS, np.random.default_rng(0))


def latent_size(step: StepOutputs) -> torch.Tensor:
    return torch.stack([z.square().mean() for z in step.latents]).mean()


def trained(vectors: dict[str, Rows], *terms: LossTerm) -> tuple[list[dict[str, Any]], Any]:
    lines: list[dict[str, Any]] = []
    trainer = Trainer.prepare(vectors, QUICK, on_step=lines.append, extra_terms=terms)
    return lines, trainer.run().network


def test_a_term_of_one_s_own_is_minimized_and_logged(vectors: dict[str, Rows]) -> None:
    latents = []
    for weight in (0.0, 100.0):
        lines, network = trained(vectors, LossTerm("size", latent_size, weight=weight))
        latents.append(float((network.encode(vectors["a"], "a") ** 2).mean()))
        assert ("size" in lines[-1]) is (weight > 0)
    assert latents[1] < 0.95 * latents[0]


def test_a_term_enters_the_loss_with_its_weight_which_may_follow_the_settings(vectors: dict[str, Rows]) -> None:
    plain, _ = trained(vectors)
    fixed, _ = trained(vectors, LossTerm("one", lambda step: step.latents[0].new_ones(()), weight=3.0))
    follows, _ = trained(vectors, LossTerm("one", lambda step: step.latents[0].new_ones(()), lambda s: 2 * s.vsp))
    assert fixed[0]["loss"] == pytest.approx(plain[0]["loss"] + 3, rel=1e-5)
    assert follows[0]["loss"] == pytest.approx(plain[0]["loss"] + 2 * QUICK.vsp, rel=1e-5)


def test_outputs_that_a_term_needs_are_computed_for_it(vectors: dict[str, Rows]) -> None:
    seen: list[StepOutputs] = []

    def look(step: StepOutputs) -> torch.Tensor:
        seen.append(step)
        return step.latents[0].sum() * 0

    s = QUICK.changed(cycle=0.0, cycle_vsp=0.0, steps=1)
    Trainer.prepare(vectors, s, extra_terms=[LossTerm("look", look)]).run()
    Trainer.prepare(vectors, s, extra_terms=[LossTerm("look", look, needs=("round_trips",))]).run()
    assert seen[0].round_trips == {}
    assert {jk: tuple(y.shape) for jk, y in seen[1].round_trips.items()} == {(0, 1): (32, 12), (1, 0): (32, 8)}
    assert set(seen[1].adversarial_pairs) == {"adversarial", "latent_adversarial"}


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (LossTerm("cycle", latent_size), "loss term 'cycle': this name is taken"),
        (LossTerm("loss", latent_size), "loss term 'loss': this name is taken"),
        ("cycle", "extra_terms holds 'cycle'; interlingua.neural.terms.LossTerm objects are needed"),
        (
            LossTerm("rows", lambda step: step.latents[0].mean(dim=1)),
            r"loss term 'rows' returned a tensor of shape \(32,\); a tensor without dimensions is needed",
        ),
        (LossTerm("number", lambda step: 1.0), "loss term 'number' returned float"),  # type: ignore[arg-type,return-value]
    ],
)
def test_terms_that_cannot_be_used_are_refused(term: Any, message: str, vectors: dict[str, Rows]) -> None:
    with pytest.raises(InputError, match=message):
        trained(vectors, term)


def test_weights_and_needs_are_checked_when_a_term_is_made() -> None:
    with pytest.raises(InputError, match="loss term 'x': weight is -1; a number of at least 0 is needed"):
        LossTerm("x", latent_size, weight=-1)
    with pytest.raises(InputError, match="loss term 'x' needs gram; choose from round_trips, teacher_targets"):
        LossTerm("x", latent_size, needs=("gram",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="loss term 'x': compute is 3; a function is needed"):
        LossTerm("x", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 3}, "name of a loss term is 3; a text is needed"),
        ({"name": ""}, "name of a loss term is ''; a name in one line is needed"),
        ({"name": "a\nb"}, "a name in one line is needed"),
        ({"weight": 10**400}, "loss term 'x': weight is 1000.*; a number of at least 0 is needed"),
        ({"weight": "1"}, "loss term 'x': weight is '1'; a number"),
        ({"needs": "round_trips"}, "loss term 'x': needs is 'round_trips'; a tuple of names is needed"),
        ({"needs": None}, "loss term 'x': needs is None; a tuple of names"),
        ({"needs": ([],)}, r"loss term 'x' needs \[\]; choose from"),
    ],
)
def test_fields_of_a_term_that_cannot_be_used_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LossTerm(**{"name": "x", "compute": latent_size, **options})


def test_a_weight_of_numpy_becomes_a_plain_number() -> None:
    weight = LossTerm("x", latent_size, weight=np.float32(0.5)).weight  # type: ignore[arg-type]
    assert type(weight) is float
    assert weight == 0.5


@pytest.mark.parametrize("weight", [-1.0, float("nan"), None, "1"])
def test_a_weight_function_that_returns_no_weight_is_refused(weight: Any) -> None:
    with pytest.raises(InputError, match="loss term 'x': weight is .*; a number of at least 0 is needed"):
        LossTerm("x", latent_size, weight=lambda s: weight).weight_in(Settings())


def test_a_term_of_complex_numbers_is_refused() -> None:
    step = StepOutputs(rows=(), latents=(), reconstructions=(), translations={})
    with pytest.raises(InputError, match=r"loss term 'x' returned a tensor of shape \(\) of complex numbers"):
        LossTerm("x", lambda step: torch.tensor(1j)).value(step)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (LossTerm("x", latent_size), "extra_terms is LossTerm.*; a list of interlingua.neural.terms.LossTerm objects"),
        ("cycle", "extra_terms is 'cycle'; a list of"),
        (3, "extra_terms is 3; a list of"),
        ({"x": 1}, "extra_terms holds 'x'; interlingua.neural.terms.LossTerm objects are needed"),
        ([LossTerm], "extra_terms holds <class"),
    ],
)
def test_extra_terms_that_are_no_list_of_terms_are_refused_by_the_method(terms: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_aligner("adversarial", extra_terms=terms)


def test_a_term_that_needs_teachers_is_refused_without_them(vectors: dict[str, Rows]) -> None:
    with pytest.raises(InputError, match="loss term 'x' needs teacher_targets and there are no teachers"):
        Trainer.prepare(vectors, QUICK, extra_terms=[LossTerm("x", latent_size, needs=("teacher_targets",))])


def test_every_term_of_the_table_has_a_setting_of_its_name() -> None:
    for term in TERMS:
        assert term.weight_in(Settings().changed(**{term.name: 0.125})) == 0.125


@pytest.mark.parametrize("function", [losses.discriminator_loss, losses.generator_loss])
def test_an_unknown_kind_of_adversarial_loss_is_refused(function: Any) -> None:
    at = torch.zeros(3, 1)
    with pytest.raises(InputError, match="adversarial loss is 'wasserstein'; choose from least-squares, vanilla"):
        function(at, at, "wasserstein")


def test_every_training_setting_is_a_keyword_of_the_method() -> None:
    aligner = Adversarial(start="cold", cycle=0, lr=1e-4, vsp_form="squared")
    settings = aligner.training_settings()
    assert (settings.cycle, settings.lr, settings.vsp_form, settings.width) == (0, 1e-4, "squared", 256)
    assert aligner.settings_for_card()["cycle"] == 0
    x = np.random.default_rng(0).standard_normal((120, 9))
    with pytest.raises(InputError, match=r"unknown keyword 'cycles'\. Did you mean cycle\?"):
        il.align(x, x, method="adversarial", cycles=0)
    with pytest.raises(InputError, match="There is no setting 'cycles'. Did you mean cycle?"):
        Adversarial(cycles=0)
    with pytest.raises(InputError, match="lr is 'high'; a finite number at least 0 is needed"):
        il.align(x, x, method="adversarial", lr="high")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 2.5}, "batch is 2.5; an integer >= 1 is needed"),
        ({"decay": 1}, "decay is 1; True or False is needed"),
        ({"lr": float("nan")}, "lr is nan; a finite number at least 0 is needed"),
        ({"vsp_end": "low"}, "vsp_end is 'low'; a finite number at least 0 is needed"),
        ({"cycle": -1}, "cycle is -1; a finite number at least 0 is needed"),
        ({"steps": True}, "steps is True; an integer >= 1 is needed"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings().changed(**change)


def test_numpy_numbers_become_plain_ones() -> None:
    s = Settings(lr=np.float64(0.5), batch=np.int64(4))  # type: ignore[arg-type]
    assert (type(s.lr), type(s.batch)) == (float, int)


def test_settings_are_described_with_the_paper_s_and_the_code_s_values() -> None:
    found = {setting.name: setting for setting in describe_settings("adversarial")}
    assert set(Adversarial.setting_names()) == set(found)
    assert all(setting.meaning for setting in found.values())
    assert (found["norm"].default, found["norm"].paper, found["norm"].code) == ("layer", "layer", "batch")
    assert (found["norm"].range, found["norm"].type) == ("one of batch, layer", "str")
    assert (found["consensus"].paper, found["consensus"].code) == (None, None)
    assert found["cycle"].code == 10
    assert found["dropout"].range == "at least 0 and below 1"
    linear = {setting.name: setting for setting in describe_settings("linear")}
    assert (linear["rounds"].type, linear["rounds"].default) == ("int", 10)
    assert linear["rounds"].meaning.startswith("most rounds")


@pytest.mark.parametrize("output", ["round_trips", "teacher_targets"])
@pytest.mark.parametrize("use", [lambda made: made[0, 1].mean(), lambda made: sum(made.values()), len, list])
def test_an_output_that_a_term_does_not_declare_is_refused_by_name(
    vectors: dict[str, Rows], output: str, use: Any
) -> None:
    term = LossTerm("mine", lambda step: use(getattr(step, output)))
    with pytest.raises(InputError, match=rf"loss term 'mine' uses {output}; declare it with needs=\('{output}',\)"):
        trained(vectors, term)


def broken(*_: Any) -> Any:
    raise KeyError("latents")


def test_an_exception_in_a_term_or_in_its_weight_names_the_term(vectors: dict[str, Rows]) -> None:
    with pytest.raises(InputError, match="loss term 'mine': compute raised KeyError: 'latents'. Correct this function"):
        trained(vectors, LossTerm("mine", broken))
    with pytest.raises(InputError, match="loss term 'mine': weight raised KeyError: 'latents'. Correct this function"):
        trained(vectors, LossTerm("mine", latent_size, weight=broken))


def test_the_first_term_that_is_not_finite_is_named_with_its_step(vectors: dict[str, Rows]) -> None:
    calls = []

    def late(step: StepOutputs) -> torch.Tensor:
        calls.append(1)
        return latent_size(step) * (1.0 if len(calls) < 3 else float("nan"))

    with pytest.raises(TrainingError, match="loss term 'mine' is not finite at step 3. Correct its function"):
        trained(vectors, LossTerm("mine", late))
    assert len(calls) == 3
