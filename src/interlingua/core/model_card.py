"""The README of a translator, in the form that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from interlingua.core.summaries import own_reasons, reduced_notes
from interlingua.core.wording import evidence_cells

__all__ = ["escape_markdown", "model_card"]

_EVIDENCE_HEADING = "| evidence | value | null | needed | passed | meaning |\n|---|--:|--:|--:|---|---|"

_NO_THRESHOLDS = "thresholds do not, because scores of translated vectors are on a scale of their own."
_THRESHOLDS = """scores of translated vectors are on a scale of their own. `translator.calibrate(scores)` converts
  them to the scale of the target model, and with `scale="source"` to that of the source model, so that thresholds can
  be used."""


def model_card(card: Mapping[str, Any], *, name: str = "this-folder") -> str:
    """Return the README of a translator: what it translates, its verdict, an example, and its limits.

    Names and reasons are escaped, so that they appear in Markdown as they were written.

    Args:
        card: the translator's, with ``kind`` and ``maps``.
        name: the folder or repository that the example loads.
    """
    verdict = card.get("verdict") or {}
    source, target = ({"name": side, **_filled(card.get(side))} for side in ("source", "target"))
    names = [escape_markdown(space["name"]) for space in (source, target)]
    reasons = "\n".join(f"- {escape_markdown(reason)}" for reason in own_reasons(verdict))
    rows = "\n".join(
        f"| {' | '.join(map(escape_markdown, evidence_cells(item)))} |" for item in verdict.get("evidence", ())
    )
    evidence = f"\n{_EVIDENCE_HEADING}\n{rows}\n" if rows else ""
    reduced = "".join(f"\n- {sentence}" for sentence in reduced_notes(card.get("reduced") or {}))
    versions = ", ".join(f"{package} {version}" for package, version in sorted(card.get("versions", {}).items()))
    return f"""---
library_name: interlingua
tags: [embedding-translation]
---
# {names[0]} ({source.get("d")}) to {names[1]} ({target.get("d")})

Translates text embeddings of one model into another's space, and back. Fitted by interlingua, method
`{card.get("method")}`, seed {card.get("seed")}, on {source.get("n")} source and {target.get("n")} target rows.

```python
import interlingua as il

translator = il.Translator.from_pretrained({json.dumps(name)})
target_vectors = translator.translate(source_vectors)
```

## Verdict

From label-free evidence: **{verdict.get("status", "none")}** (score {verdict.get("score", 0):.2f}).

{reasons}
{evidence}
## Limits

- A translated vector is an approximation: it keeps what both models share and loses the rest. It is not the same as
  embedding the text with the target model.
- Rankings carry over; {_THRESHOLDS if "calibration" in card else _NO_THRESHOLDS}
- Vectors of any other model give meaningless results. Batches of 50 rows and more that cannot be of the fitted space
  are refused, with what they look like instead. Fewer rows are refused only where one row can tell.{reduced}

## Provenance

Source `{source.get("fingerprint")}`, target `{target.get("fingerprint")}`, kind `{card.get("kind")}`. {versions}
"""


def escape_markdown(text: Any) -> str:
    """Return a string on one line with the characters escaped that Markdown or HTML would interpret."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(str(text).split()))


def _filled(space: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (space or {}).items() if value is not None}
