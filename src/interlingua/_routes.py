"""The route of a collection to another model: its reasons, commands and expected quality."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal

from interlingua._texts_in_part import PartlyWithTexts, fewest_texts, row_options, without_text_note
from interlingua.aligners.base import MIN_ROWS
from interlingua.core.wording import count_of
from interlingua.stores._url import parse_url

__all__ = [
    "MIGRATED_NOTE",
    "NEEDED_ROWS",
    "QUALITY",
    "REDUCED_NOTE",
    "RecordedSearches",
    "Route",
    "choose_route",
    "few_rows_note",
    "public_pairs_command",
]

Route = Literal["separate", "re-embed", "re-embed in part", "translated", "same model", "public pairs", "unpaired"]

# Rows of a side, and the range of the forward top-1 of all recorded fits with as many (BGE to MiniLM,
# benchmarks/results/beir.jsonl, exchanges.jsonl, polish.jsonl and solver.jsonl). Fits with 1,000 rows or fewer fail.
QUALITY = ((4_398, (0.95, 0.97)), (2_000, (0.63, 0.86)))
# The same of fits on 3,000 pairs of public texts (benchmarks/results/public-pairs.jsonl).
_PAIRED_QUALITY = (0.81, 0.95)
# Names on the Hub of models that `identify` knows. The other models that it knows are run by a program of the user.
_ENCODERS = {
    "BGE-base-en-v1.5": "BAAI/bge-base-en-v1.5",
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}
# Rows that an unpaired fit needs, public texts that a fit on pairs embeds, and rows with which every recorded unpaired
# fit failed.
NEEDED_ROWS, _PAIRED_ROWS, _FAILED_ROWS = 4_398, 5_000, 1_000


_NEW_MODEL = (
    "NEW_MODEL is a sentence-transformers name or folder, or command:PROGRAM, a program that reads one text per line "
    "and writes one vector for each."
)
# Shown where public texts are embedded as the target of a fit without pairs. The models are those whose vectors were
# views in recorded fits (benchmarks/results/views.jsonl).
_VIEW_MODEL = (
    "VIEW_MODEL is another model, named in the same way. Its vectors of the same texts are a view, with which the fit "
    "needs fewer rows. --view-encoder may be repeated; without such a model, leave it out. The views of recorded fits "
    "are of the Universal Sentence Encoder, WordLlama and Model2Vec (benchmarks/results/views.jsonl)."
)
# Shown for a collection that looks reduced by PCA.
REDUCED_NOTE = (
    "The vectors look reduced by PCA. Vectors of another model that were reduced too vary along the same columns, so "
    "it is not known whether the collection holds two such models. Compare the dates of the rows with those of changes "
    "of the model."
)


@dataclass(frozen=True, kw_only=True)
class RecordedSearches:
    """How well a route ranked documents in recorded searches, beside the old model itself.

    Each search is of a collection with relevance judgments and of one fit between two models. Scores are nDCG at 10.

    Attributes:
        count: number of searches.
        worse: of these, ranked worse than with the old model, whose queries and documents were its own.
        ndcg: lowest and highest score of the route.
        old_ndcg: lowest and highest score of the old model on the same collections.
        failed: further searches whose fit failed, so that there was no translator to use.
    """

    count: int
    worse: int
    ndcg: tuple[float, float]
    old_ndcg: tuple[float, float]
    failed: int = 0


# Searches by the route of their translator (benchmarks/results/retrieval.jsonl); a test compares them with the records.
_SEARCHES = {
    "re-embed in part": RecordedSearches(count=6, worse=5, ndcg=(0.18, 0.90), old_ndcg=(0.25, 0.99)),
    "re-embed": RecordedSearches(count=6, worse=2, ndcg=(0.25, 0.99), old_ndcg=(0.25, 0.99)),
    "public pairs": RecordedSearches(count=6, worse=6, ndcg=(0.08, 0.83), old_ndcg=(0.25, 0.99)),
    "unpaired": RecordedSearches(count=13, worse=13, ndcg=(0.04, 0.65), old_ndcg=(0.25, 0.99), failed=5),
}
# Shown for a collection or a file that bears the mark of a migration or a translation.
MIGRATED_NOTE = (
    "interlingua translated these vectors, so the model that is named here did not make them. Search them with "
    "`interlingua search --translated`. To go on to a further model, translate the old vectors and not these."
)
# What was searched in them.
_SEARCHED = (
    "from WordLlama to USE and from USE to MiniLM, on medical questions, sentences of Wikipedia and intents of users; "
    "other models and texts can differ"
)


def choose_route(
    facts: dict[str, Any],
    target: str | None,
    target_where: str | None,
    available: int | None,
    *,
    target_unusable: int = 0,
    target_mixed: float = 0.0,
    rest: str | None = None,
    width: int | None = None,
) -> dict[str, Any]:
    """Return the fields of a plan that follow from what the collection holds, except its costs.

    Args:
        facts: the fields that say what the collection holds.
        target: address of vectors of the new model, if there are some.
        target_where: the condition that they had to meet, or None.
        available: number of these vectors.
        target_unusable: number of rows of them that were read and have no usable vector.
        target_mixed: share of these rows that are of a second model, 0 where none was found.
        rest: the condition for rows without a text, in the language of the store; None where it cannot select rows.
        width: of the new vectors, if it is known.
    """
    source, new = quote(facts["source"]), quote(target or "NEW.parquet")
    chosen_rows, chosen_new = row_options(facts["where"]), row_options(target_where, "--target-where")
    leave_out = " --skip-bad" if facts["unusable"] else " --skip-null" if facts["nulls"] else ""
    # A fit leaves out rows without a vector of a store by itself.
    usable_only = " --skip-bad" if facts["unusable"] or target_unusable else ""
    new_model = _ENCODERS.get(facts["target_model"] or "", "NEW_MODEL")
    # Not the two collections: an evaluation needs the same texts on both sides.
    search_commands = (
        f"interlingua search translator {source} --space source --query OLD_QUERIES.npy",
        f"interlingua search translator {source} --query NEW_QUERIES.npy",
    )
    is_file = parse_url(facts["source"]).scheme == "file"
    after = (
        # Rows of a store are paired by their ids, and rows of two files by their order.
        "interlingua evaluate translator OLD_PAIRS.npy NEW_PAIRS.npy"
        if is_file
        else f"interlingua evaluate translator {source} REEMBEDDED{chosen_rows}{usable_only}",
        # A search refuses a collection with rows that it cannot rank.
        *(() if facts["unusable"] else search_commands),
        f"interlingua migrate translator {source} TARGET{chosen_rows} --dry-run{leave_out}",
    )
    fit = f"interlingua fit {source} {new}{chosen_rows}{chosen_new}{usable_only} --out translator --report fit.html"
    distinct = round(facts["rows"] * (1 - facts["repeats"]))
    fewest = distinct if available is None else min(distinct, available)
    expected = next((top1 for n, top1 in QUALITY if min(fewest, NEEDED_ROWS) >= n), None)
    few = few_rows_note(fewest)
    # A fit without pairs on so few rows is refused, so that there is nothing to run.
    refused = fewest < MIN_ROWS
    route: Route
    commands: tuple[str, ...]
    mixed = (
        f"About {facts['mixed_share']:.0%} of {_name_rows(facts)} are probably of another model than the rest. No "
        "translator serves both models."
        if facts["mixed_share"]
        else ""
    )
    with_text = round(facts["text_share"] * facts["rows"])
    in_part = with_text >= fewest_texts(known=facts["model"] != "unknown")
    if facts["text_share"] == 1:
        embed = f"interlingua embed {source} TARGET{chosen_rows} --encoder {new_model}"
        # Rows without an old vector are embedded too.
        embed += f" --text-column {quote(facts['texts'][0])}{' --skip-bad' if facts['unusable'] else ''}"
        route, commands, expected = "re-embed", (f"{embed} --dry-run", embed), None
        reasons = [
            f"The collection holds texts ({', '.join(facts['texts'])}). Embed them with the new model, because "
            "translated vectors are only an approximation.",
            *([mixed] if mixed else _alternative("If the new model cannot be run on them", fit, fewest)),
            "In these commands, TARGET is the address of a new file, collection, column or named vector. The first one "
            "embeds a few texts and says how long all of them take. Once TARGET is filled, search it in place of the "
            "old vectors, with queries that the new model embedded. The same command with --catch-up embeds rows that "
            "arrived meanwhile, unless TARGET is a file or a FAISS index.",
        ]
        if new_model == "NEW_MODEL":
            reasons.append(_NEW_MODEL)
    elif facts["migrated"]:
        search = f"interlingua search translator {source} --translated --query NEW_QUERIES.npy"
        route, commands, expected, reasons = "translated", (search,), None, []
    elif mixed:
        route, commands, expected = (
            "separate",
            (f"interlingua identify {source}{chosen_rows} --rows {facts['rows']} --json",),
            None,
        )
        reasons = [
            f"{mixed} Separate the rows first, by the ids that identify lists, the surest first, or by the date on "
            "which the model was changed. identify holds all of these rows in memory; --where selects fewer."
        ]
    elif in_part:
        route, expected = "re-embed in part", None
        part = PartlyWithTexts(
            source=facts["source"],
            column=facts["texts"][0],
            rows=facts["rows"],
            with_text=with_text,
            where=facts["where"],
            rest=rest,
            new_model=new_model,
            leave_out=leave_out,
            width=max(facts["d"], width or 0),
        )
        commands = part.commands(() if facts["unusable"] else search_commands)
        reasons = [*part.reasons(), *([_NEW_MODEL] if new_model == "NEW_MODEL" else [])]
    elif facts["model"] != "unknown" and facts["model"] == facts["target_model"]:
        route, commands, expected = "same model", (), None
        reasons = [
            f"{facts['model']} probably made the vectors of both collections, so that there is nothing to translate. "
            "Compare the hits of some queries in both before you join them."
        ]
    elif facts["model"] != "unknown":
        route, expected = "public pairs", _PAIRED_QUALITY
        commands = (
            public_pairs_command(
                facts["source"],
                facts["model"],
                target,
                rows=chosen_rows + chosen_new + usable_only,
                new_model=new_model,
            ),
            *after,
        )
        reasons = [
            f"{facts['model']} made the vectors, and anybody can run it. Embed {_PAIRED_ROWS:,} public texts with it "
            f"and with {_new_model_named(facts['target_model'])}, and fit on these pairs. No text of the collection is "
            "needed."
            f"{f' {_NEW_MODEL}' if new_model == 'NEW_MODEL' else ''} TEXTS.txt has one text per line.",
            *_alternative("If you cannot run it, or have no public texts", fit, fewest),
        ]
    elif refused:
        route, commands = "unpaired", ()
        reasons = ["The collection holds no texts, and its model is not known.", few]
    elif target is None:
        embedded = f"--target-encoder {new_model} --texts TEXTS.txt --view-encoder VIEW_MODEL"
        unpaired = f"interlingua fit {source}{chosen_rows}{usable_only} {embedded} --out translator --report fit.html"
        route, commands = "unpaired", (unpaired, *after)
        reasons = [
            "The collection holds no texts, and its model is not known. If the new model can be run here, the first "
            "command embeds public texts with it and aligns the collection with their vectors. TEXTS.txt has one text "
            f"per line, of content similar to that of the collection. {_NEW_MODEL} {_VIEW_MODEL}",
            f"If the new model cannot be run here, align the collection with vectors of such texts that it made: {fit}",
        ]
    else:
        route, commands = "unpaired", (fit, *after)
        reasons = [
            "The collection holds no texts, and its model is not known. Align it with vectors of other texts that the "
            "new model embedded."
        ]
    if route == "unpaired" and few and not refused:
        reasons.append(few)
    if commands and route in ("unpaired", "public pairs"):
        reasons.append(
            "The collection can also stay as it is: `interlingua search` translates queries of the new model into its "
            "space, and the export sentence-transformers makes a model that embeds such queries."
        )
        pairs = "OLD_PAIRS.npy and NEW_PAIRS.npy are vectors of the same texts under both models, row by row."
        if not is_file:
            pairs = "REEMBEDDED is a file or collection of rows that the new model embedded again under their old ids."
        reasons.append(
            f"{pairs} A few hundred that the fit has not seen are enough. Without any, leave out the evaluation. "
            "TARGET is the address of a new file, collection, column or named vector."
        )
        if chosen_rows and not facts["unusable"]:
            reasons.append("The search commands read the whole collection, because a search takes no condition.")
    if facts["texts"] and facts["text_share"] < 1 and not in_part:
        reasons.append(without_text_note(facts["texts"][0], with_text, facts["rows"], public=route == "public pairs"))
    elif mixed and facts["text_share"] < 1 and facts["texts"]:
        reasons.append(
            f"About {with_text:,} of the {facts['rows']:,} rows have a text ({facts['texts'][0]}). Of whichever model "
            "their old vectors are, these can be embedded with the new model (`interlingua embed --skip-bad`), so that "
            "only the rows without a text have to be separated."
        )
    if facts["migrated"]:
        reasons.insert(0, MIGRATED_NOTE)
    if facts["unusable"]:
        of = f"the {facts['sampled'] + facts['unusable']:,} rows that were read"
        reasons.append(
            f"{_without_vector(facts['unusable'], of)}. Such rows are refused, or left out where that is asked for "
            f"(`skip_bad`){', as in these commands' if commands else ''}."
        )
    if target_unusable:
        reasons.append(
            f"{_without_vector(target_unusable, f'the rows of {target} that were read')}. A fit leaves such rows out "
            "where that is asked for (`skip_bad`)."
        )
    if facts["target_model"] not in (None, "unknown") and route != "same model":
        reasons.append(f"The vectors of {target} were probably made by {facts['target_model']}.")
    if target_mixed:
        reasons.append(
            f"About {target_mixed:.0%} of the rows of {target} that were looked at are probably of another model than "
            "the rest. Give a fit the rows of the new model alone; interlingua identify lists the ids of the others."
        )
    if route == "re-embed in part" and target is not None:
        reasons.append(
            f"The vectors of {target} can take part in the fit as well: give them as its TARGET, and the embedded rows "
            "by --reembedded."
        )
    if facts["reduced"] and not mixed:
        reasons.append(REDUCED_NOTE)
    searches = _SEARCHES.get(route) if commands else None
    if searches is not None:
        reasons.append(_compare_with_the_old_model(route, searches, searchable=not facts["unusable"]))
    needed = {"unpaired": NEEDED_ROWS, "public pairs": _PAIRED_ROWS, "re-embed": facts["rows"]}.get(route, 0)
    if route == "re-embed in part":
        needed = with_text
    moved = facts["rows"] if commands and route not in ("separate", "re-embed", "translated") else 0
    if route == "re-embed in part" and rest is not None:
        moved -= with_text
    if route == "unpaired" and available is not None and available < needed:
        reasons.append(f"{target} has {count_of(available)}; {needed:,} of similar content are better.")
    return {
        "route": route,
        "reasons": tuple(reasons),
        "commands": tuple(commands),
        "needed_rows": needed,
        "moved_rows": moved,
        "expected_top1": expected,
        "searches": searches,
    }


def few_rows_note(fewest: int) -> str:
    """Return what an unpaired fit does with so few different rows of the smaller side, or an empty string."""
    if fewest > _FAILED_ROWS:
        return ""
    few = f"The smaller side has about {count_of(fewest, 'different vector')}. "
    if fewest < MIN_ROWS:
        return f"{few}An unpaired fit on fewer than {MIN_ROWS} is refused, so more rows or known pairs are needed."
    return (
        f"{few}Recorded unpaired fits without views on {_FAILED_ROWS:,} rows a side or fewer fail, so more rows or "
        "known pairs are needed, or views: vectors of the target's texts by further models (`interlingua fit "
        "--view-encoder MODEL`)."
    )


def _alternative(condition: str, fit: str, fewest: int) -> list[str]:
    """Return the sentences that offer an unpaired fit on so many different rows; none where it would be refused."""
    if fewest < MIN_ROWS:
        return []
    return list(filter(None, (f"{condition}, an unpaired fit is possible: {fit}", few_rows_note(fewest))))


def _without_vector(count: int, of: str) -> str:
    """Return the clause that so many of some rows cannot be used."""
    return f"{count:,} of {of} {'has' if count == 1 else 'have'} no vector, or one of zeros or NaN"


def _compare_with_the_old_model(route: Route, searches: RecordedSearches, *, searchable: bool) -> str:
    """Return the sentences that advise against a switch without a comparison."""
    (low, high), (old_low, old_high) = searches.ndcg, searches.old_ndcg
    old = f"; the old model has {old_low:.2f} to {old_high:.2f}" if (low, high) != (old_low, old_high) else ""
    ranges = f"(nDCG at 10 of {low:.2f} to {high:.2f}{old})"
    if route == "re-embed":
        return (
            "Compare both models on queries of your own before you switch. The new model itself ranked worse than the "
            f"old one in {searches.worse} of {searches.count} recorded searches ({_SEARCHED})."
        )
    hits = (
        f"The {'first ' if route == 're-embed in part' else ''}two search commands show the hits of the same queries, "
        "embedded by the old model and by the new one."
        if searchable
        else "No commands for this are printed, because a search refuses a collection with rows that cannot be used. "
        "Search a copy without them, by the same queries under both models."
    )
    failed = f" In {searches.failed} more the fit failed." if searches.failed else ""
    return (
        "Before you switch, compare with the old model as long as it can be run. In recorded searches, collections "
        f"translated after such a fit ranked worse than the old model itself in {searches.worse} of {searches.count} "
        f"{ranges}.{failed} They are {_SEARCHED}. {hits} Stay with the old model if its hits are better."
    )


def _name_rows(facts: dict[str, Any]) -> str:
    """Return a phrase for the rows that were looked at."""
    return "the rows" if facts["sampled"] >= facts["rows"] else f"the {facts['sampled']:,} rows that were looked at"


def _new_model_named(model: str | None) -> str:
    return "the new model" if model in {None, "unknown"} else f"{model}, the model of TARGET"


def public_pairs_command(
    source: str, model: str, target: str | None = None, *, rows: str = "", new_model: str = "NEW_MODEL"
) -> str:
    """Return the command that fits on public texts, for a collection of a known model.

    Args:
        source: address of the collection.
        model: its model, as `interlingua.identification.identify` names it.
        target: address of vectors of the new model, if there are some.
        rows: options that select the rows of both, with a space before each.
        new_model: name of the new model for `interlingua.encoders.open_encoder`, if it is known.
    """
    encoder = _ENCODERS.get(model, "command:PROGRAM")
    sides = " ".join(quote(side) for side in (source, target) if side)
    encoders = f"--source-encoder {encoder} --target-encoder {new_model}"
    return f"interlingua fit {sides}{rows} {encoders} --texts TEXTS.txt --out translator"
