"""Views of the target: vectors of its rows by further models, as they are read, joined and used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua as il
from interlingua._align import choose_method
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import polar
from interlingua.aligners.linear import aligner, known_evidence
from interlingua.aligners.linear.aligner import Linear
from interlingua.aligners.linear.repeats import merge_copies
from interlingua.aligners.linear.views import JoinedSpace, rotate_to_target
from interlingua.cli.collections import read_rows_of_ids
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.io import open_vectors
from planted import encode, rotation, spaces_with_views, topics

N, M = 120, 200


@pytest.fixture(scope="module")
def spaces() -> dict[str, Any]:
    """Source rows of some texts, and target rows of others under three models that differ by noise."""
    made = spaces_with_views(N, M)
    views = {name: made.pop(name) for name in ("first", "second")}
    return {**made, "views": views}


def test_views_are_read_by_name_or_number_and_described_in_the_trace(spaces: Any) -> None:
    named = Problem.of(spaces["source"], spaces["target"], views=spaces["views"])
    listed = Problem.of(spaces["source"], spaces["target"], views=list(spaces["views"].values()))
    for problem, names in ((named, ["first", "second"]), (listed, ["0", "1"])):
        assert [step["name"] for step in problem.counts] == names
        assert [step["columns"] for step in problem.counts] == [16, 9]
        assert all(0.1 < step["neighbor_overlap"] < 0.9 for step in problem.counts)
        np.testing.assert_array_equal(problem.views[1], spaces["views"]["second"])


def test_rows_of_views_are_drawn_with_those_of_the_target(spaces: Any) -> None:
    problem = Problem.of(spaces["source"], spaces["target"], views=spaces["views"], max_rows=110)
    drawn = [int(np.flatnonzero((spaces["target"] == row).all(axis=1))[0]) for row in problem.rows[1]]
    np.testing.assert_array_equal(problem.views[0], spaces["views"]["first"][drawn])


def test_of_copies_in_the_target_the_view_keeps_the_row_of_the_first(spaces: Any) -> None:
    twice = np.concatenate([spaces["target"], spaces["target"][:5]])
    other = np.concatenate([spaces["views"]["first"], spaces["views"]["first"][5:10]])
    merged = merge_copies(Problem.of(spaces["source"], twice, views=[other]))
    assert len(merged.rows[1]) == len(merged.views[0]) == M
    np.testing.assert_array_equal(merged.views[0], other[:M])


def shuffled(rows: Any) -> Any:
    return rows[np.random.default_rng(1).permutation(len(rows))]


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda s: [s["views"]["first"][:-1]], r"views\[0\] has 199 rows and the target 200; a view has one row for"),
        (lambda s: {"b": shuffled(s["views"]["first"])}, r"views\['b'\] has too few nearest neighbors in common .*%"),
        (lambda s: [s["target"]], r"views\[0\] has the same nearest neighbors as the target, so it adds nothing"),
        (lambda s: [3 * s["target"] @ rotation(12, 20, np.random.default_rng(2))], "the same nearest neighbors"),
        (lambda s: [s["views"]["first"], 2 * s["views"]["first"]], r"views\[1\] has the same .* as views\[0\]"),
        (lambda s: s["views"]["first"], "views is .*; a list of matrices, or a mapping of names to matrices"),
        (lambda _: "first", "views is 'first'; a list of matrices"),
        (lambda s: [s["views"]["first"] * np.nan], r"views\[0\].*NaN"),
    ],
)
def test_what_is_no_view_of_the_target_is_refused(spaces: Any, views: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        il.align(spaces["source"], spaces["target"], views=views(spaces))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"method": "mini-vec2vec"}, "views were given and mini-vec2vec uses none. Leave views=... out, or choose"),
        ({"method": "adversarial"}, "views were given and adversarial uses none"),
    ],
)
def test_views_are_refused_where_they_would_be_ignored(spaces: Any, keywords: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        il.align(spaces["source"], spaces["target"], views=spaces["views"], **keywords)


def test_views_are_refused_with_several_targets(spaces: Any) -> None:
    with pytest.raises(InputError, match="views cannot be used with several targets; give one target, or leave views"):
        il.align(spaces["source"], {"a": spaces["target"], "b": spaces["target"][:150]}, views=spaces["views"])


def test_a_part_of_the_rows_in_another_order_is_noticed() -> None:
    rng = np.random.default_rng(6)
    content = topics(1000, 10, rng)
    target, view = (encode(content, d, rng, noise=0.2) for d in (12, 16))
    Problem.of(content, target, views=[view])
    view[300:600] = shuffled(view[300:600])
    with pytest.raises(InputError, match=r"but between .* of the rows .*%, nearly as few as in shuffled rows"):
        Problem.of(content, target, views=[view])


def test_ids_of_views_are_those_of_the_target(spaces: Any) -> None:
    ids = [f"t{i}" for i in range(M)]
    target = il.EmbeddingSpace(spaces["target"], ids=ids)
    Problem.of(spaces["source"], target, views=[il.EmbeddingSpace(spaces["views"]["first"], ids=ids)])
    with pytest.raises(InputError, match=r"views\[0\] has ids of the target in other rows. Sort the rows"):
        Problem.of(spaces["source"], target, views=[il.EmbeddingSpace(spaces["views"]["first"], ids=ids[::-1])])


def test_a_target_of_few_directions_is_refused_whatever_its_views(spaces: Any) -> None:
    flat = (spaces["target"][:, :3] @ np.random.default_rng(7).standard_normal((3, 12))).astype(np.float32)
    source, target = il.EmbeddingSpace(spaces["source"]), il.EmbeddingSpace(flat)
    # Without the check of the order, which the views of so flat a target do not pass.
    problem = Problem(source, target, (spaces["source"], flat), views=(spaces["views"]["first"],))
    with pytest.raises(InputError, match="target varies in only [23] directions"):
        Linear(budget=0).fit(problem, seed=0)


def test_no_views_are_as_if_none_were_given(spaces: Any) -> None:
    assert Problem.of(spaces["source"], spaces["target"], views={}).views == ()
    with_pairs = Problem.of(spaces["source"], spaces["target"], views=[], pairs=[[0, 0]])
    assert with_pairs.known is not None


def test_the_joined_space_weighs_all_views_alike_and_is_closer_to_the_content() -> None:
    rng = np.random.default_rng(3)
    content = topics(400, 10, rng)
    rows = [encode(content, d, rng, noise=0.6) for d in (12, 30, 20)]
    # The length of the vectors of a view has no influence.
    problems = [Problem.of(content, rows[0], views=[scale * rows[1], rows[2]]) for scale in (1, 100)]
    first, second = (JoinedSpace.of(problem).frame.rows for problem in problems)
    np.testing.assert_allclose(first @ first.T, second @ second.T, atol=1e-4)

    def likeness(z: Any) -> float:
        """Correlation of the cosines between rows with those of the content."""
        first, second = (unit_rows(each - each.mean(axis=0)) for each in (z, content))
        return float(np.corrcoef((first @ first.T).ravel(), (second @ second.T).ravel())[0, 1])

    assert likeness(first) > max(map(likeness, rows)) + 0.03


def test_a_rotation_into_the_joined_space_gives_one_into_the_target() -> None:
    rng = np.random.default_rng(4)
    content = topics(1000, 10, rng)
    x, y, other = (encode(content, d, rng, noise=0.2) for d in (14, 12, 16))
    problem = Problem.of(x[:500], y[500:], views=[other[500:]])
    a, own, joined = problem.frames[0].rows, problem.frames[1].rows, JoinedSpace.of(problem).frame
    # The right rotation into the joined space, by pairs that the function under test does not get.
    known = Problem.of(x, y, views=[other])
    right = polar(known.frames[0].rows[500:].T @ joined.rows)
    found = rotate_to_target(a, joined.rows, right, own)
    truth = polar(known.frames[0].rows.T @ known.frames[1].rows)
    np.testing.assert_allclose(
        found @ found.T if found.shape[0] < found.shape[1] else found.T @ found, np.eye(12), atol=1e-4
    )
    assert float((unit_rows(a @ found) * unit_rows(a @ truth)).sum(axis=1).mean()) > 0.9


def distorted(content: Any, d: int, rng: np.random.Generator, *, share: float) -> Any:
    """Embed content in d dimensions after a random linear change of its geometry, as a model makes one."""
    k = content.shape[1]
    change = np.eye(k) + share * rng.standard_normal((k, k)) / np.sqrt(k)
    return encode((content @ change).astype(np.float32), d, rng, noise=0.1)


def test_views_find_a_map_that_the_target_alone_does_not_show() -> None:
    rng = np.random.default_rng(0)
    content = topics(900, 10, rng)
    x = distorted(content, 20, rng, share=0.3)
    y, *others = (distorted(content, d, rng, share=0.8) for d in (18, 24, 20, 22, 19))
    cosines = []
    for views in (None, [view[300:600] for view in others]):
        fit = il.align(x[:300], y[300:600], views=views, seed=0, budget=0, rounds=3)
        translated, true = (unit_rows(rows) for rows in (fit.forward(x[600:]), y[600:]))
        cosines.append(float((translated * true).sum(axis=1).mean()))
    assert cosines[1] > cosines[0] + 0.2


@pytest.fixture(scope="module")
def helped() -> dict[str, Any]:
    """Keywords of a fit with views, known pairs and categories, and rows to evaluate it on."""
    rng = np.random.default_rng(0)
    n, known = 300, 5
    content = topics(3 * n + known, 10, rng)
    x = distorted(content, 20, rng, share=0.3)
    y, *others = (distorted(content, d, rng, share=0.8) for d in (18, 24, 20, 22, 19))
    source, target = (np.r_[start : start + n, 3 * n : 3 * n + known] for start in (0, n))
    categories = content.argmax(axis=1)
    return {
        "sides": (x[source], y[target]),
        "views": [view[target] for view in others],
        "pairs": [[n + i, n + i] for i in range(known)],
        "labels": (categories[source], categories[target]),
        "held_out": (x[2 * n : 3 * n], y[2 * n : 3 * n]),
    }


def test_views_add_to_known_pairs_and_categories_and_evidence_is_of_the_target(
    helped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views that are much better than the target may not confirm the map into the target."""
    judged = []
    original = known_evidence.judge_known

    def recorded(verdict: Any, held: Any, target: Any, *others: Any) -> Any:
        judged.append((held, target))
        return original(verdict, held, target, *others)

    monkeypatch.setattr(aligner, "judge_known", recorded)
    cosines = []
    for names in (("pairs", "labels"), ("pairs", "labels", "views")):
        given = {name: helped[name] for name in names}
        fit = il.align(*helped["sides"], **given, method="linear", seed=0, budget=0, rounds=0)
        translated, true = (unit_rows(rows) for rows in (fit.forward(helped["held_out"][0]), helped["held_out"][1]))
        cosines.append(float((translated * true).sum(axis=1).mean()))
        assert any(step["step"] == "known" for step in fit.trace)
    assert cosines[1] > cosines[0] + 0.05
    held, target = judged[1]
    width = helped["sides"][1].shape[1]
    assert target.shape[1] == held.pairs[1].shape[1] == width
    assert [part.target.shape[1] for part in held.rows] == [width, width]
    # The true rows of the pairs are those of the target.
    own = unit_rows(Problem.of(*helped["sides"]).frames[1].center(helped["sides"][1][300:]))
    np.testing.assert_allclose(held.pairs[1] @ held.pairs[1].T, own @ own.T, atol=1e-4)


def test_pairs_have_a_row_in_the_joined_space_as_rows_of_the_target_have(helped: Any) -> None:
    problem = Problem.of(*helped["sides"], views=helped["views"], pairs=helped["pairs"])
    assert problem.known is not None
    space = JoinedSpace.of(problem)
    paired = space.center((problem.known[1], *problem.known_views))
    np.testing.assert_allclose(paired, space.frame.rows[300:], atol=1e-5)
    assert [rows.shape for rows in problem.take_known(np.array([3, 4])).known_views] == [
        (2, d) for d in (24, 20, 22, 19)
    ]
    with pytest.raises(InputError, match="has known pairs, 4 views and 0 known_views; .* Build it with Problem.of"):
        problem.with_known(problem.known)


def test_pairs_that_share_a_row_share_the_mean_of_its_views(spaces: Any) -> None:
    problem = Problem.of(spaces["source"], spaces["target"], views=spaces["views"], pairs=[[1, 4], [1, 6], [2, 5]])
    for view, known in zip(spaces["views"].values(), problem.known_views, strict=True):
        np.testing.assert_allclose(known, np.stack([view[[4, 6]].mean(axis=0), view[5]]), rtol=1e-5)


def test_auto_chooses_linear_beside_views_however_many_pairs_are_known(spaces: Any) -> None:
    pairs = np.arange(N)[:, None].repeat(2, axis=1)
    assert choose_method(Problem.of(spaces["source"], spaces["target"], pairs=pairs)) == "ridge"
    assert choose_method(Problem.of(spaces["source"], spaces["target"], pairs=pairs, views=spaces["views"])) == "linear"


def test_evidence_and_card_are_of_the_target_and_name_the_views(spaces: Any) -> None:
    found = Linear(rounds=1, budget=0).fit(
        Problem.of(spaces["source"], spaces["target"], views=spaces["views"]), seed=0
    )
    assert found.rotation.shape == (14, 12)
    assert found.null.spaces.principal[1].shape == (12, 12)
    fitted = il.align(spaces["source"], spaces["target"], views=spaces["views"], rounds=1, budget=0)
    assert fitted.card()["settings"]["views"] == "first, second"
    assert "further models" not in str([cause.to_dict() for cause in fitted.diagnoses or ()])
    without = il.align(spaces["source"], spaces["target"], rounds=1, budget=0)
    assert "views" not in without.card()["settings"]
    assert "give their vectors by further models as views" in str(
        [cause.to_dict() for cause in without.diagnoses or ()]
    )
    assert "`interlingua fit --view-encoder MODEL` embeds these texts itself." in str(without.diagnoses)


def test_wide_views_are_reduced_to_their_leading_axes() -> None:
    rng = np.random.default_rng(5)
    content = topics(600, 10, rng)
    narrow, wide = (encode(content, d, rng, noise=0.05) for d in (20, 700))
    joined = JoinedSpace.of(Problem.of(content, narrow, views=[wide])).frame.rows
    assert joined.shape == (600, 512)
    centered = unit_rows(content - content.mean(axis=0))
    assert np.corrcoef((joined @ joined.T).ravel(), (centered @ centered.T).ravel())[0, 1] > 0.95


def files_of(folder: Path, spaces: Any) -> dict[str, Path]:
    """Write the spaces as files with ids."""
    paths = {}
    rows = {"source": spaces["source"], "target": spaces["target"], **spaces["views"]}
    for name, vectors in rows.items():
        paths[name] = folder / f"{name}.parquet"
        ids = [f"{name == 'source'}-{i}" for i in range(len(vectors))]
        pq.write_table(pa.table({"id": ids, "vector": vector_column(vectors)}), paths[name])
    return paths


def test_fit_reads_the_rows_of_views_that_it_draws_of_the_target(
    run: Any, spaces: Any, given: Any, tmp_path: Path
) -> None:
    paths = files_of(tmp_path, spaces)
    views = ("--view", paths["first"], "--view", paths["second"])
    options = ("--rows", 110, "--seed", 3, "--allow-failed", "--out", tmp_path / "t")
    ran = run("fit", paths["source"], paths["target"], *views, *options)
    assert ran.code == 0, ran.err
    picked = drawn(spaces, given)
    assert len(picked) == 110
    for name in ("first", "second"):
        np.testing.assert_array_equal(given["views"][name].vectors, spaces["views"][name][picked])


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (
            100,
            r"--view lacks 5,900 of the 6,000 ids of TARGET; the first is '100'\. A vector for each of them is needed",
        ),
        (5999, r"--view lacks 1 of the 6,000 ids of TARGET, namely '5999'\. A vector"),
    ],
)
def test_a_view_that_lacks_ids_says_how_many_and_which_one(kept: int, said: str, tmp_path: Path) -> None:
    ids = [str(i) for i in range(6_000)]
    column = pa.array([[1.0, float(i)] for i in range(kept)], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids[:kept], "vector": column}), tmp_path / "view.parquet")
    with pytest.raises(InputError, match=said):
        read_rows_of_ids(open_vectors(tmp_path / "view.parquet"), ids, what="--view", of="TARGET")


def test_rows_of_ids_that_are_not_unique_are_refused(tmp_path: Path) -> None:
    column = pa.array([[1.0, float(i)] for i in range(5)], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": list("abcde"), "vector": column}), tmp_path / "view.parquet")
    for ids, said in (("aabc", "1 repeated id"), ("aabb", "2 repeated ids")):
        with pytest.raises(
            InputError, match=f"TARGET has {said}, and ids match its rows with those of --view. Keep one row"
        ):
            read_rows_of_ids(open_vectors(tmp_path / "view.parquet"), list(ids), what="--view", of="TARGET")


def test_fit_refuses_views_that_it_could_not_use(run: Any, spaces: Any, tmp_path: Path) -> None:
    paths = files_of(tmp_path, spaces)
    fit = ("fit", paths["source"], paths["target"], "--out", tmp_path / "t")
    np.save(tmp_path / "short.npy", spaces["views"]["first"][:-1])
    np.save(tmp_path / "mixed.npy", shuffled(spaces["views"]["first"]))
    np.save(tmp_path / "whole.npy", np.ones((M, 9), np.int8))
    pq.write_table(pq.read_table(paths["first"]).slice(0, M - 2), tmp_path / "lacking.parquet")
    for options, message in (
        (("--view", paths["first"], "--target", paths["second"]), "--target cannot be combined with --view"),
        (("--view", tmp_path / "short.npy"), "short.npy has 199 rows and TARGET 200; one row for each row of TARGET"),
        (("--view", tmp_path / "lacking.parquet"), "lacking.parquet lacks 2 of the 200 ids of TARGET"),
        (("--view", paths["first"], "--view", paths["first"]), "was given twice; give each view once"),
        (("--view", paths["first"], "--method", "identity"), "and identity uses none. Leave --view out"),
        # The library knows the view by another name.
        (("--view", tmp_path / "mixed.npy"), f"Error: --view {tmp_path}/mixed.npy has too few nearest neighbors in"),
        (("--view", paths["target"]), f"--view {paths['target']} has the same nearest neighbors as the target"),
        (
            ("--view", paths["first"], "--view", f"file://{paths['first']}#vector"),
            f"--view file://{paths['first']}#vector has the same nearest neighbors as --view {paths['first']}",
        ),
        (("--view", tmp_path / "whole.npy"), "int8 vectors need a scale and the file holds none. Give a file"),
    ):
        ran = run(*fit, *options)
        assert ran.code == 2, options
        assert message in " ".join(ran.err.split()), (options, ran.err)
    assert not (tmp_path / "t").exists()


def test_rows_of_files_with_the_same_ids_are_matched_by_them(run: Any, spaces: Any, given: Any, tmp_path: Path) -> None:
    paths = files_of(tmp_path, spaces)
    table = pq.read_table(paths["first"])
    more = table.append_column("row", pa.array(range(M))).take(list(range(M))[::-1])
    pq.write_table(more, tmp_path / "reversed.parquet")
    options = ("--rows", 110, "--seed", 3, "--allow-failed", "--out", tmp_path / "t")
    ran = run("fit", paths["source"], paths["target"], "--view", tmp_path / "reversed.parquet", *options)
    assert ran.code == 0, ran.err
    np.testing.assert_array_equal(given["views"]["reversed"].vectors, spaces["views"]["first"][drawn(spaces, given)])
    pq.write_table(pa.concat_tables([table, table.slice(3, 1)]), tmp_path / "twice.parquet")
    ran = run("fit", paths["source"], paths["target"], "--view", tmp_path / "twice.parquet", *options, "--force")
    assert ran.code == 2
    assert "twice.parquet has the id 'False-3' more than once" in " ".join(ran.err.split())


@pytest.mark.parametrize("skip_bad", [(), ("--skip-bad",)])
def test_rows_of_files_with_other_ids_are_not_matched_by_their_order(
    run: Any, spaces: Any, given: Any, tmp_path: Path, skip_bad: Any
) -> None:
    paths = files_of(tmp_path, spaces)
    table = pq.read_table(paths["first"])
    others, none = ([f"other {i}" for i in range(M)], [None] * M)
    where = table.schema.names.index("id")
    for name, ids in (("others", others), ("none", none)):
        pq.write_table(table.set_column(where, "id", pa.array(ids, pa.string())), tmp_path / f"{name}.parquet")
    pq.write_table(table.drop_columns("id"), tmp_path / "without.parquet")
    fit = ("fit", paths["source"], paths["target"], "--allow-failed", "--force", "--out", tmp_path / "t", *skip_bad)
    for address in (tmp_path / "others.parquet", f"file://{tmp_path}/others.parquet"):
        ran = run(*fit, "--view", address)
        assert ran.code == 2
        assert re.search(
            rf"--view {address} has none of the 200 ids of TARGET .*, and rows are matched by ids where both files "
            r"have them\. .* save the vectors without ids, as a \.npy, if their order is that of TARGET\.",
            " ".join(ran.err.split()),
        )
    # Rows without any id have an order alone.
    for name in ("none", "without"):
        ran = run(*fit, "--view", tmp_path / f"{name}.parquet")
        assert ran.code == 0, ran.err
        np.testing.assert_array_equal(given["views"][name].vectors, spaces["views"]["first"])


def lines_of(ids: Sequence[int], rows: Any) -> str:
    lines = (f'{{"id": {i}, "vector": {row.tolist()}}}' for i, row in zip(ids, rows, strict=True))
    return "\n".join(lines).replace("nan", "NaN")


def test_a_target_of_an_address_is_read_beside_a_view_without_rows_that_cannot_be_used(
    run: Any, spaces: Any, given: Any, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.npy", spaces["target"].copy()
    target[5] = np.nan
    np.save(source, spaces["source"])
    (tmp_path / "target.jsonl").write_text(lines_of(range(M), target))
    np.save(tmp_path / "view.npy", spaces["views"]["first"])
    command = ("fit", source, f"file://{tmp_path}/target.jsonl?id=id", "--view", tmp_path / "view.npy", "--skip-bad")
    ran = run(*command, "--allow-failed", "--out", tmp_path / "t")
    assert ran.code == 0, ran.err
    assert drawn(spaces, given) == [i for i in range(M) if i != 5]


@pytest.mark.parametrize("kind", ["lines", "store"])
def test_rows_that_a_view_lacks_are_left_out_where_it_is_matched_by_ids(
    run: Any, spaces: Any, given: Any, tmp_path: Path, kind: str
) -> None:
    rows = spaces["views"]["first"]
    np.save(tmp_path / "source.npy", spaces["source"])
    (tmp_path / "target.jsonl").write_text(lines_of(range(M), spaces["target"]))
    view = str(tmp_path / "first.jsonl")
    lines = lines_of(range(M), rows).split("\n")
    lines[7] = "{"
    Path(view).write_text("\n".join(lines))
    if kind == "store":
        duckdb = pytest.importorskip("duckdb")
        view = f"duckdb://{tmp_path}/s.duckdb#items.first"
        with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
            connection.execute(f"create table items(id bigint primary key, first float[{rows.shape[1]}])")
            values = [(i, None if i == 7 else row.tolist()) for i, row in enumerate(rows)]
            connection.executemany("insert into items values (?, ?)", values)
    command = ("fit", tmp_path / "source.npy", tmp_path / "target.jsonl", "--view", view, "--allow-failed")
    ran = run(*command, "--skip-bad", "--out", tmp_path / "t", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["target"]["left_out"] == {"rows": 1, "first": [7]}
    kept = [i for i in range(M) if i != 7]
    assert drawn(spaces, given) == kept
    np.testing.assert_array_equal(next(iter(given["views"].values())).vectors, rows[kept])
    (tmp_path / "target.jsonl").write_text(lines_of(range(1, M + 1), spaces["target"]))
    refused = run(*command, "--skip-bad", "--force", "--out", tmp_path / "t", "--json")
    assert refused.code == 2
    assert "lacks 2 of the 200 ids" in refused.json["error"]


def drawn(spaces: Any, given: Any) -> list[int]:
    """The rows of the target that a fit was given."""
    rows = given["sides"][1].vectors
    return [int(np.flatnonzero((spaces["target"] == row).all(axis=1))[0]) for row in rows]


def vector_column(rows: Any) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(np.ascontiguousarray(rows).ravel(), rows.shape[1])


def test_a_view_is_another_column_of_the_file_of_the_target(run: Any, spaces: Any, given: Any, tmp_path: Path) -> None:
    columns = {"target": spaces["target"], **spaces["views"]}
    path, source = tmp_path / "both.parquet", tmp_path / "source.npy"
    pq.write_table(pa.table({name: vector_column(rows) for name, rows in columns.items()}), path)
    np.save(source, spaces["source"])
    np.save(tmp_path / "second.npy", spaces["views"]["second"])
    options = ("--rows", 110, "--allow-failed", "--out", tmp_path / "t", "--force")
    views = ("--view", f"file://{path}#first", "--view", tmp_path / "second.npy")
    ran = run("fit", source, f"file://{path}#target", *views, *options)
    assert ran.code == 0, ran.err
    rows = drawn(spaces, given)
    assert len(rows) == 110
    for name, expected in spaces["views"].items():
        np.testing.assert_array_equal(given["views"][name].vectors, expected[rows])
    ran = run("fit", source, f"file://{path}#target", "--view", path, *options)
    assert ran.code == 2
    assert "could all be the vectors. Name one in the address: --view 'file://" in " ".join(ran.err.split())


def test_the_column_of_the_target_is_not_asked_of_its_views(run: Any, spaces: Any, given: Any, tmp_path: Path) -> None:
    for side in ("source", "target"):
        other = vector_column(np.ones((len(spaces[side]), 3), np.float32))
        pq.write_table(pa.table({"v": vector_column(spaces[side]), "w": other}), tmp_path / f"{side}.parquet")
    np.save(tmp_path / "view.npy", spaces["views"]["first"])
    files = (tmp_path / "source.parquet", tmp_path / "target.parquet", "--view", tmp_path / "view.npy")
    ran = run("fit", *files, "--column", "v", "--allow-failed", "--out", tmp_path / "t")
    assert ran.code == 0, ran.err
    np.testing.assert_array_equal(given["views"]["view"].vectors, spaces["views"]["first"])


def test_a_view_is_another_vector_of_the_collection_of_the_target(
    run: Any, spaces: Any, given: Any, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb")
    columns = {"target": spaces["target"], **spaces["views"]}
    path = tmp_path / "s.duckdb"
    connection = duckdb.connect(str(path))
    widths = ", ".join(f"{name} float[{rows.shape[1]}]" for name, rows in columns.items())
    connection.execute(f"create table items(id bigint primary key, {widths})")
    rows = [(i, *(rows[i].tolist() for rows in columns.values())) for i in range(M)]
    connection.executemany("insert into items values (?, ?, ?, ?)", rows)
    connection.close()
    np.save(tmp_path / "source.npy", spaces["source"])
    order = np.random.default_rng(2).permutation(M)
    with_ids = pa.table({"id": [str(i) for i in order], "v": vector_column(spaces["views"]["second"][order])})
    pq.write_table(with_ids, tmp_path / "second.parquet")
    np.save(tmp_path / "second.npy", spaces["views"]["second"])
    target = f"duckdb://{path}#items.target"
    views = ("--view", f"duckdb://{path}#items.first", "--view", tmp_path / "second.parquet")
    options = ("--allow-failed", "--out", tmp_path / "t", "--force")
    ran = run("fit", tmp_path / "source.npy", target, "--target-where", "id < 150", *views, *options)
    assert ran.code == 0, ran.err
    picked = drawn(spaces, given)
    assert sorted(picked) == list(range(150))
    for name, expected in (("items.first", "first"), ("second", "second")):
        np.testing.assert_array_equal(given["views"][name].vectors, spaces["views"][expected][picked])
    for view, message in (
        (tmp_path / "second.npy", f"--view {tmp_path}/second.npy has no ids, and rows are matched by their ids"),
        (f"duckdb://{path}#items.target", "#items.target has the same nearest neighbors as the target"),
    ):
        ran = run("fit", tmp_path / "source.npy", target, "--view", view, *options)
        assert ran.code == 2
        assert message in " ".join(ran.err.split())


def test_pairs_and_categories_are_read_beside_views(run: Any, spaces: Any, given: Any, tmp_path: Path) -> None:
    for side in ("source", "target"):
        rows = spaces[side]
        table = {"v": vector_column(rows), "topic": [f"topic {i % 3}" for i in range(len(rows))]}
        pq.write_table(pa.table(table), tmp_path / f"{side}.parquet")
    np.save(tmp_path / "view.npy", spaces["views"]["first"])
    np.save(tmp_path / "pairs.npy", np.array([[0, 7], [5, 3]]))
    files = (tmp_path / "source.parquet", tmp_path / "target.parquet", "--view", tmp_path / "view.npy")
    help_ = ("--pairs", tmp_path / "pairs.npy", "--labels", "topic", "--column", "v")
    ran = run("fit", *files, *help_, "--method", "linear", "--allow-failed", "--out", tmp_path / "t", "--json")
    assert ran.code == 0, ran.err
    assert given["pairs"].tolist() == [[0, 7], [5, 3]]
    assert given["labels"][1][:4] == ["topic 0", "topic 1", "topic 2", "topic 0"]
    assert list(given["views"]) == ["view"]
    assert {item["name"] for item in ran.json["evidence"]} >= {"held_out_pairs", "category_agreement"}
