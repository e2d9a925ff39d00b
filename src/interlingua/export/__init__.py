"""Translators as files that other tools read: nothing of interlingua is needed to run what is written here.

- `to_sentence_transformers`: stock ``Dense`` and ``Normalize`` modules, alone or behind an encoder. Linear maps only.
- `to_query_bridge`: a stock ``Router``: queries of the new model over documents of the old one. Linear maps only.
- `to_onnx`: one ``.onnx`` file for any number of rows. Networks too.
- `to_safetensors`: one ``.safetensors`` file whose header documents its layout. Networks too.

Every export holds one direction. What it gives for a row differs from `Translator.translate` by rounding in float32
and by nothing else: centering and level are folded into one weight and one bias, computed in float64. What is left
behind is the check that vectors look like the space that was fitted, and the verdict, which is written beside.
"""

from interlingua.export._modules import to_query_bridge, to_sentence_transformers
from interlingua.export._onnx import to_onnx
from interlingua.export._plain import to_safetensors

__all__ = ["to_onnx", "to_query_bridge", "to_safetensors", "to_sentence_transformers"]
