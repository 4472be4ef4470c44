"""Texts and pictures to unit vectors: sentence encoders, static encoders, any language model by pooling, image towers.

::

    from llmrec.embed import load_encoder
    encoder = load_encoder("starter:minilm")
    vectors = encoder.encode(["Acme Trail 2 running shoe"])     # float32 [1, 384], unit length

    from llmrec.embed import load_image_encoder
    tower = load_image_encoder("starter:efficientnet-lite2")
    vectors = tower.encode_images([Image.open("mug.jpg")])      # float32 [1, 1280], unit length
"""

from llmrec.embed.encoder import TextEncoder
from llmrec.embed.images import load_image_encoder
from llmrec.embed.loading import load_encoder
from llmrec.embed.pictures import PictureEncoder

__all__ = ["PictureEncoder", "TextEncoder", "load_encoder", "load_image_encoder"]
