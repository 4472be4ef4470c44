"""Files in and out: JSON Lines, Parquet, atomic files and folders, manifests. Imports no torch."""

from llmrec.storage.atomic import atomic_file, atomic_folder
from llmrec.storage.jsonl import read_jsonl, write_jsonl
from llmrec.storage.ledger import Ledger, fingerprint
from llmrec.storage.manifest import read_manifest, sha256_file, write_manifest
from llmrec.storage.parquet import ParquetRows, arrow_schema, read_parquet, to_arrow, write_parquet
from llmrec.storage.pictures import read_picture
from llmrec.storage.records_io import read_records, write_records

__all__ = [
    "Ledger",
    "ParquetRows",
    "arrow_schema",
    "atomic_file",
    "atomic_folder",
    "fingerprint",
    "read_jsonl",
    "read_manifest",
    "read_parquet",
    "read_picture",
    "read_records",
    "sha256_file",
    "to_arrow",
    "write_jsonl",
    "write_manifest",
    "write_parquet",
    "write_records",
]
