"""Tables and the picture of ``neural.py`` and ``cold.py``, from their records; the documentation is built with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from records import read_records

RESULTS = Path(__file__).resolve().parent / "results"
_SIDES = ("forward", "backward")
_MAPS = {
    "rotation": "rotation",
    "faithful": "non-orthogonal map of the method `linear`",
    "teacher": "consensus of refits, the teacher",
    "network": "network, from the rotation and with this teacher",
}
_SCORES = tuple((score, side) for score in ("cosine", "top1") for side in _SIDES)
_PULLS = {
    ("discriminator", "0.5"): "discriminator, noise 0.5",
    ("discriminator", "0.1"): "noise 0.1",
    ("transport", "0.3"): "transport, temperature 0.3",
    ("transport", "0.1"): "0.1",
    ("transport", "0.05"): "0.05",
}
_TEXTS = {"debian": "package descriptions", "nq-open": "search questions"}
_Record = dict[str, Any]


def load(name: str) -> list[_Record]:
    """Return the records of ``results/neural-NAME.jsonl``; none if there is no such file."""
    path = RESULTS / f"neural-{name}.jsonl"
    return read_records(path)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """Return a Markdown table whose first ``words`` columns hold words and the others numbers."""
    lines = ["|".join(("", *columns, "")), "|" + "--|" * words + "--:|" * (len(columns) - words)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def warm(records: Sequence[_Record]) -> str:
    """Return the medians of every map of a warm start, and how far the network is from its teacher in every seed."""
    rows = [
        [label, *(f"{median(r[name][side][score] for r in records):.3f}" for score, side in _SCORES)]
        for name, label in _MAPS.items()
    ]
    columns = ["map", *(f"{score.replace('top1', 'top-1')}, {side}" for score, side in _SCORES)]
    return f"{table(columns, rows)}\n\nThe network minus its teacher, in {len(records)} seeds: {distances(records)}."


def distances(records: Sequence[_Record]) -> str:
    """Return the range over the seeds of the network's score less its teacher's, for each score and direction."""
    ranges = []
    for score, side in _SCORES:
        found = [r["network"][side][score] - r["teacher"][side][score] for r in records]
        ranges.append(f"{score.replace('top1', 'top-1')} {side} {min(found):+.4f} to {max(found):+.4f}")
    return ", ".join(ranges)


def _both(scores: _Record, score: str) -> float:
    """Return the mean of a score over both directions."""
    return sum(scores[side][score] for side in _SIDES) / len(_SIDES)


def refits(records: Sequence[_Record]) -> str:
    """Return what the consensus of a number of refits scores, medians of the mean of both directions, by kind."""
    records = [record for record in records if "counts" in record]
    rows = []
    for case, kind in dict.fromkeys((record["case"], record["kind"]) for record in records):
        same = [record["counts"] for record in records if (record["case"], record["kind"]) == (case, kind)]
        for name, score in (("cosine", "cosine"), ("top-1", "top1")):
            values = (f"{median(_both(counts[count], score) for counts in same):.3f}" for count in same[0])
            rows.append([case, kind, str(len(same)), name, *values])
        seconds = (f"{median(counts[count]['seconds'] for counts in same):.0f}" for count in same[0])
        rows.append([case, kind, str(len(same)), "seconds", *seconds])
    return table(["encoders", "rows and steps of a refit", "seeds", "", *records[0]["counts"]], rows, words=4)


def ablations(records: Sequence[_Record]) -> str:
    """Return warm starts without one part at a time: medians, and the range of the differences within each seed."""
    groups: dict[str, dict[str, _Record]] = {}
    for record in records:
        *_, name, _, seed = record["key"].split("/")
        groups.setdefault(name, {})[seed] = record
    full = groups["everything"]
    rows = []
    for name, of_seed in groups.items():
        both = [[_both(record[which], "cosine") for record in of_seed.values()] for which in ("network", "last")]
        tops = [_both(record["network"], "top1") for record in of_seed.values()]
        cells = [f"{median(both[0]):.3f}", f"{median(tops):.3f}", f"{median(both[1]):.3f}"]
        for score in ("cosine", "top1"):
            gaps = [_both(r["last"], score) - _both(full[seed]["last"], score) for seed, r in of_seed.items()]
            cells.append("" if of_seed is full else f"{min(gaps):+.3f} to {max(gaps):+.3f}")
        # Records have the former name of the discriminator.
        rows.append([name.replace("critic", "discriminator"), str(len(of_seed)), *cells])
    for name, label in _MAPS.items():
        if name != "network":
            found = [record[name] for record in full.values()]
            cosine, top1 = (f"{median(_both(each, score) for each in found):.3f}" for score in ("cosine", "top1"))
            rows.append([label, str(len(found)), cosine, top1, "", "", ""])
    columns = ["", "seeds", "cosine", "top-1", "cosine at the last step", "change of cosine", "change of top-1"]
    return table(columns, rows)


def spaces(records: Sequence[_Record]) -> str:
    """Return one network for several spaces beside one rotation for every two, medians over the seeds of a corpus."""
    groups: dict[tuple[str, int], list[_Record]] = {}
    for record in records:
        groups.setdefault((record["key"].split("/")[1], max(record["n"])), []).append(record)
    rows = []
    for (corpus, n), same in groups.items():
        for pair in same[0]["pairs"]:
            for side in _SIDES:
                cells = [
                    f"{median(record['pairs'][pair][way][side][score] for record in same):.3f}"
                    for score in ("cosine", "top1")
                    for way in ("network", "rotation")
                ]
                rows.append([f"{_TEXTS[corpus]}, {n:,} rows", pair, side, str(len(same)), *cells])
    columns = [
        "texts",
        "pair",
        "direction",
        "seeds",
        *(f"{score}, {way}" for score in ("cosine", "top-1") for way in ("network", "rotation")),
    ]
    timed = {name: [record for record in same if "round_trip" in record] for name, same in groups.items()}
    sentences = (_round_trips(*name, same) for name, same in timed.items() if same)
    return "\n\n".join([table(columns, rows, words=3), *sentences])


def _round_trips(corpus: str, n: int, records: Sequence[_Record]) -> str:
    """Return a sentence on round trips through all spaces and on the time of the fits."""
    ways = {"network": "seconds", "rotation": "rotation_seconds"}
    cosines = [median(record["round_trip"][way] for record in records) for way in ways]
    seconds = [median(record[name] for record in records) for name in ways.values()]
    return (
        f"{_TEXTS[corpus].capitalize()}, {n:,} rows: a row that goes through all spaces and back has a cosine of "
        f"{cosines[0]:.3f} with itself through the network and of {cosines[1]:.3f} through the rotations. The network "
        f"took {seconds[0]:.0f} seconds and all rotations together {seconds[1]:.0f}, on a busy machine."
    )


def signal(records: Sequence[_Record]) -> str:
    """Return how well directions of descent point at the truth, by the agreement of the rotation with it."""
    rows = []
    for record in records:
        _, pair, axes, *_ = record["key"].split("/")
        pulls = [record[kind][level] for kind, level in _PULLS]
        ranked = record["accuracy"]["0.1"]
        rows.append([pair, axes, f"{record['agreement']:.2f}", *(f"{pull:.2f}" for pull in pulls), f"{ranked:.2f}"])
    columns = ["encoders", "axes", "agreement", *_PULLS.values(), "pairs ranked correctly"]
    return table(columns, rows)


def picture(records: Sequence[_Record], path: Path) -> None:
    """Draw how well directions of descent point at the truth, in a panel for each pair and number of axes."""
    import matplotlib.pyplot as plt

    groups: dict[str, list[_Record]] = {}
    for record in records:
        groups.setdefault(", ".join(record["key"].split("/")[1:3]) + " axes", []).append(record)
    figure, panels = plt.subplots(1, len(groups), figsize=(2.6 * len(groups) + 0.6, 2.9), sharey=True, squeeze=False)
    styles = {"discriminator": ("#b5483a", "o-"), "transport": ("#2a7f62", "s-")}
    for axes, (name, found) in zip(panels[0], groups.items(), strict=True):
        found = sorted(found, key=lambda record: record["agreement"])
        for kind, (color, style) in styles.items():
            pulls = [record[kind]["0.1"] for record in found]
            axes.plot([record["agreement"] for record in found], pulls, style, color=color, ms=4, lw=1, label=kind)
        axes.axhline(0, color="#808080", lw=0.8, ls="--")
        axes.set_title(name, fontsize=8)
        axes.set(xlabel="agreement", xlim=(-0.15, 1))
    panels[0][0].set_ylabel("cosine with the way to the truth")
    panels[0][0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def climbs(records: Sequence[_Record]) -> str:
    """Return the end of the climbs that scores best without pairs, beside the truth."""
    rows = []
    for record in records:
        _, pair, axes, _ = record["key"].split("/")
        ways = {
            "random rotations": record["random"],
            "signs of the own axes": [passes[-1] for passes in record["signs"]],
        }
        for way, ends in ways.items():
            if not ends:
                continue
            best = max(ends, key=lambda end: end["similarity"])
            scores = (best["similarity"], record["truth"]["similarity"], record["after_truth"]["similarity"])
            agreements = (best["agreement"], max(end["agreement"] for end in ends), record["after_truth"]["agreement"])
            rows.append(
                [pair, axes, way, str(len(ends)), *(f"{s:.4f}" for s in scores), *(f"{a:.2f}" for a in agreements)]
            )
    columns = ("encoders", "axes", "starts", "number", "best similarity", "similarity of the truth",
               "similarity after a search from the truth", "agreement of the best", "largest agreement",
               "agreement after a search from the truth")  # fmt: skip
    return table(columns, rows)


def cold_study() -> str:
    """Return the section on cold starts: every table for which there are records."""
    sections = {
        "cold-signal": (_SIGNAL, signal),
        "cold-climbs": (_CLIMBS, climbs),
    }
    parts = [f"{text}\n\n{make(load(name))}" for name, (text, make) in sections.items() if load(name)]
    return "\n\n".join([_COLD, *parts])


def refits_and_ablations() -> str:
    """Return the sections on refits and on ablations for which there are records."""
    parts = []
    if records := load("refits"):
        parts.append(f"{_REFITS}\n\n{refits(records)}")
    if records := load("warm-ablations"):
        parts.append(f"{_ABLATIONS}\n\n{ablations(records)}")
    return "\n\n".join(parts)


_COLD = """## Started cold on real text

Search questions, 4,398 rows per side, MiniLM against itself and against Model2Vec, which was distilled from it. Rows
are in the leading principal axes of their own side. The truth is the rotation of held-out pairs, which no run sees.
Agreement is the mean cosine between translations and those of the truth."""
_SIGNAL = """**Does the gradient point at the truth?** A discriminator is trained at a rotation at some distance from
the truth. The columns give the cosine between the shortest way to the truth and the descent direction of the
discriminator, or of the optimal transport of a batch. The first row of each group is a random rotation. Random
directions have a mean cosine of 0, with a standard deviation of 0.12 in 12 axes and of 0.04 in 32, so in 32 axes
nothing points at the truth from a random rotation. Yet the discriminator recognizes translated rows: it ranks them
above real ones in 86% and 94% of random pairs of rows (last column):

```{image} cold-signal.svg
:alt: Cosine of the descent with the way to the truth against agreement, for discriminators and for optimal transport
```"""
_CLIMBS = """**Does a search reach the truth?** Rotations follow the transport of batches at a falling temperature, from
random rotations, or from the principal axes of each side, with random signs that are then improved one after the other.
The result with the best similarity is shown; choosing it needs no pairs. Where its similarity is as high as that of the
truth, similarity cannot distinguish the truth from wrong rotations in so few axes:"""
_REFITS = """## How many refits the teacher needs

Mean of both directions, medians over the seeds. The teacher is the consensus of so many refits of the same linear fit,
each from a random half of the rows unless the table says otherwise. Seconds are processor time of the refits, and one
seed is too few for the last digit. Because most of the gain comes from the first refits, a warm start makes 12; the
teacher of the table above has 40."""
_ABLATIONS = """## Without one part at a time

The small data of `interlingua demo`: 2,000 of its rows per side in 128 axes, another half for each seed. Warm start, 60
steps of the preset `small`. Mean of both directions, medians over the seeds. The first columns are of the snapshot that
is kept, which may be the start. The last two are the range over the seeds of the difference from *everything* at the
last step:"""
