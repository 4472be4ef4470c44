"""What is written to a live index, read as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from llmrec.errors import ArtefactError
from llmrec.index.folder import REMEDY, delta_of
from llmrec.index.live.delta import Change, Drop, Put, from_entries
from llmrec.index.live.parts import Added, LiveParts
from llmrec.index.parts import NONE_GONE, BaseParts, Parts
from llmrec.index.texts import TextChoice
from llmrec.storage.journal import Journal, JournalTail


class Following:
    """A version and all that was written to it since; shared by the snapshots that are taken of it.

    Args:
        version: The folder of the version.
        base: Its parts.
        manifest: Of the version.

    Raises:
        ArtefactError: Its journal is missing or damaged.
    """

    def __init__(self, version: Path, base: BaseParts, manifest: Mapping[str, Any]) -> None:
        self._path = delta_of(version)
        if not Journal.exists(self._path):
            raise ArtefactError(f"{self._path}: is missing: what was written to the index", next_step=REMEDY)
        choice: TextChoice = manifest["settings"]["text"]
        self._added = Added(base, manifest["words"], choice)
        self._tail = JournalTail(self._path)
        self._lock = Lock()
        self._base = base
        self._gone = NONE_GONE
        self.parts: Parts = base
        self._written = hashlib.sha256()
        self._fault: ArtefactError | None = None
        self.read()

    @property
    def position(self) -> int:
        """Bytes of the journal that ``parts`` has."""
        return self._tail.position

    def read(self) -> Parts:
        """The parts as they are now; the same object where nothing was written.

        Raises:
            ArtefactError: The journal is damaged.
        """
        with self._lock:
            if self._fault is not None:
                raise self._fault
            entries = self._tail.read()
            if entries:
                try:
                    changes = from_entries(entries, str(self._path))
                    gone = self._checked(changes)
                except ArtefactError as error:
                    self._fault = error  # what was read is not read again: it shall not be passed over then
                    raise
                for change in changes:
                    if isinstance(change, Put):
                        self._added.append(change)
                for entry in entries:
                    self._written.update(entry)
                self._gone = np.union1d(self._gone, np.array(gone, dtype=np.int64))
                self.parts = LiveParts(self._base, self._gone, self._added)
                self.parts.since = self._written.hexdigest()
            return self.parts

    def _checked(self, changes: Sequence[Change]) -> list[int]:
        """Rows that changes take away.

        Raises:
            ArtefactError: A change does not fit the index.
        """
        rows = len(self._base.table) + self._added.count
        gone = []
        for change in changes:
            row = change.row if isinstance(change, Drop) else change.replaces
            fits = -1 <= row < rows if isinstance(change, Put) else 0 <= row < rows
            if isinstance(change, Put):
                fits = fits and self._vectors_fit(change)
                rows += 1
            if not fits:
                raise ArtefactError(f"{self._path}: a change does not fit the index", next_step=REMEDY)
            if row >= 0:
                gone.append(row)
        return gone

    def _vectors_fit(self, put: Put) -> bool:
        own = {field: 4 * dense.dimension for field, dense in self._base.dense.items()}
        if {field: len(vector) for field, vector in put.vectors.items()} != own:
            return False
        pictures = self._base.pictures
        if pictures is None:
            return not put.pictures and not put.title
        size = 4 * pictures.images.dimension
        titled = size if pictures.titles is not None else 0
        return len(put.title) == titled and all(len(picture) == size for picture in put.pictures)
