"""Export of translators to files of other tools, which can be used without interlingua.

- `to_sentence_transformers`: stock ``Dense`` and ``Normalize`` modules, alone or behind an encoder. Linear maps only.
- `to_query_bridge`: a stock ``Router``: queries of the new model over documents of the old one. Linear maps only.
- `to_onnx`: one ``.onnx`` file for any number of rows. Networks too.
- `to_safetensors`: one ``.safetensors`` file whose header documents its layout. Networks too.
- `to_torch`: a live ``torch.nn.Module`` with gradients, for training on. Networks too.

Every export holds one direction. Its result for a row equals `Translator.translate` up to rounding in float32:
centering and scale are folded into one weight and one bias, computed in float64. An export does not check whether
vectors are of the fitted space. The verdict is stored as text beside the weights.
"""

from interlingua.export._live import to_torch
from interlingua.export._modules import to_query_bridge, to_sentence_transformers
from interlingua.export._onnx import to_onnx
from interlingua.export._plain import to_safetensors

__all__ = ["to_onnx", "to_query_bridge", "to_safetensors", "to_sentence_transformers", "to_torch"]
