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

from interlingua.core.alignment import Alignment, AlignmentError, Evidence, Status, Verdict
from interlingua.core.errors import InputError, InterlinguaError, SpaceMismatchError, SpaceMismatchWarning
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.translator import Translator, load

if TYPE_CHECKING:
    from interlingua._align import align, align_spaces
    from interlingua._encoder_pairs import align_encoders
    from interlingua._plan import plan
    from interlingua.aligners import describe_settings, read_settings
    from interlingua.core.progress import show_progress
    from interlingua.evaluation import evaluate
    from interlingua.sklearn import EmbeddingTranslator

__all__ = [
    "Alignment",
    "AlignmentError",
    "EmbeddingSpace",
    "EmbeddingTranslator",
    "Evidence",
    "InputError",
    "InterlinguaError",
    "SpaceMismatchError",
    "SpaceMismatchWarning",
    "Status",
    "Translator",
    "Verdict",
    "align",
    "align_encoders",
    "align_spaces",
    "describe_settings",
    "evaluate",
    "load",
    "plan",
    "read_settings",
    "show_progress",
]

__version__ = version("interlingua")

# Loaded on first use, because they import scikit-learn, which is slow.
_LAZY = {
    "align": "interlingua._align",
    "align_spaces": "interlingua._align",
    "align_encoders": "interlingua._encoder_pairs",
    "evaluate": "interlingua.evaluation",
    "EmbeddingTranslator": "interlingua.sklearn",
    "describe_settings": "interlingua.aligners",
    "plan": "interlingua._plan",
    "read_settings": "interlingua.aligners",
    "show_progress": "interlingua.core.progress",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
