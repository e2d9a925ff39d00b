"""Pages made from the code and the raw benchmark records at every build, and pictures made from the same records.

    python docs/generate.py

draws the pictures in `docs/pictures` again, which is needed after their records have changed; a test says so.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

_KINDS = {"debian": "package descriptions", "nq-open": "questions", "medquad": "medical", "clickbait": "headlines"}
# Corpora of the paper's tables.
_CORPORA = {
    "debian": "package descriptions (debian)",
    "nq": "search questions (nq-open)",
    "opentriviaqa": "trivia questions (opentriviaqa)",
    "wiki-split": "sentences of Wikipedia (wiki-split)",
    "clickbait": "headlines (clickbait)",
}
_FEWEST = 50
_MARKS = {"aligned": "●", "doubtful": "○", "failed": "×"}
_COLORS = {"good": "#2a7f62", "partial": "#c98a1b", "bad": "#b5483a"}


def write(folder: Path) -> None:
    """Write the command reference, the table of stores, and the benchmark tables with the pictures of other methods."""
    folder.mkdir(exist_ok=True)
    (folder / "cli.md").write_text(commands(), "utf-8")
    (folder / "stores.md").write_text(stores(), "utf-8")
    (folder / "foreign.md").write_text(foreign(), "utf-8")
    (folder / "presets.md").write_text(presets(), "utf-8")
    (folder / "reduced.md").write_text(reduced(), "utf-8")
    (folder / "public-pairs.md").write_text(public_pairs(), "utf-8")
    for name, page in benchmarks().items():
        (folder / f"{name}.md").write_text(page, "utf-8")
    (folder / "estimates.md").write_text(estimates(), "utf-8")
    retrieval(folder)
    (folder / "journey.md").write_text(journey(), "utf-8")
    _style()
    import neural_tables as n
    import peers as p

    p.picture(_records(RESULTS / "peers.jsonl"), folder / "peers.svg")
    p.costs(_records(RESULTS / "peers.jsonl"), folder / "peers-costs.svg")
    if pulls := n.load("cold-signal"):
        n.picture(pulls, folder / "cold-signal.svg")


def commands() -> str:
    """Return what every command does, with examples and a table of its options."""
    import os

    # The width of the terminal must not change the page.
    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "96"
    import typer

    from interlingua.cli import app
    from interlingua.cli.help import EXAMPLES, groups_of

    group: Any = typer.main.get_command(app)
    context = group.make_context("interlingua", ["doctor"], resilient_parsing=True)
    parts = ["# Commands", "", group.help, "", _with_code(group.epilog), ""]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        with command.make_context(name, [], parent=context, resilient_parsing=True) as own:
            usage = " ".join(command.collect_usage_pieces(own))
            examples = "\n".join(EXAMPLES[name])
            parts += [
                f"## {name}",
                "",
                f"`interlingua {name} {usage}`",
                "",
                _with_code(inspect.cleandoc(command.help)),
                "",
            ]
            parts += ["```bash", examples, "```", ""]
            for title, records in groups_of(command, own).items():
                parts += [f"| {title} | |", "|---|---|"]
                parts += [f"| {_cell(option)} | {_cell(text, code=False)} |" for option, text in records] + [""]
    return "\n".join(parts)


def _cell(text: str, *, code: bool = True) -> str:
    """Return text for a cell of a Markdown table, by default as code."""
    plain = text.replace("|", "\\|")
    return f"`{plain}`" if code else _with_code(plain.replace("<", "&lt;").replace("*", "\\*"))


def _with_code(text: str) -> str:
    """Return prose with its options and commands as code; as text, two hyphens would become a dash."""
    return re.sub(r"(?<![`\w-])(interlingua [a-z]+(?: --[a-z-]+)?|--[a-z][a-z-]*)(?!`)\b", r"`\1`", text)


def stores() -> str:
    """Return a table of every store: how to address it, what it keeps, and where its secret is read from."""
    from interlingua.stores import STORES

    payloads = {"typed": "typed columns", "documents": "JSON documents", "none": "none"}
    ids = {"int": "whole numbers", "text": "text"}
    parts = [
        "| store | address | extra | ids | payload | metrics | second vector | opened to read | secret |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in STORES.values():
        can = kind.load().capabilities
        parts.append(
            f"| {kind.title} | {', '.join(f'`{address}`' for address in kind.addresses)} "
            f"| {f'`{kind.extra}`' if kind.extra else ''} | {', '.join(ids[name] for name in can.ids)} "
            f"| {payloads[can.payload]} | {', '.join(can.metrics)} | {'yes' if can.adds_vectors else 'no'} "
            f"| {'in place' if can.reads_only else 'as a copy'} "
            f"| {f'`{kind.secret}`' if kind.secret else ''} |"
        )
    selects = {"where": "`--where`, `--since`", "skip_null": "`--skip-null`"}
    parts += [
        "",
        "Payload of a kind in the column *refused* is refused before anything is made. A kind in the column *changed*",
        "is kept in another type, and the plan names each such column. All other kinds are kept as they are.",
        "The columns *--catch-up* and *--delete-vanished* say for which targets `interlingua migrate` has the options.",
        "",
        "| scheme | rows can be selected by | `--catch-up` | `--delete-vanished` | refused | changed | limits |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in STORES.values():
        can = kind.load().capabilities
        refused, changed = (", ".join(names).replace("_", " ") or "none" for names in (can.refuses, can.changes))
        parts.append(
            f"| `{kind.scheme}` | {', '.join(selects[name] for name in can.selects) or 'nothing'} "
            f"| {'no' if can.appends else 'yes'} | {'yes' if can.deletes and not can.appends else 'no'} "
            f"| {refused if can.payload != 'none' else 'all'} | {changed} "
            f"| {can.limits} |"
        )
    return "\n".join(parts) + "\n"


def estimates() -> str:
    """Return the errors of an audit's estimates, and every case behind them."""
    import calibration as c

    records = _records(RESULTS / "leakage-calibration.jsonl")
    return f"""{c.summary(records)}

How often these ranges hold for a corpus that they were not measured on, with the range of the other corpora:

{c.coverage(records)}

Every case, measured / estimated:

{c.every_case(records)}
"""


def presets() -> str:
    """Return the settings in which the presets of the networks differ, a column for each preset and start."""
    from interlingua.neural.presets import PRESETS
    from interlingua.neural.settings import Settings

    values = {f"{name} {start}": settings for (name, start), settings in PRESETS.items()}
    parts = [f"| setting | {' | '.join(values)} |", f"|---|{'--:|' * len(values)}"]
    for setting in Settings.describe():
        cells = [str(getattr(settings, setting.name)) for settings in values.values()]
        if len(set(cells)) > 1:
            parts.append(f"| `{setting.name}` | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def foreign() -> str:
    """Return the table of wrong vectors and how many of them are refused."""
    from foreign import table

    return str(table(_records(RESULTS / "foreign.jsonl")))


def reduced() -> str:
    """Return the table of batches in spaces that were reduced by PCA."""
    from reduced import table

    return str(table(_records(RESULTS / "reduced.jsonl")))


def public_pairs() -> str:
    """Return the tables of fits on public texts beside fits without pairs, one for each old encoder."""
    from public_pairs import ENCODERS, table

    records = _records(RESULTS / "public-pairs.jsonl")
    titles = ("From the Universal Sentence Encoder to MiniLM:", "From WordLlama to MiniLM:")
    return "\n\n".join(f"{title}\n\n{table(records, pair)}" for title, pair in zip(titles, ENCODERS, strict=True))


def journey() -> str:
    """Return the last recorded journey through the guide, or nothing while there is none."""
    from journey import estimate, table, verdict

    path = RESULTS / "journey.jsonl"
    if not path.is_file():
        return ""
    record = _records(path)[-1]
    cores = "one core" if record["cores"] == 1 else f"{record['cores']} cores"
    before, after = record["load_before"], record["load_after"]
    return f"""A recorded run of all steps on {record["items"]:,} rows, with {record["new_model"]:,} vectors of the new
model, on {cores}. Other work on the machine made a load of {before} at the beginning and {after} at the end, so
that the steps took longer than on an idle machine (`benchmarks/journey.py`):

{table(record)}

The fit was {verdict(record)}.

Before that, `plan` said: {estimate(record)}. It assumed a fit that reads up to 20,000 rows of each side; the fit of the
guide draws 10,000 rows of the source.
"""


def retrieval(folder: Path) -> None:
    """Write the tables of search quality by route, of the cascade, and of decisions at thresholds."""
    import retrieval as r
    import score_calibration as s
    import texts_in_part as p

    records = _records(RESULTS / "retrieval.jsonl")
    (folder / "retrieval-judged.md").write_text(r.table(records, "judged", "ndcg"), "utf-8")
    (folder / "retrieval-own.md").write_text(r.table(records, "own", "recall"), "utf-8")
    (folder / "cascade.md").write_text(r.cascade_table(records), "utf-8")
    (folder / "texts-in-part.md").write_text(p.table(_records(RESULTS / "texts-in-part.jsonl")), "utf-8")
    (folder / "score-calibration.md").write_text(s.table(_records(RESULTS / "score-calibration.jsonl")), "utf-8")


def benchmarks() -> dict[str, str]:
    """Return the pages of the benchmarks by name, one page for each question."""
    import fidelity as f
    import fit_costs as c
    import large as l
    import neural_tables as n
    import oracles as o
    import peers as p
    import peers_paired as pp
    import tables as t

    records, large, costs = t.load(), *(_records(RESULTS / name) for name in ("large.jsonl", "fit-costs.jsonl"))
    paths = sorted((RESULTS / "paper").glob("*.jsonl"))
    paper = "\n".join(_paper_tables(path.stem, _records(path)) for path in paths)
    return {
        "benchmarks": f"""# How good is it?

Fits of the method `linear`, from the raw records in `benchmarks/results`. Source, target and held-out texts are
disjoint, and no fit saw a pair. Top-1 is the share of held-out texts whose translation is nearest to the true vector.
Its range is over all cases, seeds and both directions. Where other pages give a range for BGE to MiniLM, it is that of
more records in the direction to MiniLM only, so its ends differ a little.

{t.overview(records)}

BGE to MiniLM by the number of rows per side, a dot for each seed:

```{{image}} ../pictures/sizes.svg
:alt: Top-1 against rows per side, BGE to MiniLM, a dot for each seed
```

A group of texts of one kind can be mapped to the wrong place while everything else is correct, and the verdict does not
detect it. `benchmarks/README.md` lists all scripts and records; `benchmarks/notes` has the details.

```{{toctree}}
:maxdepth: 1

encoders
methods
networks
verdict
oracles
scale
paper
fits
```
""",
        "encoders": f"""# Which encoders can be aligned?

Top-1 from the encoder of the row to that of the column, about 5,000 rows per side; ● aligned, ○ doubtful, × failed.
{len(_records(RESULTS / "grid.jsonl"))} cells have been measured; the others are empty. {t.grid_summary()}

{t.reach_summary()}

```{{image}} ../pictures/grid.svg
:alt: Top-1 and verdict of fits between six encoders on four corpora
```
{_pictures()}
""",
        "methods": f"""# What do other methods reach?

Methods without pairs on the same rows, in one run with one thread for each fit: top-1, the median of two seeds. The
first three columns differ in the rows per side, the fourth has package descriptions, and "other domain" has questions
on one side and headlines on the other. Seconds are processor time in the first column.
[Compared with other tools](../compare.md) says what each method needs.

{p.summary(_records(RESULTS / "peers.jsonl"))}

The pictures name methods as `method=` does: `adversarial` are vec2vec's networks, and `random-rotation` is a control.
The lines join medians:

```{{image}} peers.svg
:alt: Top-1 of every method against rows per side
```

Every fit is a dot; the worst seed of a case has a ring:

```{{image}} peers-costs.svg
:alt: Top-1, seconds and peak memory of every fit by method
```
{_paired(pp)}
## Details

Without pairs, all cases; the mean rank is that of the true match among 2,048:

{p.table(_records(RESULTS / "peers.jsonl"))}
""",
        "networks": f"""# What do the networks of vec2vec add?

## Started from the linear alignment

BGE to MiniLM, 4,398 rows per side, method `adversarial` with its warm start. Medians over
{len(n.load("warm"))} seeds, 2,048 held-out texts:

{n.warm(n.load("warm"))}

The teacher is one affine map, the mean of maps that were fitted on random halves of the rows. It has the highest median
cosine without any network. The non-orthogonal map of the method `linear` has the highest median top-1. So `align` uses
the method `linear` unless another one is named; the networks are for research, and for the latent space that three and
more spaces share.

{n.refits_and_ablations()}

## One network for several spaces

Disjoint texts for each encoder, beside one rotation for every two spaces. Medians over the seeds:

{n.spaces(n.load("spaces"))}

{n.cold_study()}
""",
        "verdict": f"""# Is the verdict right?

All recorded fits of method `linear`, judged by the limits of this version.
[How far to trust it](../trust.md) explains the verdict.

{t.confusion(t.judged())}

The same for the fits that were made after the limits had been chosen:

{t.confusion([r for r in t.judged() if t._held_out(r)])}
""",
        "oracles": f"""# How far is it from optimal transport with the same texts?

MiniLM to other encoders, and BGE to MiniLM, on 512 held-out texts; medians over seeds. The first columns are of the
unpaired map; *aligned* counts its verdicts. The others show top-1 / mean rank of the vectors without translation
(*naive*) and of optimal transport, which is given the same texts on both sides. A mean rank of 256.5 is chance.

{o.table(_records(RESULTS / "oracles.jsonl"))}

## And from a paired map?

Search questions, Universal Sentence Encoder to MiniLM, 4,976 rows a side or as many pairs, and 2,048 held-out texts.
Recall at 10 compares the nearest texts of a translation with those of the true vector. *Unpaired* is the map of
`linear`. The other rows without pairs are experiments that change it, each with the weight that has the best recall of
documents:

{f.table(_records(RESULTS / "fidelity.jsonl"), "questions")}

The same for 24,000 rows a side of six corpora, of which a fit without pairs draws 20,000:

{f.table(_records(RESULTS / "fidelity.jsonl"), "pooled")}

With 24,000 rows:

- A regression (on mutual neighbors or a soft assignment) with a weight of 0.5 closes half of the distance to ridge in
  cosine and a third in recall, but top-1 falls by 0.02 to 0.03. The evidence without pairs does not show this loss:
  refits on halves agree more, the larger the weight is, and all of their translations find themselves.
- Local maps of 8 clusters close a quarter in cosine and a third in recall, and top-1 falls by 0.002.
- Local rotations raise all scores. With a regression at a weight of 0.3 they close about half of the distance in cosine
  and more in recall, with no loss of top-1. They were chosen by the paired scores, on one seed.

`linear` uses none of these changes.
""",
        "scale": f"""# How large can it be?

Runs on one machine (`benchmarks/large.py`; {l.machines(large)}). Every migrated
row was compared afterwards. Memory is that of the process, and in brackets with the pages of mapped files, which the
system can drop. The vectors of these fits are planted: mixtures of real vectors and noise, each side with its own
random rotation. They have the spectrum of real vectors, so they show speed and memory, but not how well real models of
such a width are aligned.

{l.table(large)}

## What a fit of a million rows uses

- **All rows are read and checked** for NaN, infinity and zeros. A `.npy` file is mapped and not copied into memory.
- **20,000 rows of each side are drawn at random** with the seed, and everything else reads these; `max_rows` in Python
  and `--sample` change the number. Time and memory grow with the rows that are drawn, not with the size of the file.
- Time also grows with the cube of the widths, if both are large: from 1,024 to 2,048 columns by a factor of 4.6 in the
  table.
- A store is read in pages, of which only the drawn rows are kept, and so is a file with `--sample`.

## What a fit costs

`interlingua plan` times a fixed piece of the same work, so other work on the machine slows the estimate as well as the
fit. These are estimates that the plan printed beside the fits that followed (`benchmarks/fit_costs.py`), in seconds of
wall-clock time:

{c.planned_table(costs)}

More recorded fits, beside what the plan would have estimated from the mean speed of the machine right before and right
after each. All ran on {costs[0]["machine"]["cores"]} cores of an {costs[0]["machine"]["processor"]} with a load of
{min(r["load"] for r in costs)} to {max(r["load"] for r in costs)}. A fit that finds no map searches longer:

{c.table(costs)}

## What a migration uses

One page of rows at a time, 4,096 by default, and a journal with a digest of 16 bytes for each row. Each row is read
three times: to survey it, to copy it, and to compare the source at the end. A run that is killed continues from its
journal. The memory in the table is that of a version whose check at the end held all vectors of a target file. The
check searches files page by page, which takes half of this peak for a million rows.

## 100,000,000 rows on Ray

This is calculated from the measured rate of one core. It is not a measurement.
{l.capacity(_records(RESULTS / "scale.jsonl"))}

- Each worker reads, translates and writes parts of its own and no vector passes through Ray, so the rate grows with the
  workers until the disks are the limit (last two columns).
- A part has about 65,536 rows, which makes 1,526 parts. A worker or a node that dies loses the part that it was
  writing, seconds of work, and Ray gives it to another worker. In the run above a worker and then a whole node were
  killed, and no row was lost.
- Ray's start and the first import of the package on each worker take 10 to 15 seconds, more on a loaded machine.
- Ray writes files, not stores: `migrate` is one process. For so many rows, translate exported files with Ray and let
  the database load them.
""",
        "paper": f"""# What do the tables of the vec2vec paper look like here?

Made by `interlingua bench`, under encoders that run on a laptop. {_fitted_corpora(paths)} `tweets` are 1,000 tweets
with the paper's 19 topics, `enron` are e-mails of the company whose e-mails the paper has, and `notes` are medical
notes other than the paper's (mtsamples, CC0), with 40 specialties instead of 2,673 descriptions. For pairs of
encoders that the paper does not have, the paper's columns show the range over its own pairs.

{paper}
""",
        "fits": f"""# Every fit

Median (worst) over the seeds of a case; f / b are forward and backward.

{t.summary(records)}
""",
    }


def _fitted_corpora(paths: Sequence[Path]) -> str:
    """Return a sentence on the corpora of fits of the paper's tables and their rows."""
    rows = {record["corpus"]: max(record["rows"]) for path in paths for record in _records(path)}
    sizes = {n: [_CORPORA[name] for name, count in rows.items() if count == n] for n in rows.values()}
    parts = [f"{', '.join(names)} with {n:,} rows per side" for n, names in sizes.items()]
    return f"Fits are on {'; '.join(parts)}."


def _paired(pp: Any) -> str:
    """Return the section on methods with pairs, or nothing while there is no record."""
    path = RESULTS / "peers-paired.jsonl"
    if not path.is_file():
        return ""
    records = _records(path)
    texts = "; ".join(pp.KINDS[name.partition(":")[0]] for name in pp.complete_cases(records))
    return f"""
## Methods with pairs

Methods with pairs are given some of the same texts under both encoders. All are measured on the same 2,048 held-out
texts: {texts}.
Top-1, medians over the seeds that have been run; '–' was not run. Seconds are processor time of the first column, and
in some records (those without `version`) those of the first fit include the imports:

{pp.table(records)}

The fewest pairs with which each method is better than interlingua without pairs. Only the numbers of pairs in the table
above were tried, for the MLPs 100, 1,000 and 5,000:

{pp.winners(records)}

The MLP of isotrieve is that of the package; the other MLP is ours, with the width of Drift-Adapter.
"""


def _pictures() -> str:
    """Return the section on vectors of pictures, or nothing while there is no record."""
    import images as i

    path = RESULTS / "images.jsonl"
    if not path.is_file():
        return ""
    records = _records(path)
    return f"""
## Pictures

EfficientNet-Lite0 to EfficientNet-Lite2, whose weights come with Python packages, on emoji and the stamps of Tux Paint
(photographs and drawings of single things). Each picture is used twice on the same side, as it is and cropped. Source,
target and {records[0]["held"]} held-out pictures are disjoint; forward / backward:

{i.table(records)}
"""


def _paper_tables(name: str, records: list[dict[str, Any]]) -> str:
    """Return one table for each corpus that fits were made on; pairs and columns of two corpora have the same names."""
    from interlingua.bench import TABLES, page

    title, parts = TABLES[name].title, []
    for corpus in dict.fromkeys(record["corpus"] for record in records):
        table = page(name, [record for record in records if record["corpus"] == corpus])
        parts.append(_without_empty_columns(table.replace(title, f"{title}: fits on {_CORPORA[corpus]}", 1)))
    return "\n".join(parts)


def _without_empty_columns(text: str) -> str:
    """Return Markdown without table columns that are empty in every row, or of which the paper has nothing."""
    blocks: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.startswith("|") != bool(blocks[-1] and blocks[-1][0].startswith("|")):
            blocks.append([])
        blocks[-1].append(line)
    return "\n".join(line for block in blocks for line in _drop_columns(block))


def _drop_columns(lines: list[str]) -> list[str]:
    if not lines or not lines[0].startswith("|"):
        return lines
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    kept = [i for i in range(len(rows[0])) if any(row[i] not in ("", "none") for row in rows[2:])]
    return [f"| {' | '.join(row[i] for i in kept)} |" for row in rows]


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def pictures(folder: Path) -> None:
    """Draw the pictures of the committed pages: top-1 against rows, evidence of fits, calibration of keywords.

    They are committed, so that the pages show them in a fresh clone. Each holds the digest of the points that it shows.
    """
    gray, plt = _style()
    from interlingua.aligners.verdict import EXCESS_LIMITS, LIFT_LIMITS

    folder.mkdir(exist_ok=True)
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    points = size_points()
    axes.plot(*zip(*points, strict=True), "o", color=_COLORS["good"], alpha=0.35, ms=6)
    axes.set(xscale="log", xlabel="rows per side", ylabel="top-1 of 2,048 held-out texts", ylim=(-0.03, 1.03))
    sizes = (250, 500, 1000, 2000, 4398)
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    _save(figure, folder / "sizes.svg", points)

    cells = size_cells()
    titles = list(dict.fromkeys(title for title, *_ in cells))
    figure, panels = plt.subplots(1, len(titles), figsize=(7.2, 3.6), sharey=True)
    counts = sorted({n for _, *sizes, _ in cells for n in sizes})
    for axes, title in zip(panels, titles, strict=True):
        shades = np.full((len(counts), len(counts)), np.nan)
        for _, n, m, top1 in (cell for cell in cells if cell[0] == title):
            row, column = counts.index(n), counts.index(m)
            shades[row, column] = top1
            color = "white" if top1 > 0.7 else "black"
            axes.text(column, row, f"{top1:.2f}", ha="center", va="center", fontsize=7, color=color)
        axes.imshow(shades, vmin=0, vmax=1, cmap="YlGn", origin="lower")
        axes.set_xticks(range(len(counts)), [f"{n:,}" for n in counts], rotation=90)
        axes.set_yticks(range(len(counts)), [f"{n:,}" for n in counts])
        axes.set(xlabel="target rows", title=title)
    panels[0].set_ylabel("source rows")
    _save(figure, folder / "unequal-sizes.svg", cells)

    figure, axes = plt.subplots(figsize=(6.4, 3.9))
    evidence = evidence_points()
    labels = {"good": "right (top-1 at least 0.5)", "bad": "wrong"}
    for kind, color in _COLORS.items():
        shown = [point[1:] for point in evidence if point[0] == kind]
        axes.plot(*zip(*shown, strict=True), "o", color=color, alpha=0.6, ms=6, mew=0, label=labels.get(kind, kind))
    axes.axvline(EXCESS_LIMITS[0], color=gray, lw=0.8, ls="--")
    axes.axhline(LIFT_LIMITS[0], color=gray, lw=0.8, ls="--")
    axes.set(xlabel="transport excess over random starts (under -10 drawn at -10)", ylabel="refits, above their null")
    axes.legend(frameon=False)
    _save(figure, folder / "evidence.svg", evidence)

    curves = calibration(_records(RESULTS / "leakage-keywords.jsonl"))
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    axes.plot([0, 1], [0, 1], "--", color=gray, lw=0.8)
    for (name, curve), marker in zip(curves.items(), "osD^v<>PXph*" * 3, strict=False):
        axes.plot([p[0] for p in curve], [p[1] for p in curve], f"{marker}-", ms=4, lw=0.8, alpha=0.8, label=name)
    axes.set(xlabel="probability claimed", ylabel="share of claims that are right", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7)
    _save(figure, folder / "calibration.svg", curves)

    cells = grid_points()
    columns = list(dict.fromkeys(corpora for corpora, *_ in cells))
    figure, panels = plt.subplots(1, len(columns), figsize=(2.6 * len(columns) + 1.2, 3.4), sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for cell in cells for name in cell[1:3]))
    for axes, corpora in zip(panels[0], columns, strict=True):
        shades = np.full((len(names), len(names)), np.nan)
        for _, source, target, top1, status in (cell for cell in cells if cell[0] == corpora):
            row, column = names.index(source), names.index(target)
            shades[row, column] = top1
            axes.text(column, row, _MARKS[status], ha="center", va="center", fontsize=9, color="black")
        image = axes.imshow(shades, vmin=0, vmax=1, cmap="YlGn")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set_title(corpora, fontsize=9, color=gray)
    figure.colorbar(image, ax=panels[0].tolist(), label="top-1", shrink=0.7)
    _save(figure, folder / "grid.svg", cells, tight=False)


def grid_points() -> list[tuple[str, str, str, float, str]]:
    """Return corpora, encoders, forward top-1 and verdict by the limits of this version of every fit of the grid."""
    import grid as g
    import tables as t

    def name(corpora: list[str]) -> str:
        return corpora[0] if corpora[0] == corpora[1] else f"{corpora[0]}\nto {corpora[1]}"

    records = _records(RESULTS / "grid.jsonl")
    records.sort(key=lambda r: (r["corpora"][0] != r["corpora"][1], *map(g.CORPORA.index, r["corpora"])))
    ordered = [(name(r["corpora"]), *r["encoders"], r["forward"]["top1"], t._judged(r)) for r in records]
    return sorted(ordered, key=lambda cell: (g.ENCODERS.index(cell[1]), g.ENCODERS.index(cell[2])))


def size_points() -> list[tuple[int, float]]:
    """Return rows per side and top-1 of every fit of BGE to MiniLM with the linear method."""
    fits = [r for r in _linear_fits() if r["case"] == "bge -> minilm"]
    return [(r["n_source"], r["forward"]["top1"]) for r in fits]


def size_cells() -> list[tuple[str, int, int, float]]:
    """Return title, rows of source and target, and median forward top-1 of BGE to MiniLM, without and with views."""
    records = [r for r in _linear_fits() if r["case"] == "bge -> minilm"]
    # Records with a budget are older than the second search by default.
    queries = [r for r in _records(RESULTS / "solver.jsonl") if not r["repeated"] and not r.get("texts")]
    records += [r for r in queries if "/default" in r["key"]]
    found = []
    for title, fits in {"vectors alone": records, "with three views": _records(RESULTS / "views.jsonl")}.items():
        by_size: dict[tuple[int, int], list[float]] = {}
        for r in fits:
            by_size.setdefault((r["n_source"], r["n_target"]), []).append(r["forward"]["top1"])
        found += [(title, *size, float(np.median(values))) for size, values in sorted(by_size.items())]
    return found


def evidence_points() -> list[tuple[str, float, float]]:
    """Return the kind, transport excess and smaller agreement of refits above its null of every linear fit."""
    import tables as t

    points = []
    for r in _linear_fits():
        evidence = {e["name"]: e for e in r["verdict"]["evidence"]}
        lifts = [(e["value"] - e["null"]) / (1 - e["null"]) for e in (evidence["refit_agreement"], evidence["cycle"])]
        points.append((t._kind(r).split()[0], max(evidence["transport_excess"]["value"], -10), min(lifts)))
    return points


def digest(points: Any) -> str:
    """Return 16 hex digits of the points of a picture, rounded to what can be seen."""
    rounded = json.loads(json.dumps(points), parse_float=lambda text: round(float(text), 4))
    return hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()[:16]


def _linear_fits() -> list[dict[str, Any]]:
    import tables as t

    return [r for r in t.load() if r["method"] == "linear"]


def _style() -> tuple[str, Any]:
    """Set the style of all pictures; return the gray that reads on light and on dark pages, and pyplot."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    gray = "#808080"
    plt.rcParams |= {"svg.hashsalt": "interlingua", "svg.fonttype": "none", "font.size": 10, "axes.edgecolor": gray,
                     "axes.labelcolor": gray, "xtick.color": gray, "ytick.color": gray, "text.color": gray,
                     "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
    return gray, plt


def calibration(records: list[dict[str, Any]]) -> dict[str, list[tuple[float, float, int]]]:
    """Return, for each kind of text and pair of encoders, (probability claimed, share right, claims) by tenths.

    Seeds are pooled. Tenths with fewer than 50 claims are left out, because their share is too uncertain.
    """
    sums: dict[str, dict[float, list[float]]] = {}
    for r in records:
        bins = sums.setdefault(f"{_KINDS.get(r['corpus'], r['corpus'])}, {r['victim']} to {r['known']}", {})
        for b in r["reliability"]:
            total = bins.setdefault(b["low"], [0.0, 0.0, 0.0])
            for i, value in enumerate((b["claimed"] * b["count"], b["right"] * b["count"], b["count"])):
                total[i] += value
    return {
        name: [(claimed / n, right / n, int(n)) for _, (claimed, right, n) in sorted(bins.items()) if n >= _FEWEST]
        for name, bins in sums.items()
    }


def _save(figure: Any, path: Path, points: Any, *, tight: bool = True) -> None:
    import matplotlib.pyplot as plt

    if tight:
        figure.tight_layout()
    figure.savefig(
        path,
        transparent=True,
        bbox_inches=None if tight else "tight",
        metadata={"Date": None, "Description": f"points {digest(points)}"},
    )
    plt.close(figure)


if __name__ == "__main__":
    pictures(Path(__file__).parent / "pictures")
