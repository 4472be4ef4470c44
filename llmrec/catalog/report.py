"""What an import did, in numbers: how many rows were read, kept and rejected, and how each file was understood."""

from __future__ import annotations

import msgspec


class FileReport(msgspec.Struct, omit_defaults=True):
    """How one file was read.

    ``columns`` maps a field to the column (or columns) it was taken from; ``unmapped`` columns went to ``extra``.
    ``encodings`` counts the lines that were in another encoding than the file's.
    """

    file: str
    format: str
    rows: int = 0
    encoding: str = ""
    encodings: dict[str, int] = {}
    delimiter: str = ""
    columns: dict[str, str] = {}
    unmapped: list[str] = []


class ImportReport(msgspec.Struct):
    """The sum over all files; ``read`` is ``kept`` plus all ``rejected``, ``duplicates`` are among the rejected.

    ``warnings`` counts, by reason, what was repaired or left out in products that were kept.
    """

    read: int = 0
    kept: int = 0
    rejected: dict[str, int] = {}
    warnings: dict[str, int] = {}
    duplicates: int = 0
    renamed: int = 0
    files: list[FileReport] = []
    ignored: list[str] = []
    output: str = ""
    rejects_file: str = ""

    @property
    def rejected_total(self) -> int:
        """Rows that are not in the catalog."""
        return sum(self.rejected.values())

    def text(self) -> str:
        """The report for a person."""
        lines = [f"read {self.read} rows: kept {self.kept}, rejected {self.rejected_total}"]
        lines += [f"  rejected, {reason}: {count}" for reason, count in sorted(self.rejected.items())]
        lines += [f"  kept with a warning, {reason}: {count}" for reason, count in sorted(self.warnings.items())]
        if self.renamed:
            lines.append(f"  duplicates kept under new ids: {self.renamed}")
        for file in self.files:
            how = ", ".join(filter(None, [file.format, file.encoding, _delimiter(file.delimiter)]))
            lines.append(f"{file.file}: {file.rows} rows ({how})")
            if file.encodings:
                lines.append("  lines in other encodings: " + ", ".join(f"{k} {v}" for k, v in file.encodings.items()))
            if file.columns:
                lines.append("  columns: " + ", ".join(f"{k} = {v}" for k, v in file.columns.items()))
            if file.unmapped:
                lines.append("  kept in extra: " + ", ".join(file.unmapped[:30]))
        if self.ignored:
            lines.append(f"not read: {', '.join(self.ignored[:10])}" + (" …" if len(self.ignored) > 10 else ""))
        if self.output:
            lines.append(f"products: {self.output}")
        if self.rejects_file:
            lines.append(f"rejects: {self.rejects_file}")
        return "\n".join(lines)


def _delimiter(mark: str) -> str:
    return {"": "", "\t": "tab"}.get(mark, f"delimiter {mark!r}")
