"""The loss terms against slow loops, their gradients against finite differences, and what flows where."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from interlingua.neural import losses, nets, settings, steps
from interlingua.neural.terms import discriminate

SMALL = settings.Settings(width=12, latent=10, discriminator_width=8, discriminator_depth=3, dropout=0.0, norm="layer")
KINDS = ("least-squares", "vanilla", "relativistic")


def number(value: Any) -> float:
    return float(torch.as_tensor(value).detach())


def unit_tensor(rng: np.random.Generator, n: int, d: int) -> Any:
    x = rng.standard_normal((n, d))
    return torch.as_tensor(x / np.linalg.norm(x, axis=1, keepdims=True))


def slow_preservation(x: Any, y: Any, squared: bool, reflected: bool) -> float:
    n, value = len(x), 0.0
    for i, j in product(range(n), repeat=2):
        wanted = sum(a * b for a, b in zip(x[i], x[j], strict=True))
        for left, right in [(y, y)] + ([(y, x)] if reflected else []):
            got = sum(a * b for a, b in zip(left[i], right[j], strict=True))
            value += ((wanted - got) ** 2 if squared else abs(wanted - got)) / n**2
    return number(value)


def test_cosine_distance_is_half_the_mean_squared_distance(rng: np.random.Generator) -> None:
    x, y = unit_tensor(rng, 7, 5), unit_tensor(rng, 7, 5)
    slow = sum(sum((a - b) ** 2 for a, b in zip(x[i].tolist(), y[i].tolist(), strict=True)) for i in range(7)) / 7 / 2
    assert number(losses.cosine_distance(x, y)) == pytest.approx(slow)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("reflected", [False, True])
def test_preservation_is_what_its_loops_say(squared: bool, reflected: bool, rng: np.random.Generator) -> None:
    x, y = unit_tensor(rng, 6, 4), unit_tensor(rng, 6, 4)
    value = number(losses.preservation(x, y, squared=squared, reflected=reflected))
    assert value == pytest.approx(slow_preservation(x.tolist(), y.tolist(), squared, reflected))


def test_preservation_spans_widths_and_vanishes_under_a_rotation(rng: np.random.Generator) -> None:
    x = unit_tensor(rng, 6, 4)
    turn = torch.as_tensor(np.linalg.qr(rng.standard_normal((7, 4)))[0].T)
    assert number(losses.preservation(x, x @ turn)) == pytest.approx(0, abs=1e-12)
    assert number(losses.preservation(x, x @ turn, squared=True)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_adversarial_terms_are_what_their_loops_say(kind: str, rng: np.random.Generator) -> None:
    real, fake = rng.standard_normal((5, 1)), rng.standard_normal((5, 1))
    pairs = list(zip(real[:, 0], fake[:, 0], strict=True))

    def entropy(logit: float, label: float) -> float:
        p = 1 / (1 + np.exp(-logit))
        return number(-(label * np.log(p) + (1 - label) * np.log(1 - p)))

    discriminator = {
        "least-squares": sum(r**2 + (f - 1) ** 2 for r, f in pairs) / 10,
        "vanilla": sum(entropy(r, 0) + entropy(f, 0.9) for r, f in pairs) / 10,
        "relativistic": sum(entropy(f - r, 1) for r, f in pairs) / 5,
    }
    generator = {
        "least-squares": sum(f**2 for _, f in pairs) / 10,
        "vanilla": sum(entropy(f, 0) for _, f in pairs) / 5,
        "relativistic": sum(entropy(r - f, 1) for r, f in pairs) / 5,
    }
    at = torch.as_tensor(real), torch.as_tensor(fake)
    assert number(losses.discriminator_loss(*at, kind, smoothing=0.9)) == pytest.approx(discriminator[kind])
    assert number(losses.generator_loss(*at, kind)) == pytest.approx(generator[kind])


def test_the_gradient_penalty_of_a_linear_discriminator_is_its_squared_slope(rng: np.random.Generator) -> None:
    discriminator = torch.nn.Linear(4, 1).double()
    penalty = losses.gradient_penalty(discriminator, unit_tensor(rng, 6, 4))
    assert number(penalty.detach()) == pytest.approx(number(discriminator.weight.detach().square().sum()))
    (slope,) = torch.autograd.grad(penalty, discriminator.weight)
    assert torch.allclose(slope, 2 * discriminator.weight)


def both_sides(real: Any, kind: str, fake: Any) -> Any:
    return losses.generator_loss(real, fake, kind) + losses.discriminator_loss(real, fake, kind)


@pytest.mark.parametrize("term", ["cosine", "absolute", "reflected", "squared", *KINDS])
def test_gradients_agree_with_finite_differences(term: str, rng: np.random.Generator) -> None:
    # Shorter than unit rows: the absolute difference has a kink where both diagonals are 1.
    x, y = unit_tensor(rng, 5, 4), (0.8 * unit_tensor(rng, 5, 4)).requires_grad_()
    functions: dict[str, Any] = {
        "cosine": lambda y: losses.cosine_distance(x, y),
        "absolute": lambda y: losses.preservation(x, y),
        "reflected": lambda y: losses.preservation(x, y, reflected=True),
        "squared": lambda y: losses.preservation(x, y, squared=True),
        **{kind: partial(both_sides, x, kind) for kind in KINDS},
    }
    assert torch.autograd.gradcheck(functions[term], (y,))


def test_gradients_of_the_whole_step_agree_with_finite_differences(rng: np.random.Generator) -> None:
    generator, discriminators, rows = game(rng, (5, 4), SMALL.changed(cycle_detached=False))
    layer = generator.backbone.blocks[0][0]

    step = Step(generator, discriminators, SMALL.changed(cycle_detached=False))
    name = "generator.backbone.blocks.0.0.weight"

    def loss(weight: Any) -> Any:
        return torch.func.functional_call(step, {name: weight}, (rows,))

    weight = layer.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (weight,), atol=1e-4, fast_mode=True)


class Step(torch.nn.Module):
    def __init__(self, generator: Any, discriminators: Any, s: Any) -> None:
        super().__init__()
        self.generator, self.discriminators, self.s = generator, discriminators, s

    def forward(self, rows: Any) -> Any:
        outputs = steps.forward(self.generator, rows)
        return steps.weighted_sum(steps.generator_terms(self.generator, self.discriminators, outputs, self.s), self.s)


def game(rng: np.random.Generator, widths: tuple[int, ...], s: Any) -> tuple[Any, Any, list[Any]]:
    generator = nets.Generator({f"space {k}": d for k, d in enumerate(widths)}, s).double()
    discriminators = steps.Discriminators(widths, generator.latent, s).double()
    nets.build([generator, discriminators], 0)
    return generator, discriminators, [unit_tensor(rng, 8, d) for d in widths]


def test_the_terms_of_a_step_are_the_specified_ones(rng: np.random.Generator) -> None:
    """Recomputed here from rows and outputs alone, for two spaces, as the dossier writes them."""
    generator, discriminators, (u, s) = game(rng, (5, 4), SMALL)
    outputs = steps.forward(generator, [u, s])
    terms = steps.generator_terms(generator, discriminators, outputs, SMALL)
    f_us, f_su = outputs.translations[0, 1], outputs.translations[1, 0]
    y_u = generator.decode(generator.encode(f_us, 1), 0)
    y_s = generator.decode(generator.encode(f_su, 0), 1)

    def cosine(a: Any, b: Any) -> float:
        return number((1 - torch.nn.functional.cosine_similarity(a, b)).mean())

    def vsp(a: Any, b: Any) -> float:
        return slow_preservation(a.tolist(), b.tolist(), False, True)

    d_u, d_s = discriminators.spaces
    (d_z,) = discriminators.latents
    wanted = {
        "reconstruction": (cosine(u, outputs.reconstructions[0]) + cosine(s, outputs.reconstructions[1])) / 2,
        "vsp": (vsp(u, outputs.reconstructions[0]) + vsp(s, outputs.reconstructions[1])) / 2,
        "cycle": (cosine(u, y_u) + cosine(s, y_s)) / 2,
        "cycle_vsp": (vsp(u, y_u) + vsp(s, y_s)) / 2,
        "adversarial": number((d_u(f_su) ** 2).mean() + (d_s(f_us) ** 2).mean()) / 2,
        "latent_adversarial": number((d_z(outputs.latents[0]) ** 2).mean()) / 2,
    }
    assert {name: number(term) for name, term in terms.items()} == pytest.approx(wanted)
    weights = {"reconstruction": 1, "vsp": 1, "cycle": 10, "cycle_vsp": 10, "adversarial": 1, "latent_adversarial": 1}
    assert number(steps.weighted_sum(terms, SMALL)) == pytest.approx(sum(weights[k] * v for k, v in wanted.items()))
    games = steps.discriminator_terms(discriminators, outputs, SMALL)
    one = number((d_u(u) ** 2).mean() + ((d_u(f_su) - 1) ** 2).mean()) / 2
    assert number(games["discriminator.adversarial.0"]) == pytest.approx(one)
    latent = number((d_z(outputs.latents[1]) ** 2).mean() + ((d_z(outputs.latents[0]) - 1) ** 2).mean()) / 2
    assert number(games["discriminator.latent_adversarial.0"]) == pytest.approx(latent)


def gradient_of(term: str, s: Any, rng: np.random.Generator) -> list[bool]:
    """Whether a term moves the entry and the exit of each of two spaces."""
    generator, discriminators, rows = game(rng, (5, 4), s)
    torch.autograd.backward(steps.generator_terms(generator, discriminators, steps.forward(generator, rows), s)[term])
    nets_ = [*generator.input_adapters, *generator.output_adapters]
    return [any(p.grad is not None and bool(p.grad.any()) for p in net.parameters()) for net in nets_]


def test_only_the_latents_that_are_drawn_are_moved(rng: np.random.Generator) -> None:
    assert gradient_of("latent_adversarial", SMALL, rng) == [True, False, False, False]
    assert gradient_of("latent_adversarial", SMALL.changed(latent_discriminators="all"), rng) == [
        True,
        True,
        False,
        False,
    ]


def test_the_first_leg_of_a_round_trip_moves_only_when_asked(rng: np.random.Generator) -> None:
    generator, _, rows = game(rng, (5, 4), SMALL)
    outputs = steps.forward(generator, rows)
    for detached in (True, False):
        trips = steps.round_trips(generator, outputs.translations, detached=detached)
        back = torch.autograd.grad(trips[0, 1].sum(), outputs.translations[0, 1], retain_graph=True, allow_unused=True)
        assert (back[0] is None) is detached


def test_discriminators_move_nothing_else_and_discriminators_of_weight_0_cost_nothing(rng: np.random.Generator) -> None:
    generator, discriminators, rows = game(rng, (5, 4), SMALL)
    terms = steps.discriminator_terms(discriminators, steps.forward(generator, rows), SMALL)
    torch.autograd.backward(list(terms.values()))
    assert all(p.grad is None for p in generator.parameters())
    none = SMALL.changed(adversarial=0.0, latent_adversarial=0.0)
    assert steps.discriminator_terms(discriminators, steps.forward(generator, rows), none) == {}


def test_discriminators_see_real_and_fake_rows_through_noise_of_one_length(rng: np.random.Generator) -> None:
    seen: list[Any] = []

    class Eye(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            seen.append(rows)
            return rows[:, :1]

    real, fake = torch.zeros(400, 9).double(), torch.ones(800, 9).double()
    discriminate((Eye(), real, fake), 0.6)
    discriminate((Eye(), real, fake), 0.0)
    noise = seen[0] - seen[1]
    assert torch.equal(seen[1], torch.cat([real, fake]))
    for part in (noise[:400], noise[400:]):
        assert float(part.square().sum(dim=1).mean().sqrt()) == pytest.approx(0.6, rel=0.05)


@pytest.mark.parametrize("form", ["absolute", "squared", "translated", "unpaired"])
def test_every_published_form_of_preservation_compares_its_own_rows(form: str, rng: np.random.Generator) -> None:
    s = SMALL.changed(vsp_form=form)
    generator, discriminators, rows = game(rng, (5, 4), s)
    outputs = steps.forward(generator, rows)
    term = number(steps.generator_terms(generator, discriminators, outputs, s)["vsp"])
    made = {
        "absolute": list(zip(rows, outputs.reconstructions, strict=True)),
        "squared": list(zip(rows, outputs.reconstructions, strict=True)),
        "translated": [(rows[0], outputs.translations[0, 1]), (rows[1], outputs.translations[1, 0])],
        "unpaired": [(rows[1], outputs.translations[0, 1]), (rows[0], outputs.translations[1, 0])],
    }[form]
    squared = form != "absolute"
    wanted = np.mean([slow_preservation(x.tolist(), y.tolist(), squared, False) for x, y in made])
    assert term == pytest.approx(wanted)


def test_three_spaces_have_all_their_adversarial_pairs(rng: np.random.Generator) -> None:
    s = SMALL.changed(latent_discriminators="all", adversarial_loss="relativistic", r1=0.1, r2=0.1)
    generator, discriminators, rows = game(rng, (5, 4, 6), s)
    outputs = steps.forward(generator, rows)
    assert set(outputs.translations) == {(j, k) for j, k in product(range(3), repeat=2) if j != k}
    assert len(steps.discriminator_terms(discriminators, outputs, s)) == 6
    loss = steps.weighted_sum(steps.generator_terms(generator, discriminators, outputs, s), s)
    torch.autograd.backward(loss)
    assert all(p.grad is not None for p in generator.parameters())


@pytest.mark.parametrize("form", ["translated", "unpaired"])
def test_preservation_of_translations_is_counted_once(form: str, rng: np.random.Generator) -> None:
    s = SMALL.changed(vsp_form=form)
    generator, discriminators, rows = game(rng, (5, 4), s)
    outputs = steps.forward(generator, rows)
    losses_by_weight = [
        number(steps.weighted_sum(steps.generator_terms(generator, discriminators, outputs, changed), changed))
        for changed in (s, s.changed(cycle_vsp=0.0))
    ]
    assert "cycle_vsp" not in steps.generator_terms(generator, discriminators, outputs, s)
    assert losses_by_weight[0] == pytest.approx(losses_by_weight[1])
