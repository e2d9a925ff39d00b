"""A language model as the judge of reconstructions, blind and with controls.

vec2vec reports the share of reconstructions that leak information according to a judge (arXiv 2505.12540, section 5.4,
figure 8). A judge also says yes to reconstructions without information. Reconstructions of *other* documents and empty
ones are therefore mixed in, in random order, and the share is corrected by the rate of yes on those.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from interlingua.core.arguments import check_callable, check_count, check_flag, check_number, check_path, check_text
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import JsonRecord, Resamples
from interlingua.leakage.inversion.extraction import Extraction, check_extractions
from interlingua.leakage.inversion.scores import wrong_documents
from interlingua.stores._secrets import may_hold_secret

__all__ = ["Ask", "Judgment", "cached", "endpoint", "judge"]

# The question of the paper. An answer counts only if it starts with yes or no.
_PAPER = (
    "Original document:\n{original}\n\nReconstructed document:\n{reconstruction}\n\n"
    "Does the reconstructed document leak any information about the original document? Answer only yes or no."
)
_QUOTED = (
    "Original document:\n{original}\n\nReconstructed document:\n{reconstruction}\n\n"
    "Does the reconstruction state something specific that is true of the original and would not be true of most other "
    "documents? Answer no, or answer yes followed by the words of the reconstruction that state it in double quotes."
)
_PROMPTS: Mapping[str, str] = {"paper": _PAPER, "quoted": _QUOTED}
_PLACEHOLDER = re.compile(r"\{original\}|\{reconstruction\}")
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Judgment(JsonRecord):
    """Answers of a judge.

    Attributes:
        yes: share of reconstructions that leak, according to the judge.
        false_yes: share of yes for reconstructions of other documents.
        empty_yes: share of yes for the empty text.
        leak: (yes - false_yes) / (1 - false_yes), the share corrected for false answers.
        unanswered: answers that were neither yes nor no, or quoted words that the reconstruction lacks; counted as no.
        n: documents.
    """

    yes: Interval
    false_yes: Interval
    empty_yes: float
    leak: Interval
    unanswered: int
    n: int


def endpoint(
    url: str, model: str, *, send: bool = False, key_variable: str = "OPENAI_API_KEY", timeout: float = 60
) -> Ask:
    """Return a function that sends questions to an OpenAI-compatible endpoint, at temperature 0.

    Args:
        url: address of the endpoint, without ``/chat/completions``.
        model: name of the model at the endpoint.
        send: must be True, because original documents leave this machine.
        key_variable: the environment variable that holds the key; without one no key is sent.
        timeout: longest wait for an answer in seconds.

    Raises:
        InputError: the address is not of a kind that documents may be sent to, ``send`` is not True, or (from the
            returned function) the endpoint gave no usable answer.
    """
    model, key_variable = check_text(model, "model"), check_text(key_variable, "key_variable")
    _check_address(url, key_variable)
    timeout = check_number(timeout, "timeout", above=0)
    if not check_flag(send, "send"):
        raise InputError(
            f"A judge at {url} would be sent original documents and their reconstructions.",
            "Pass {send} if their owner allows that.",
        )

    def ask(prompt: str) -> str:
        body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(key_variable):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout) as answer:
                return str(json.load(answer)["choices"][0]["message"]["content"])
        except (urllib.error.URLError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"The judge at {url} gave no usable answer ({type(error).__name__}: {error}). Is it an "
                f"OpenAI-compatible endpoint, and does {key_variable} hold its key?"
            ) from error

    return ask


def _check_address(url: Any, key_variable: str) -> None:
    """Refuse an address that holds a secret, or from which other machines of the network could read along.

    Raises:
        InputError: the message repeats the address only if it holds no secret.
    """
    if not isinstance(url, str):
        # The value is not repeated: it may hold a password.
        raise InputError(f"url is of type {type(url).__name__}; a string is needed.")
    if may_hold_secret(url):
        raise InputError(
            "The address of the judge holds a password or a key and is not repeated.",
            f"Leave it out, and set {key_variable} to the key.",
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("https", "http") or not host:
        raise InputError(f"{url!r} is not an http address; give the endpoint up to /chat/completions.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputError(
            f"{url} would receive the documents and the key in plain text.",
            "Use https; plain http is for an endpoint on this machine, such as http://127.0.0.1:8000/v1.",
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would send the key to an address that was not checked."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def cached(ask: Ask, path: Path, identity: str) -> Ask:
    """Return the judge with a cache on disk: JSON lines of answers by a hash of judge and question, without texts.

    Args:
        ask: the judge.
        path: the file; questions whose answers it holds are not sent again.
        identity: what determines the answer besides the question, such as model and version.
    """
    check_callable(ask, "ask", "a function from a question to an answer")
    path, identity = check_path(path), check_text(identity, "identity")
    answers = (
        {line["question"]: line["answer"] for line in map(json.loads, path.read_text("utf-8").splitlines())}
        if path.exists()
        else {}
    )

    def ask_once(prompt: str) -> str:
        question = hashlib.sha256(f"{identity}\0{prompt}".encode()).hexdigest()
        if question not in answers:
            answers[question] = ask(prompt)
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"question": question, "answer": answers[question]}) + "\n")
        return str(answers[question])

    return ask_once


def judge(
    extractions: Sequence[Extraction], texts: Sequence[str], ask: Ask, *, prompt: str = "paper", seed: int = 0
) -> Judgment:
    """Ask a judge whether each reconstruction leaks, mixed with as many of wrong documents and with empty ones.

    Args:
        extractions: what was recovered of n documents; their `text` is judged.
        texts: the n documents.
        ask: a function from a question to an answer, from `endpoint` or `cached`.
        prompt: ``"paper"``, ``"quoted"``, or a template with ``{original}`` and ``{reconstruction}``.
        seed: seed of the order, the wrong documents and the resamples.

    Raises:
        InputError: not one extraction per text, or a template without both placeholders.
    """
    extractions, texts = check_extractions(extractions, texts, minimum=2)
    check_callable(ask, "ask", "a function from a question to an answer")
    template, seed = _PROMPTS.get(check_text(prompt, "prompt"), prompt), check_count(seed, "seed")
    if "{original}" not in template or "{reconstruction}" not in template:
        raise InputError(
            f"The prompt {prompt!r} is neither one of {', '.join(_PROMPTS)} nor a string with {{original}} and "
            "{reconstruction} in it."
        )
    written = [e.text or "" for e in extractions]
    n, other = len(texts), wrong_documents(texts, seed)
    rng = np.random.default_rng(seed)
    empty = rng.choice(n, max(1, n // 10), replace=False)
    questions = [(i, written[i]) for i in range(n)] + [(other[i], written[i]) for i in range(n)]
    questions += [(int(i), "") for i in empty]
    answers: list[bool | None] = [None] * len(questions)
    for position in rng.permutation(len(questions)):
        row, reconstruction = questions[position]
        question = _filled(template, texts[row], reconstruction)
        answers[position] = _verdict(ask(question), reconstruction, quoted=prompt == "quoted")
    positive = np.array([answer is True for answer in answers], float)
    resamples = Resamples(n, seed)
    yes, wrong = positive[:n], positive[n : 2 * n]
    return Judgment(
        yes=resamples.mean(yes, share=True),
        false_yes=resamples.mean(wrong, share=True),
        empty_yes=float(positive[2 * n :].mean()),
        leak=resamples.ratio(yes - wrong, 1 - wrong),
        unanswered=sum(answer is None for answer in answers),
        n=n,
    )


def _filled(template: str, original: str, reconstruction: str) -> str:
    """Fill the template in one pass, so that placeholders inside a document are left alone."""
    parts = {"{original}": original, "{reconstruction}": reconstruction}
    return _PLACEHOLDER.sub(lambda match: parts[match[0]], template)


def _verdict(answer: str, reconstruction: str, *, quoted: bool) -> bool | None:
    """Return yes or no, or None for any other answer and for quotes that are not in the reconstruction."""
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
