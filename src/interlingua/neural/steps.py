"""One training step's arithmetic: the networks' outputs for a batch, and the terms of both losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor, nn

from interlingua.neural import losses
from interlingua.neural.nets import Discriminator, Generator
from interlingua.neural.settings import Settings
from interlingua.neural.terms import TERMS, AdversarialPair, LossTerm, StepOutputs, discriminate

__all__ = ["Discriminators", "discriminator_terms", "forward", "generator_terms", "round_trips", "weighted_sum"]

_Rows = Sequence[Tensor]


class Discriminators(nn.Module):
    """One discriminator for each space, and one or several for the latent space.

    Args:
        widths: of the spaces, in order.
        latent: width of the latent space.
        settings: their shape, and whose latents count as real.
    """

    def __init__(self, widths: Sequence[int], latent: int, settings: Settings) -> None:
        super().__init__()
        count = len(widths)
        self.real_latents = [count - 1] if settings.latent_discriminators == "one" else list(range(count))
        self.spaces = nn.ModuleList(Discriminator(d, settings) for d in widths)
        self.latents = nn.ModuleList(Discriminator(latent, settings) for _ in self.real_latents)

    def adversarial_pairs(self, outputs: StepOutputs) -> dict[str, list[AdversarialPair]]:
        """Return every discriminator with its real and fake rows, by the name of the loss term."""
        count = len(outputs.rows)

        def others(k: int) -> list[int]:
            return [j for j in range(count) if j != k]

        spaces = [
            (net, outputs.rows[k], torch.cat([outputs.translations[j, k] for j in others(k)]))
            for k, net in enumerate(self.spaces)
        ]
        latents = [
            (net, outputs.latents[k], torch.cat([outputs.latents[j] for j in others(k)]))
            for k, net in zip(self.real_latents, self.latents, strict=True)
        ]
        return {"adversarial": spaces, "latent_adversarial": latents}


def forward(generator: Generator, rows: _Rows) -> StepOutputs:
    """Run one batch of each space through the networks, one space at a time.

    Batch norms therefore see one space at a time, as in the released code.
    """
    latents = [generator.encode(x, k) for k, x in enumerate(rows)]
    reconstructions = [generator.decode(z, k) for k, z in enumerate(latents)]
    translations = {(j, k): generator.decode(latents[j], k) for j, k in permutations(range(len(rows)), 2)}
    return StepOutputs(rows, latents, reconstructions, translations)


def discriminator_terms(
    discriminators: Discriminators, outputs: StepOutputs, s: Settings, *, instance_noise: float = 0.0
) -> dict[str, Tensor]:
    """Return the discriminators' losses by name; the networks receive no gradient.

    A discriminator whose term has weight 0 in the generator's loss is not trained.
    """
    weights = {term.name: term.weight_in(s) for term in TERMS}
    terms: dict[str, Tensor] = {}
    for name, pairs in discriminators.adversarial_pairs(outputs).items():
        if not weights[name]:
            continue
        for number, (net, real, fake) in enumerate(pairs):
            real, fake = real.detach(), fake.detach()
            at_real, at_fake = discriminate((net, real, fake), instance_noise)
            loss = losses.discriminator_loss(at_real, at_fake, s.adversarial_loss, smoothing=s.smoothing)
            for weight, at in ((s.r1, real), (s.r2, fake)):
                if weight:
                    loss = loss + weight * losses.gradient_penalty(net, at)
            terms[f"discriminator.{name}.{number}"] = loss
    return terms


def generator_terms(
    generator: Generator,
    discriminators: Discriminators,
    outputs: StepOutputs,
    s: Settings,
    *,
    terms: Sequence[LossTerm] = TERMS,
    teacher_targets: Mapping[tuple[int, int], Tensor] | None = None,
    instance_noise: float = 0.0,
    gather: Callable[[Tensor], Tensor] = lambda x: x,
) -> dict[str, Tensor]:
    """Return the generator's terms by name, unweighted; those of weight 0 are left out.

    Args:
        generator: the networks.
        discriminators: receive no gradient if they require none.
        outputs: of one batch, from `forward`.
        s: settings of the step.
        terms: the table of terms.
        teacher_targets: the teacher's translations of the batch, by (from, to); terms that need them are left out
            without.
        instance_noise: length of the noise on discriminator inputs.
        gather: joins a batch with those of the other processes.
    """
    active = [term for term in terms if term.weight_in(s) and (teacher_targets or "teacher_targets" not in term.needs)]
    needs_trips = any("round_trips" in term.needs for term in active)
    outputs = replace(
        outputs,
        settings=s,
        round_trips=round_trips(generator, outputs.translations, detached=s.cycle_detached) if needs_trips else {},
        teacher_targets=teacher_targets or {},
        adversarial_pairs=discriminators.adversarial_pairs(outputs),
        instance_noise=instance_noise,
        gather=gather,
    )
    return {term.name: term.value(outputs) for term in active}


def weighted_sum(values: Mapping[str, Tensor], s: Settings, terms: Sequence[LossTerm] = TERMS) -> Tensor:
    """Return the generator's loss: the sum of its terms, each times its weight."""
    weights = {term.name: term.weight_in(s) for term in terms}
    return torch.stack([weights[name] * value for name, value in values.items()]).sum()


def round_trips(
    generator: Generator, translations: Mapping[tuple[int, int], Tensor], *, detached: bool
) -> dict[tuple[int, int], Tensor]:
    """Return translations of space j to space k translated back to j, by (j, k).

    Args:
        generator: the networks.
        translations: unit rows [n, d_k] by (j, k).
        detached: stop the gradient between the two translations.
    """
    return {
        (j, k): generator.decode(generator.encode(y.detach() if detached else y, k), j)
        for (j, k), y in translations.items()
    }
