"""Every error that llmrec raises on purpose.

A message says what is wrong and where (file, row, field); ``next_step`` says what to do about it. The command line
prints both and leaves with ``exit_code``: 2 when the input or the call was wrong, 1 when the work itself failed.
"""

from __future__ import annotations


class LlmrecError(Exception):
    """Root of the tree: catch this to catch everything that llmrec raises on purpose.

    Args:
        message: What is wrong, naming the file, row and field where there are such.
        next_step: One imperative sentence: what the user does next.
    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}"


class InputError(LlmrecError):
    """A file, a row, an option or a value that the user gave cannot be used."""

    exit_code = 2


class ModelError(LlmrecError):
    """A model reference that cannot be resolved, fetched, verified or loaded."""

    exit_code = 2


class ArtefactError(LlmrecError):
    """A folder that is not the artefact it should be, or was made with another model, dimension or format."""

    exit_code = 2


class StorageError(LlmrecError):
    """The disk refused: no space, no permission, a read-only file system."""

    exit_code = 2


class MissingExtraError(LlmrecError):
    """An optional dependency is not installed.

    Args:
        feature: What needs it, as the user would call it ("reading video files").
        extra: Name of the extra in ``pyproject.toml``.
    """

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional dependencies '{extra}'",
            next_step=f"Install them with: pip install 'llmrec[{extra}]'",
        )


class GenerationError(LlmrecError):
    """A language model or its server did not answer, or kept failing after retries."""


class TrainingError(LlmrecError):
    """A training that cannot go on: a loss that is no number, gradients that are gone, memory that ran out."""


def disk_error(error: OSError, path: object) -> StorageError:
    """Turn an ``OSError`` met while writing ``path`` into a ``StorageError`` with a remedy."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "Free some space or write to another disk, then run the command again; nothing was left half-written."
        return StorageError(f"{path}: no space left on the disk", next_step=step)
    reason = error.strerror or str(error)
    return StorageError(f"{path}: {reason}", next_step="Check the path and its permissions, then run again.")
