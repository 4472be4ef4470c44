"""Products to a searchable folder, and queries to products: BM25, vectors, and both together.

::

    from llmrec.index import Index
    index = Index.build("shop.index", products, load_encoder("starter:minilm"))
    index.search([Query(text="trail running shoe")], k=10)      # one list of Hits a query, best first
"""

from llmrec.index.build import IndexSettings
from llmrec.index.index import Index

__all__ = ["Index", "IndexSettings"]
