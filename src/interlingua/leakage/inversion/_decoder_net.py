"""The network of the text decoder; needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from interlingua.core.arrays import FloatArray
from interlingua.core.backend import default_torch

Weights = dict[str, npt.NDArray[np.float32]]


class Net(nn.Module):
    """A GRU whose first state is a projection of the vector and whose input includes the vector at every word."""

    def __init__(self, d: int, v: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(v, hidden)
        self.first = nn.Linear(d, hidden)
        self.vector = nn.Linear(d, hidden)
        self.cell = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, v)

    def begin(self, x: Tensor) -> Tensor:
        """Return the first state [1, n, h]."""
        return torch.tanh(self.first(x))[None]

    def forward(self, x: Tensor, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the next word [n, t, v] and the last state."""
        hidden, state = self.cell(self.embed(tokens) + self.vector(x)[:, None], state)
        return self.out(hidden), state


@default_torch()
def train(
    rows: FloatArray,
    tokens: npt.NDArray[np.int64],
    v: int,
    *,
    hidden: int,
    noise: float,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    device: str,
    report: Callable[[dict[str, float]], None],
) -> Weights:
    """Maximize the likelihood of each next word and return the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = Net(rows.shape[1], v, hidden).to(device)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr)
    steps = epochs * -(-len(rows) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        total = count = 0.0
        order = rng.permutation(len(rows))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            noisy = rows[chosen] + noise * rng.standard_normal(rows[chosen].shape).astype(np.float32)
            x = torch.from_numpy(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).to(device)
            t = torch.from_numpy(tokens[chosen]).to(device)
            logits, _ = net(x, t[:, :-1], net.begin(x))
            # Mask padding after the first end token.
            mask = torch.cat([torch.ones_like(t[:, :1], dtype=torch.bool), t[:, 1:-1] != t[0, -1]], dim=1)
            loss = nn.functional.cross_entropy(logits[mask], t[:, 1:][mask])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, count = total + float(loss.detach()) * len(chosen), count + len(chosen)
        report({"epoch": epoch, "loss": total / count})
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in net.state_dict().items()}


def write(
    weights: Mapping[str, npt.NDArray[np.float32]],
    rows: FloatArray,
    length: int,
    beams: int,
    marks: tuple[int, int, int],
) -> list[list[int]]:
    """Return the words of the most probable text of every row, by beam search on the mean log-probability."""
    begin, end, other = marks
    v, hidden = weights["embed.weight"].shape
    net = Net(rows.shape[1], v, hidden).eval()
    net.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in weights.items()})
    with torch.inference_mode():
        return [_one(net, torch.from_numpy(row)[None], length, beams, begin, end, other) for row in rows]


def _one(net: Net, x: Tensor, length: int, beams: int, begin: int, end: int, other: int) -> list[int]:
    texts: list[list[int]] = [[]]
    scores, state = torch.zeros(1), net.begin(x)
    tokens = torch.full((1, 1), begin)
    finished: list[tuple[float, list[int]]] = []
    for step in range(length):
        logits, state = net(x.expand(len(texts), -1), tokens, state)
        logp = logits[:, -1].log_softmax(-1)
        logp[:, [begin, other]] = -torch.inf
        if step == 0:
            logp[:, end] = -torch.inf
        values, flat = (scores[:, None] + logp).flatten().topk(2 * beams)
        v = logp.shape[1]
        kept: list[tuple[float, int, int]] = []
        for value, position in zip(values.tolist(), flat.tolist(), strict=True):
            parent, token = divmod(position, v)
            if token == end:
                finished.append((value / (step + 1), texts[parent]))
            elif len(kept) < beams:
                kept.append((value, parent, token))
        texts = [[*texts[parent], token] for _, parent, token in kept]
        scores = torch.tensor([value for value, *_ in kept])
        state = state[:, [parent for _, parent, _ in kept]]
        tokens = torch.tensor([[token] for *_, token in kept])
    finished += [(float(score) / length, text) for score, text in zip(scores, texts, strict=True)]
    return max(finished, key=lambda text: text[0])[1]
