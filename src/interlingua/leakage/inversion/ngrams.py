"""A language model without weights: which words follow which in public texts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from interlingua.core.arguments import check_count, check_texts
from interlingua.core.errors import InputError
from interlingua.leakage.inversion.guided import Propose

__all__ = ["ngram_model"]

# The factor by which shorter contexts are less probable, as in Brants et al. (2007), section 4.
_BACKOFF = 0.4
# Stands before the first word of a text.
_BEGIN = ""


def ngram_model(texts: Sequence[str], *, order: int = 3) -> Propose:
    """Return a function that proposes the words that follow the last ones in public texts.

    It replaces :func:`causal_lm` if you have no language model. Words are separated by white space and keep their
    case and punctuation. Contexts of ``order - 1`` words are asked first, then shorter ones ("stupid backoff", Brants
    et al. 2007), down to the most frequent words.

    Args:
        texts: public texts, such as those of a corpus, or those nearest to one vector.
        order: the longest run of words that is counted.

    Raises:
        InputError: no text has a word.
    """
    order = check_count(order, "order", minimum=1)
    followers: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text in check_texts(texts, "texts"):
        words = [*[_BEGIN] * (order - 1), *text.split()]
        for at in range(order - 1, len(words)):
            for length in range(order):
                followers[tuple(words[at - length : at])][words[at]] += 1
    if not followers:
        raise InputError("No text has a word; give public texts.")
    ranked = {context: (counts.total(), counts.most_common()) for context, counts in followers.items()}

    def propose(text: str, k: int) -> list[tuple[str, float]]:
        words = [*[_BEGIN] * (order - 1), *text.split()]
        found: dict[str, float] = {}
        for length in reversed(range(order)):
            total, counts = ranked.get(tuple(words[len(words) - length :]), (0, []))
            shorter = order - 1 - length
            for word, count in counts[:k]:
                found.setdefault(word, math.log(count / total) + shorter * math.log(_BACKOFF))
            if len(found) >= k:
                break
        space = "" if not text or text[-1].isspace() else " "
        return [(space + word, p) for word, p in sorted(found.items(), key=lambda item: -item[1])[:k]]

    return propose
