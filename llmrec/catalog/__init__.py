"""Any product file to ``Product`` records, what cannot be used kept with its reason.

>>> from llmrec.catalog import Catalog
>>> for product in Catalog.read("products.csv"): ...
"""

from llmrec.catalog.catalog import Catalog, Duplicates, NothingKeptError
from llmrec.catalog.importing import import_catalog
from llmrec.catalog.rejects import Reject
from llmrec.catalog.report import FileReport, ImportReport

__all__ = ["Catalog", "Duplicates", "FileReport", "ImportReport", "NothingKeptError", "Reject", "import_catalog"]
