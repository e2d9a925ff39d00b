"""Translators as files that other tools read: nothing of interlingua is needed to run what is written here.

=========================  ==========================================  ====================  ==================
function                   what it writes                              runs in               networks
=========================  ==========================================  ====================  ==================
`to_sentence_transformers`  stock ``Dense`` and ``Normalize`` modules  sentence-transformers  refused: not exact
`to_query_bridge`           a ``Router``: new queries, old documents   sentence-transformers  refused: not exact
`to_onnx`                   one ``.onnx``, any number of rows          any ONNX runtime       yes
`to_safetensors`            one ``.safetensors``, layout in its header  any language          yes
=========================  ==========================================  ====================  ==================

Every export holds one direction. What it gives for a row differs from `Translator.translate` by rounding in float32
and by nothing else: centring and level are folded into one weight and one bias, computed in float64. What is left
behind is the check that vectors look like the space that was fitted, and the verdict, which is written beside.
"""

from interlingua.export._modules import to_query_bridge as to_query_bridge
from interlingua.export._modules import to_sentence_transformers as to_sentence_transformers
from interlingua.export._onnx import to_onnx as to_onnx
from interlingua.export._plain import to_safetensors as to_safetensors
