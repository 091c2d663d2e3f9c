"""Give a transformers Longformer exact and faster attention; tensors only.

``use_windowed_attention`` changes the classes of a model's attention layers in place and leaves
every weight, name and checkpoint as they are; ``use_reference_attention`` is the way back.
"""

from qa_lightning.attention.bigbird import check_padding_side
from qa_lightning.attention.blockwise import few_blocks
from qa_lightning.attention.graphs import for_a_graph
from qa_lightning.attention.sliding import has_sliding_layers
from qa_lightning.attention.switch import (
    pin_bigbird_attention,
    use_flex_attention,
    use_reference_attention,
    use_windowed_attention,
)

__all__ = [
    "check_padding_side",
    "few_blocks",
    "for_a_graph",
    "has_sliding_layers",
    "pin_bigbird_attention",
    "use_flex_attention",
    "use_reference_attention",
    "use_windowed_attention",
]
