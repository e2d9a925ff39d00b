"""Migration of one store through a translator into another: survey, copy, index, check. It can resume at any point.

The source is read three times and never written to. The survey reads every row, refuses what cannot be translated
before anything is made, and records digests of all rows and pages. The copy compares every page with its digest. A page
is recorded as written after the target has stored it, so a crash repeats at most one page, under the same ids. At the
end every row of the source is compared with its digest once more, and rows that changed after they had been copied are
listed; a source that is read from a copy is only read again if its files have changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_callable, check_flag, check_instance, check_path
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.translator import Translator
from interlingua.core.wording import count_of
from interlingua.stores._choices import LEAVING_OUT, check_choices, differences, that_matter
from interlingua.stores._conversion import Conversion
from interlingua.stores._finished import RENAME_BACK, left_by_catch_up
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._made import check_not_renamed
from interlingua.stores._marks import job_name
from interlingua.stores._origin import is_embedding, made_by
from interlingua.stores._places import check_moved, is_recorded
from interlingua.stores._protocol import Store
from interlingua.stores._run import Run, Watch, skipped_path
from interlingua.stores.changes import changes_path, find_vanished
from interlingua.stores.planning import (
    PAGE_ROWS,
    Options,
    Plan,
    advise_skip_bad,
    make_plan,
    options_for,
    target_spec,
)
from interlingua.stores.reembedding import TextEmbedder
from interlingua.stores.rollback import Rollback, rollback

__all__ = ["Migration", "Rollback", "check_journal", "migrate", "rollback"]


# Phases in which the pages of the survey are read again.
_BY_PAGE = frozenset({"creating", "copying"})


@dataclass(frozen=True)
class Migration:
    """What a migration did.

    Attributes:
        plan: the plan that was made before the first row was written.
        rows: rows in the target.
        resumed_from: rows that an earlier run had written.
        checked: rows that were read again from both sides and compared.
        largest_error: largest absolute difference between a value of those rows and its translation. Both are scaled
            to unit norm first if the target does so.
        updated: rows of the source that changed after they had been copied; the target has them as they were before.
        added: rows of the source that were not copied, because they appeared later.
        deleted: rows that were copied and that the source no longer has.
        gone: of these, rows whose new vector in the same collection was deleted, too. The target holds the others.
        changed_ids: file that lists the ids of these rows, ``None`` if there are none, or if they are only rows whose
            deletion the last catch-up already listed, or that took their new vectors with them.
        seconds: duration of each phase of this run.
        journal: path of the journal, which a rollback needs.
        skipped_ids: file that lists the ids of the rows that were left out, ``None`` if none were.
        finished_before: whether an earlier run had finished it, so that this one only compared rows once more.
        page_rows: rows that were read together. Rows that an earlier run surveyed are copied in pages of its size.
    """

    plan: Plan
    rows: int
    resumed_from: int
    checked: int
    largest_error: float
    seconds: dict[str, float]
    journal: str
    updated: int = 0
    added: int = 0
    deleted: int = 0
    gone: int = 0
    changed_ids: str | None = None
    skipped_ids: str | None = None
    finished_before: bool = False
    page_rows: int = PAGE_ROWS


def migrate(
    translator: Translator | TextEmbedder,
    source: Store,
    target: Store,
    *,
    journal: str | Path,
    options: Options | None = None,
    resume: bool = False,
    on_rows: OnRows | None = None,
) -> Migration:
    """Translate every row of ``source``, or embed its text, into a new collection or vector.

    Args:
        translator: fitted on the source's space; or an embedder of the texts in a payload column, whose vectors are
            then written in place of translations.
        source: read, never written to.
        target: must not exist yet.
        journal: a file outside both databases. It must not exist yet, except to resume.
        options: how to migrate. To resume, the default of ``page_rows`` stands for that of the first run, and rows that
            it surveyed are copied in pages of its size in any case.
        resume: continue the migration of this journal. Rows that were added to the source since it began are not
            copied, and listed at the end.
        on_rows: called with the phase, the rows done and the number of rows.

    Raises:
        InputError: something cannot be used; or, to resume, source, translator or options have changed.
        OutputExistsError: the target or the journal exists already.
        InterlinguaError: a server went away or the check at the end failed; the journal records the progress.
    """
    watch, path = Watch(), check_path(journal, "journal")
    check_instance(translator, "translator", (Translator, TextEmbedder), "a Translator or a TextEmbedder")
    for store, name in ((source, "source"), (target, "target")):
        check_instance(store, name, Store, "a store, as open_store returns it,")
    check_instance(options, "options", (Options, type(None)), "Options or None")
    options = options_for(translator, options)
    if on_rows is not None:
        check_callable(on_rows, "on_rows", "a function or None")
    resume = check_flag(resume, "resume")
    if not resume:
        check_journal(path, source, target, options)
    else:
        with closing(MigrationJournal(path, create=False)) as log:
            if log.phase == "done" and not target.capabilities.appends:
                check_not_renamed(log, target)
            # Rows that are left to copy are compared page by page with the survey, in pages of its size.
            if "options" in log.facts and (options.page_rows == PAGE_ROWS or log.phase in _BY_PAGE):
                options = replace(options, page_rows=log.facts["options"]["page_rows"])
            # Rows that a catch-up left out are no changes since.
            left_out: dict[str, Any] = dict.fromkeys(log.facts.get("left_out", ()), True)
            options = replace(options, **left_out)
    with nullcontext() if resume else advise_skip_bad(options):
        info = options.read_info(source)
        spec = target_spec(translator, source, target, info, options)
        plan = None if resume else make_plan(translator, source, target, info, spec, options)
    if plan is not None:
        check_choices(plan, options)
    with closing(MigrationJournal(path, create=not resume)) as log:
        facts = {
            "source": str(source.url),
            "target": str(target.url),
            "source_path": source.url.resolved_path,
            "target_path": target.url.resolved_path,
            "source_facts": info.identity(),
            "translator": translator.fingerprint(),
            "options": asdict(options),
        }
        if "job" in log.facts:
            _check_unchanged(log, source, target, facts)
            check_moved(log, target)
        if "job" not in log.facts or (
            log.phase == "surveying" and any(log.facts[name] != facts[name] for name in ("source_facts", "options"))
        ):
            # Nothing has been read or made yet that the rows of the source would have to agree with.
            if plan is None:
                plan = make_plan(translator, source, target, info, spec, options)
                check_choices(plan, options)
            job = job_name(translator.fingerprint(), time.time_ns(), embeds=is_embedding(plan.origin))
            log.note(job=job, plan=asdict(plan), **facts)
        planned = Plan.from_dict(log.facts["plan"])
        spec = replace(spec, job=str(log.facts["job"]), count=planned.rows, metric=planned.metric)
        conversion = Conversion(translator, source, target, spec, options)
        resumed_from = log.rows(done=True)
        run = Run(conversion, info, log, on_rows or (lambda phase, done, rows: None), resumed=bool(resumed_from))
        try:
            with advise_skip_bad(options):
                run.survey(watch)
        except BaseException:
            # Nothing has been made yet, and a journal of nothing would only block the next attempt.
            log.discard()
            raise
        finished_before = log.phase == "done"
        with _advise_catch_up(log):
            run.create()
            run.copy(watch)
            run.index(watch)
            checked, error, changes = run.check(watch)
        changed = bool(changes)
        if changed and not (changes.updated or changes.added):
            # The last catch-up found the same rows deleted, and left them in the target.
            changed = not left_by_catch_up(log, changes.unchanged)
        changed_ids = None
        if changed:
            changed_ids = changes.write(changes_path(path), find_vanished(target, log, changes, info.id_type))
        log.note(phase="done")
        # The plan of the first run, not a new estimate: the rows just written may have filled the disk.
        return Migration(
            plan=planned,
            rows=log.row_count(),
            resumed_from=log.row_count() if finished_before else resumed_from,
            checked=checked,
            largest_error=error,
            seconds=watch.seconds,
            journal=str(path),
            updated=len(changes.updated),
            added=len(changes.added),
            deleted=changes.deleted,
            gone=changes.gone,
            changed_ids=changed_ids,
            skipped_ids=str(skipped_path(path)) if planned.nulls or planned.bad else None,
            finished_before=finished_before,
            page_rows=options.page_rows,
        )


def check_journal(path: Path, source: Store, target: Store, options: Options) -> None:
    """Refuse to start a migration over the journal of an earlier one; the journal of a rolled back one is removed.

    Raises:
        OutputExistsError: the file exists; the message says whether this very migration can be resumed.
        InputError: the file is not a journal, or its folder cannot be written to.
    """
    if not path.exists():
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            raise InputError(
                f"The folder {path.parent.resolve()} of the journal cannot be written to. Name a journal in "
                "another folder."
            )
        return
    with closing(MigrationJournal(path, create=False)) as log:
        facts, phase = log.facts, log.phase
        if phase == "rolled back":
            log.discard()
            return
        if "job" not in facts:
            state, remedy = "is the journal of an earlier run that wrote nothing.", "Go on with {resume}, or remove it."
        elif not (is_recorded(facts, "source", source.url) and is_recorded(facts, "target", target.url)):
            state = f"is the journal of a migration of {facts['source']} to {facts['target']}."
            remedy = "Name another journal."
        elif phase == "done" and that_matter(facts["options"]) != that_matter(options):
            changed = differences(that_matter(facts["options"]), that_matter(options)).replace(" and is ", " and are ")
            state = f"is of a finished migration between these stores, whose options were {changed}."
            remedy = "Name another journal and another target."
        elif phase == "done":
            state = "shows that this migration is finished."
            remedy = (
                "Rows of the source that are new or have changed are copied by {catch_up}. If the target still exists, "
                "{resume} compares it once more. "
                "The migration can start again after {rollback}, which drops the target."
            )
        else:
            state = f"shows that this migration was interrupted with {count_of(log.rows(done=True))} written."
            remedy = "Go on with {resume}, or run {rollback} to drop what it made."
        raise OutputExistsError(f"{path} {state}", remedy)


def _check_unchanged(log: MigrationJournal, source: Store, target: Store, facts: dict[str, Any]) -> None:
    """Refuse to resume a migration that was rolled back, or with another source, translator, target or options.

    Rows that were added to the source, or are gone from it, are no reason: the copy and the check at the end compare
    the rows with those that the journal records, which are those of the survey or of the last catch-up.
    """
    if log.phase == "rolled back":
        raise InputError(f"{log.path}: this migration was rolled back.", "Start it again without {resume}.")
    before = log.facts
    places = [name for name, store in (("source", source), ("target", target)) if is_recorded(before, name, store.url)]
    ignored = {"source_path", "target_path", *places}
    for name, given in facts.items():
        recorded: Any = before.get(name)
        value: Any = given
        if name == "options":
            recorded, value = that_matter(before[name]), that_matter(given)
            if log.phase == "done":
                # A catch-up may have left out rows that arrived since.
                recorded |= {key: True for key in LEAVING_OUT if value[key]}
        if name == "source_facts":
            # The new vectors of a finished migration have a metric of their own.
            apart = {"count": None} | ({"metric": None} if log.phase == "done" else {})
            recorded, value = ({**content, **apart} for content in (before[name], given))
        if name in ignored or recorded == value:
            continue
        what = name.replace("source_facts", "content of the source").replace("_", " ")
        what = what.replace("translator", made_by(before["plan"]))
        change = f"was {differences(recorded, value)}"
        if name == "options":
            change = change.replace("was ", "were ", 1).replace(" and is ", " and are ")
        if log.phase == "done":
            copied = "Rows of the source that are new or have changed are copied by {catch_up}."
            remedy = f"Use the same {what} in every command about it. {copied}"
            if name == "source_facts":
                remedy = RENAME_BACK
            raise InputError(f"{log.path}: this migration is finished. Since then the {what} {change}.", remedy)
        remedy = f"Use the same {what} again, or run {{rollback}} to undo the migration and start again."
        if name == "options":
            changed = [key for key in value if recorded.get(key) != value[key]]
            remedy += f" Those of the first run: {_as_arguments(recorded, changed)}."
        raise InputError(f"{log.path} cannot be resumed: the {what} {change}.", remedy)


@contextmanager
def _advise_catch_up(log: MigrationJournal) -> Iterator[None]:
    """Point to a catch-up in errors about a finished migration: it is in use, and must not be dropped for a change."""
    try:
        yield
    except InterlinguaError as error:
        if log.phase == "done":
            error.remedy = (
                f"{log.path} records this migration as finished. {{catch_up}} copies new and changed rows of the "
                "source and restores rows that the target has lost; {rollback} would drop the target."
            )
        raise


def _as_arguments(options: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return the given options as a remedy names them: each as an argument, or as one to leave out."""
    used = {name: options.get(name) for name in names}
    # The value of an argument ends at the first brace.
    values = {name: "..." if "}" in str(value) else value for name, value in used.items() if value}
    given = [f"{{{name}={value}}}" if value is not True else f"{{{name}}}" for name, value in values.items()]
    return ", ".join([*given, *(f"without {{{name}}}" for name, value in used.items() if not value)])
