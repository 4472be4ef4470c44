"""A model reference to a local folder, with its licence, digest and revision.

::

    from llmrec.models import resolve
    folder = resolve("starter:minilm")     # downloaded once
    SentenceTransformer(str(folder.path))
"""

from llmrec.models.cache import VARIABLE, cache_folder
from llmrec.models.pull import CacheEntry, Pulled, cached, known, pull
from llmrec.models.resolve import ModelFolder, resolve
from llmrec.models.shipped import shipped_adapters
from llmrec.models.starters import STARTERS, Starter

__all__ = [
    "STARTERS",
    "VARIABLE",
    "CacheEntry",
    "ModelFolder",
    "Pulled",
    "Starter",
    "cache_folder",
    "cached",
    "known",
    "pull",
    "resolve",
    "shipped_adapters",
]
