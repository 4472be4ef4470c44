"""Recipes to adapters, encoders and rerankers; and a frozen image tower that learns a shop's products from photos.

::

    from llmrec.recipes import load_recipe
    from llmrec.train import finetune
    finetune(load_recipe("summarize-lora-cpu")).folder     # for llmrec summarize --adapter

    from llmrec.train import Photo, train_projection
    train_projection([Photo("shelf.jpg", "mug-1"), …], products, "starter:efficientnet-lite2", "my-shop")
    encoder = load_image_encoder("my-shop")
"""

from llmrec.train.projection import Photo, ProjectionReport, ProjectionSettings, train_projection
from llmrec.train.run import Finetuned, finetune, prepare

__all__ = [
    "Finetuned",
    "Photo",
    "ProjectionReport",
    "ProjectionSettings",
    "finetune",
    "prepare",
    "train_projection",
]
