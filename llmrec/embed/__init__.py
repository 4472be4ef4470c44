"""Texts to unit vectors: sentence encoders, static encoders, and any language model by pooling.

::

    from llmrec.embed import load_encoder
    encoder = load_encoder("starter:minilm")
    vectors = encoder.encode(["Acme Trail 2 running shoe"])     # float32 [1, 384], unit length
"""

from llmrec.embed.encoder import TextEncoder
from llmrec.embed.loading import load_encoder

__all__ = ["TextEncoder", "load_encoder"]
