"""The route of a collection of which only a part of the rows has a text."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

from interlingua.aligners.base import pairs_enough_alone

__all__ = ["PartlyWithTexts", "fewest_texts", "row_options", "without_text_note"]

# With fewer texts, the collection is treated as one without texts. If its model is known, the second number holds,
# because a fit on public texts is better than one on fewer texts of its own.
_FEWEST_TEXTS, _FEWEST_OF_KNOWN = 100, 1_000
# Searches with 30% native rows (benchmarks/results/texts-in-part.jsonl); a test compares them with the records.
_RECORDED = (
    "In recorded searches after fits on pairs, rows with a text were 0.30 to 0.31 of the true hits, 0.09 to 0.36 of "
    "those in one table, and 0.42 to 0.45 of those with matched scores; recall at 10 was 0.44 to 0.61 in one table, "
    "and 0.56 to 0.59 with matched scores."
)
_NATIVE, _REST = "NATIVE", "TRANSLATED"


@dataclass(frozen=True)
class PartlyWithTexts:
    """What the route needs to know of the collection.

    Attributes:
        source: address of the collection.
        column: its column of texts.
        rows: number of rows with a vector.
        with_text: estimated number of these rows that have a text.
        where: the condition that the rows had to meet, or None.
        rest: the condition for rows without a text, in the language of the store; None where it cannot select rows.
        new_model: name of the new model for `interlingua.encoders.open_encoder`.
        leave_out: option that leaves out rows without a usable vector, with a space before it, or an empty string.
        width: of the wider of the two spaces, as far as they are known.
    """

    source: str
    column: str
    rows: int
    with_text: int
    where: str | None
    rest: str | None
    new_model: str
    leave_out: str
    width: int

    def commands(self, searches: tuple[str, ...]) -> tuple[str, ...]:
        """Return the commands of the route, in order.

        Args:
            searches: commands that compare the old model with a search of the old vectors by translated queries.
        """
        source, rows = quote(self.source), row_options(self.where)
        embed = f"interlingua embed {source} {_NATIVE}{rows} --encoder {self.new_model}"
        embed += f" --text-column {quote(self.column)} --skip-bad"
        bad = " --skip-bad" if self.leave_out == " --skip-bad" else ""
        chosen = self.where
        if self.rest is not None:
            chosen = self.rest if self.where is None else f"({self.where}) AND ({self.rest})"
        migrate = f"interlingua migrate translator {source} {_REST}{row_options(chosen)}{self.leave_out}"
        search = f"interlingua search translator {_REST} {_NATIVE} --translated --query NEW_QUERIES.npy"
        return (
            f"{embed} --dry-run",
            embed,
            f"interlingua fit {source} {_NATIVE}{rows} --pair-by-id{bad} --out translator --report fit.html",
            *searches,
            f"{migrate} --dry-run",
            migrate,
            search if self.rest is not None else f"{search} --unique-ids",
        )

    def reasons(self) -> list[str]:
        """Return sentences that explain the route."""
        rest = self.rows - self.with_text
        enough = pairs_enough_alone(self.width)
        fit = (
            "These pairs are enough for a fit on pairs alone."
            if self.with_text >= enough
            else f"With fewer than {enough:,} of them the pairs guide a fit without pairs, whose verdict may "
            "be failed: vectors of further texts by the new model help, embedded under new ids and added to the same "
            "collection."
        )
        selection = (
            "The command that migrates selects the rows without a text by a condition."
            if self.rest is not None
            else "No condition selects the rows without a text here, so that the command translates all rows; "
            "the search lists a row that is in both collections once, with its vector of the new model."
        )
        return [
            f"About {self.with_text:,} of the {self.rows:,} rows have a text ({self.column}). Embed these with the new "
            "model. Their new vectors are of use twice: under their old ids they are known pairs for the fit, and "
            "they need no translation. Translate only the other rows, about "
            f"{rest:,}. {fit}",
            f"In these commands, {_NATIVE} and {_REST} are addresses of two new collections. {selection} "
            "`embed --dry-run` embeds a few texts and says how long all of them take. Its option --catch-up embeds "
            f"texts that arrived meanwhile, unless {_NATIVE} is a file or a FAISS index.",
            "Search the two collections as the last command does, which matches their scores by samples of both, and "
            "not in one table. The cosines of a query with vectors of the new model and with translations are on "
            "different scales, so that in one table either kind can take more than its share of the hits. "
            f"{_RECORDED} Where a hit must be right, rank again by the texts that are there (`search --rerank`).",
        ]


def fewest_texts(*, known: bool) -> int:
    """Return from how many rows with a text on they are embedded again and are the pairs of a fit.

    Args:
        known: whether the model of the collection is one that anybody can run.
    """
    return _FEWEST_OF_KNOWN if known else _FEWEST_TEXTS


def row_options(where: str | None, option: str = "--where") -> str:
    """Return the option that selects rows by a condition, with a space before it; empty without a condition."""
    return "" if where is None else f" {option} {quote(where)}"


def without_text_note(column: str, with_text: int, rows: int, *, public: bool) -> str:
    """Return what to do with the texts of a collection that has another route because they are few.

    Args:
        column: the column of texts.
        with_text: estimated number of rows with a text.
        rows: number of rows.
        public: whether the other route is a fit on public texts.
    """
    better = (
        f"With fewer than {_FEWEST_OF_KNOWN:,} of them, a fit on public texts is better than one on these. "
        if public
        else ""
    )
    return (
        f"About {with_text:,} of the {rows:,} rows have a text ({column}). {better}Embed them with the new model "
        f"(`interlingua embed ... --text-column {quote(column)} --skip-bad`): under their old ids they are pairs for "
        "`interlingua evaluate`, and `search --rerank` reads them."
    )
