"""interlingua: translate text embeddings between models without paired data.

```python
import interlingua as il

alignment = il.align(source, target)  # [n, d_source], [m, d_target]: other texts, no pairs
alignment.verdict.status              # aligned, doubtful or failed
translator = alignment.translator()
target_like = translator.translate(source)
```
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from interlingua.core.alignment import Alignment as Alignment
from interlingua.core.alignment import AlignmentError as AlignmentError
from interlingua.core.alignment import Evidence as Evidence
from interlingua.core.alignment import Status as Status
from interlingua.core.alignment import Verdict as Verdict
from interlingua.core.errors import InputError as InputError
from interlingua.core.errors import InterlinguaError as InterlinguaError
from interlingua.core.errors import SpaceMismatchWarning as SpaceMismatchWarning
from interlingua.core.spaces import EmbeddingSpace as EmbeddingSpace
from interlingua.core.translator import Translator as Translator
from interlingua.core.translator import load as load

if TYPE_CHECKING:
    from interlingua._align import align as align
    from interlingua._align import align_spaces as align_spaces
    from interlingua.evaluation import evaluate as evaluate
    from interlingua.sklearn import EmbeddingTranslator as EmbeddingTranslator

__version__ = version("interlingua")

# What brings scikit-learn along is loaded on first use, so that importing interlingua stays quick.
_LAZY = {
    "align": "interlingua._align",
    "align_spaces": "interlingua._align",
    "evaluate": "interlingua.evaluation",
    "EmbeddingTranslator": "interlingua.sklearn",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
