"""One training step's arithmetic: what the networks make of a batch, and the named terms of both losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor, nn

from interlingua.neural import losses
from interlingua.neural.nets import Critic, Generator
from interlingua.neural.settings import Settings

Rows = Sequence[Tensor]
Gather = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Views:
    """What the networks make of one batch a space.

    Attributes:
        latents: raw latents [n, latent] of each space.
        rebuilt: reconstructions [n, d] of each space.
        translated: rows of space j as rows of space k, by (j, k).
    """

    latents: list[Tensor]
    rebuilt: list[Tensor]
    translated: dict[tuple[int, int], Tensor]


class Critics(nn.Module):
    """One discriminator on each space, and one or one a space on the latent space.

    Args:
        widths: of the spaces, in order.
        latent: of the latent space.
        settings: their shape, and whose latents count as real.
    """

    def __init__(self, widths: Sequence[int], latent: int, settings: Settings) -> None:
        super().__init__()
        count = len(widths)
        self.drawn_to = [count - 1] if settings.latent_critics == "one" else list(range(count))
        self.spaces = nn.ModuleList(Critic(d, settings) for d in widths)
        self.latents = nn.ModuleList(Critic(latent, settings) for _ in self.drawn_to)

    def contests(self, rows: Rows, views: Views) -> dict[str, list[tuple[nn.Module, Tensor, Tensor]]]:
        """Return (discriminator, real rows, fake rows) of every game, by the name of its term."""
        count = len(rows)
        outer = [
            (critic, rows[k], torch.cat([views.translated[j, k] for j in range(count) if j != k]))
            for k, critic in enumerate(self.spaces)
        ]
        inner = [
            (critic, views.latents[k], torch.cat([views.latents[j] for j in range(count) if j != k]))
            for k, critic in zip(self.drawn_to, self.latents, strict=True)
        ]
        return {"adversarial": outer, "latent_adversarial": inner}


def view(generator: Generator, rows: Rows) -> Views:
    """Run one batch a space through the networks, one space at a time, so that batch norms see one space at a time."""
    latents = [generator.encode(x, k) for k, x in enumerate(rows)]
    rebuilt = [generator.decode(z, k) for k, z in enumerate(latents)]
    pairs = permutations(range(len(rows)), 2)
    return Views(latents, rebuilt, {(j, k): generator.decode(latents[j], k) for j, k in pairs})


def critic_terms(critics: Critics, rows: Rows, views: Views, s: Settings, blur: float = 0.0) -> dict[str, Tensor]:
    """Return the discriminators' losses; nothing flows into the networks. Games of weight 0 are not played.

    ``blur`` is the length of the noise on the rows that they see.
    """
    terms: dict[str, Tensor] = {}
    for name, games in critics.contests(rows, views).items():
        if not getattr(s, name):
            continue
        for number, (critic, real, fake) in enumerate(games):
            real, fake = real.detach(), fake.detach()
            at_real, at_fake = _judged(critic, real, fake, blur)
            loss = losses.critic_loss(at_real, at_fake, s.adversary, smoothing=s.smoothing)
            for weight, at in ((s.r1, real), (s.r2, fake)):
                if weight:
                    loss = loss + weight * losses.gradient_penalty(critic, at)
            terms[f"critic.{name}.{number}"] = loss
    return terms


def network_terms(
    generator: Generator,
    critics: Critics,
    rows: Rows,
    views: Views,
    s: Settings,
    gather: Gather = lambda x: x,
    taught: Mapping[tuple[int, int], Tensor] | None = None,
    blur: float = 0.0,
) -> dict[str, Tensor]:
    """Return the networks' terms, unweighted and by the names of their weights; those of weight 0 are left out.

    Args:
        generator: the networks.
        critics: the discriminators; no gradient is wanted in them.
        rows: one batch a space.
        views: what the networks made of it.
        s: which terms, in which form.
        gather: joins a batch with those of the other processes, for terms that compare rows with each other.
        taught: the teacher's translations of the batch, by (from, to).
        blur: length of the noise on the rows that the discriminators see.
    """
    spaces = range(len(rows))
    terms: dict[str, Callable[[], Tensor]] = {
        "reconstruction": lambda: _mean(losses.cosine_distance(rows[k], views.rebuilt[k]) for k in spaces),
        "vsp": lambda: _preserved(rows, {(k, k): views.rebuilt[k] for k in spaces}, views, s, gather),
    }
    if s.cycle or s.cycle_vsp:
        trips = _round_trips(generator, views, detached=s.cycle_detached)
        terms["cycle"] = lambda: _mean(losses.cosine_distance(rows[j], y) for (j, _), y in trips.items())
        terms["cycle_vsp"] = lambda: _preserved(rows, trips, views, s, gather)
    if taught:
        terms["consensus"] = lambda: _mean(
            losses.cosine_distance(y, views.translated[way]) for way, y in taught.items()
        )
    for name, games in critics.contests(rows, views).items():
        terms[name] = lambda games=games: _fooled(games, s.adversary, blur)  # type: ignore[misc]
    return {name: term() for name, term in terms.items() if getattr(s, name)}


def total(terms: Mapping[str, Tensor], s: Settings) -> Tensor:
    """Return the weighted sum of the networks' terms."""
    return torch.stack([getattr(s, name) * term for name, term in terms.items()]).sum()


def _round_trips(generator: Generator, views: Views, *, detached: bool) -> dict[tuple[int, int], Tensor]:
    return {
        (j, k): generator.decode(generator.encode(y.detach() if detached else y, k), j)
        for (j, k), y in views.translated.items()
    }


def _preserved(rows: Rows, made: Mapping[tuple[int, int], Tensor], views: Views, s: Settings, gather: Gather) -> Tensor:
    """Preserve rows in reconstructions or round trips, or in translations where the form says so."""
    squared = s.vsp_form in ("squared", "translated", "unpaired")
    if s.vsp_form == "translated":
        pairs = [(rows[j], y) for (j, _), y in views.translated.items()]
    elif s.vsp_form == "unpaired":
        pairs = [(rows[k], y) for (_, k), y in views.translated.items()]
    else:
        pairs = [(rows[j], y) for (j, _), y in made.items()]
    reflected = s.vsp_form == "reflected"
    return _mean(losses.preservation(gather(x), gather(y), squared=squared, reflected=reflected) for x, y in pairs)


def _fooled(games: Sequence[tuple[nn.Module, Tensor, Tensor]], kind: str, blur: float) -> Tensor:
    """Return the sum over discriminators; real rows are given without a gradient, as the latents drawn to are."""
    return torch.stack(
        [losses.generator_loss(*_judged(critic, real.detach(), fake, blur), kind) for critic, real, fake in games]
    ).sum()


def _judged(critic: nn.Module, real: Tensor, fake: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    rows = torch.cat([real, fake])
    if blur:
        rows = rows + blur / math.sqrt(rows.shape[1]) * torch.randn_like(rows)
    at_real, at_fake = critic(rows).split([len(real), len(fake)])
    return at_real.repeat(len(fake) // len(real), 1), at_fake


def _mean(values: object) -> Tensor:
    return torch.stack(list(values)).mean()  # type: ignore[call-overload]
