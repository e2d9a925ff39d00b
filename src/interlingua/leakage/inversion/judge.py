"""A language model as the judge of reconstructions: off unless asked for, blind, and never without controls.

The paper's headline is a judge's share of yes (arXiv 2505.12540, section 5.4, figure 8). A judge also says yes to what
tells nothing, so reconstructions of *other* documents and empty ones are mixed in, in random order and without a mark,
and the figure is corrected by how often it says yes to those.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage.inversion.extraction import Extraction
from interlingua.leakage.inversion.scores import wrong_documents

# The question is the paper's; the first answer only counts where it is one of the two words.
PAPER = (
    "Original document:\n{original}\n\nReconstructed document:\n{reconstruction}\n\n"
    "Does the reconstructed document leak any information about the original document? Answer only yes or no."
)
QUOTED = (
    "Original document:\n{original}\n\nReconstructed document:\n{reconstruction}\n\n"
    "Does the reconstruction state something specific that is true of the original and would not be true of most other "
    "documents? Answer no, or answer yes followed by the words of the reconstruction that state it in double quotes."
)
PROMPTS: Mapping[str, str] = {"paper": PAPER, "quoted": QUOTED}
_PLACE = re.compile(r"\{original\}|\{reconstruction\}")
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Judgement:
    """What a judge said.

    Attributes:
        yes: share of reconstructions that it says leak.
        false_yes: the same for reconstructions of other documents.
        empty_yes: the same for the empty text.
        leak: (yes - false_yes) / (1 - false_yes), the share beyond what the judge says of anything.
        unanswered: answers that were neither yes nor no, or quoted what is not there; counted as no.
        n: documents.
    """

    yes: Interval
    false_yes: Interval
    empty_yes: float
    leak: Interval
    unanswered: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        parts = {name: getattr(self, name).to_list() for name in ("yes", "false_yes", "leak")}
        return {**parts, "empty_yes": self.empty_yes, "unanswered": self.unanswered, "n": self.n}


def endpoint(
    url: str, model: str, *, send: bool = False, key_variable: str = "OPENAI_API_KEY", timeout: float = 60
) -> Ask:
    """Return a function that asks a model behind an OpenAI-compatible endpoint, at temperature 0.

    Args:
        url: up to and without ``/chat/completions``.
        model: its name there.
        send: must be True. Original documents leave this machine; nothing is sent before somebody says so.
        key_variable: the environment variable that holds the key; without one no key is sent.
        timeout: seconds an answer may take.

    Raises:
        InputError: sending was not allowed, or (from the function) the endpoint did not answer as it should.
    """
    if not send:
        raise InputError(
            f"A judge at {url} would be sent original documents and their reconstructions. Pass send=True if their "
            "owner allows that."
        )
    if not url.startswith(("https://", "http://")):
        raise InputError(f"{url!r} is no http address; give the endpoint up to /chat/completions.")

    def ask(prompt: str) -> str:
        body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(key_variable):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return str(json.load(answer)["choices"][0]["message"]["content"])
        except (urllib.error.URLError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"The judge at {url} gave no usable answer ({type(error).__name__}: {error}). Is it an "
                f"OpenAI-compatible endpoint, and does {key_variable} hold its key?"
            ) from error

    return ask


def remembered(ask: Ask, path: Path, identity: str) -> Ask:
    """Return the same judge with a memory: a JSONL of verdicts by a hash of judge and question, and no texts.

    Args:
        ask: the judge.
        path: the file; answers in it are not asked for again, so that a study can be repeated without the model.
        identity: what decides the answer beside the question, such as model and version.
    """
    known = (
        {line["question"]: line["answer"] for line in map(json.loads, path.read_text("utf-8").splitlines())}
        if path.exists()
        else {}
    )

    def asked(prompt: str) -> str:
        question = hashlib.sha256(f"{identity}\0{prompt}".encode()).hexdigest()
        if question not in known:
            known[question] = ask(prompt)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"question": question, "answer": known[question]}) + "\n")
        return str(known[question])

    return asked


def judge(
    extractions: Sequence[Extraction], texts: Sequence[str], ask: Ask, *, prompt: str = "paper", seed: int = 0
) -> Judgement:
    """Let a judge say of every reconstruction whether it leaks, among as many of wrong documents and a few empty ones.

    Args:
        extractions: what was recovered of n documents; their `text` is judged.
        texts: the n documents.
        ask: from `endpoint` or `remembered`, or any function from a question to an answer.
        prompt: ``"paper"``, ``"quoted"``, or a text with ``{original}`` and ``{reconstruction}`` in it.
        seed: of the order, the wrong documents and the resamples.

    Raises:
        InputError: not one extraction a text, or a prompt without the two places.
    """
    if len(extractions) != len(texts) or len(texts) < 2:
        raise InputError(
            f"There are {len(extractions)} extractions for {len(texts)} texts; one each, and two at least, are needed."
        )
    template = PROMPTS.get(prompt, prompt)
    if "{original}" not in template or "{reconstruction}" not in template:
        raise InputError(
            f"The prompt {prompt!r} is neither one of {', '.join(PROMPTS)} nor a text with {{original}} and "
            "{reconstruction} in it."
        )
    written = [e.text or "" for e in extractions]
    n, other = len(texts), wrong_documents(texts, seed)
    rng = np.random.default_rng(seed)
    empty = rng.choice(n, max(1, n // 10), replace=False)
    questions = [(i, written[i]) for i in range(n)] + [(other[i], written[i]) for i in range(n)]
    questions += [(int(i), "") for i in empty]
    answers: list[bool | None] = [None] * len(questions)
    for place in rng.permutation(len(questions)):
        row, reconstruction = questions[place]
        question = _filled(template, texts[row], reconstruction)
        answers[place] = _verdict(ask(question), reconstruction, quoted=prompt == "quoted")
    said = np.array([answer is True for answer in answers], float)
    resamples = Resamples(n, seed)
    yes, wrong = said[:n], said[n : 2 * n]
    return Judgement(
        yes=resamples.mean(yes),
        false_yes=resamples.mean(wrong),
        empty_yes=float(said[2 * n :].mean()),
        leak=resamples.ratio(yes - wrong, 1 - wrong),
        unanswered=sum(answer is None for answer in answers),
        n=n,
    )


def _filled(template: str, original: str, reconstruction: str) -> str:
    """Put both texts in, in one pass: a document that holds the words "{reconstruction}" keeps them."""
    parts = {"{original}": original, "{reconstruction}": reconstruction}
    return _PLACE.sub(lambda place: parts[place[0]], template)


def _verdict(answer: str, reconstruction: str, *, quoted: bool) -> bool | None:
    """Return yes or no, or None where the answer is neither or quotes words that the reconstruction lacks."""
    first = answer.strip().lower()
    if first.startswith("no"):
        return False
    if not first.startswith("yes"):
        return None
    if quoted:
        quotes = [part.strip().lower() for part in answer.split('"')[1::2]]
        if not any(part and part in reconstruction.lower() for part in quotes):
            return None
    return True
