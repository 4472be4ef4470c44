"""An index beyond one machine: loaded into Qdrant from an index folder, and searched there as the folder is.

::

    from llmrec.index.remote import RemoteIndex, push
    push("shop.index", "qdrant://localhost:6333/shop")
    index = RemoteIndex.open("qdrant://localhost:6333/shop", load_encoder("starter:minilm"))
    index.search([Query(text="trail running shoe")], k=10)      # a ``Retriever``; ``Matcher(index)`` takes it too
"""

from llmrec.index.remote.address import is_address
from llmrec.index.remote.index import RemoteIndex
from llmrec.index.remote.pushing import Layout, push

__all__ = ["Layout", "RemoteIndex", "is_address", "push"]
