"""Light training: a frozen image tower learns a shop's products from photos.

::

    from llmrec.train import Photo, train_projection
    train_projection([Photo("shelf.jpg", "mug-1"), …], products, "starter:efficientnet-lite2", "my-shop")
    encoder = load_image_encoder("my-shop")
"""

from llmrec.train.projection import Photo, ProjectionReport, ProjectionSettings, train_projection

__all__ = ["Photo", "ProjectionReport", "ProjectionSettings", "train_projection"]
