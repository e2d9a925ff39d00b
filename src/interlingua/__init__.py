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

from interlingua.alignment import Alignment as Alignment
from interlingua.alignment import Evidence as Evidence
from interlingua.alignment import Status as Status
from interlingua.alignment import Verdict as Verdict
from interlingua.errors import AlignmentError as AlignmentError
from interlingua.errors import InputError as InputError
from interlingua.errors import InterlinguaError as InterlinguaError
from interlingua.errors import SpaceMismatchWarning as SpaceMismatchWarning
from interlingua.spaces import EmbeddingSpace as EmbeddingSpace
from interlingua.translator import Translator as Translator
from interlingua.translator import load as load

if TYPE_CHECKING:
    from interlingua.aligners.auto import align as align
    from interlingua.aligners.many import align_spaces as align_spaces
    from interlingua.evaluation import evaluate as evaluate
    from interlingua.sklearn import EmbeddingTranslator as EmbeddingTranslator

__version__ = version("interlingua")

# What brings scikit-learn along is loaded on first use, so that importing interlingua stays quick.
_LAZY = {
    "align": "interlingua.aligners.auto",
    "align_spaces": "interlingua.aligners.many",
    "evaluate": "interlingua.evaluation",
    "EmbeddingTranslator": "interlingua.sklearn",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
