"""Which structure finds vectors: all compared, a graph, or cells of the space with small codes; and what each costs.

A family is a FAISS factory string (Douze et al. 2024, arXiv 2401.08281) for a number of vectors and their length::

    factories_of("auto", 1_000_000, 384)    # IVF4096,PQ96x4fs,Refine(SQ8) and IVF4096,SQ8: the quicker is kept
    factories_of("hnsw", 1_000_000, 384)    # HNSW32
    factories_of("IVF1024,SQ8", …)          # a string of one's own stays as it is

Cells with 4-bit codes (Andre et al., arXiv 1704.07355), whose best are compared again at 8 bits, take a third of a
graph's memory and an eighth of its time to build (``eval/index_scale.py``).
"""

from __future__ import annotations

import math
import re

from llmrec.errors import InputError

#: Names of families; anything else is read as a FAISS factory string.
FAMILIES = ("auto", "exact", "hnsw", "ivf", "ivf-disk")
EXACT = "Flat"

#: Vectors from which ``auto`` leaves exact search: below, comparing with all of them takes a few milliseconds.
EXACT_BELOW = 50_000
#: Neighbours of a node of the graph.
LINKS = 32
#: Fewest and most cells.
CELLS = (64, 65_536)
#: Vectors below which there is nothing to learn cells from.
CELLS_FROM = 40 * CELLS[0]
#: Dimensions that one 4-bit code stands for.
DIMENSIONS_A_CODE = 4

#: What a string may be made of: none of it names a file or runs anything, but a wrong one is better told by us.
_FACTORY = re.compile(r"[A-Za-z0-9_,()+.\-]{3,100}")


def cells(count: int) -> int:
    """Number of cells for so many vectors: the power of two nearest to ``4 * sqrt(n)``."""
    wanted = 2 ** round(math.log2(4 * math.sqrt(max(count, 1))))
    return int(min(max(wanted, CELLS[0]), CELLS[1]))


def factories_of(choice: str, count: int, dimension: int, memory: int | None = None) -> list[str]:
    """The factory strings of a family; several where only the vectors themselves can tell which is the quickest.

    Args:
        choice: A family's name, or a factory string.
        count: Vectors.
        dimension: Their length.
        memory: Bytes that the index may take when it is searched; None: any number.

    Returns:
        ``Flat`` for exact search, which cells are too where there are too few vectors. For ``auto`` those that fit into
        ``memory``: cells with small codes compared again, and cells with codes of 8 bits, which are the quicker where a
        few cells hold all that is near; where none fits, small codes compared again on disk.
    """
    least = {"exact": count + 1, "auto": EXACT_BELOW, "ivf": CELLS_FROM, "ivf-disk": CELLS_FROM}
    if count < least.get(choice, 0):
        return [EXACT]
    if choice == "hnsw":
        return [f"HNSW{LINKS}"]
    if choice not in FAMILIES:
        return [choice]
    whole, small = f"IVF{cells(count)},SQ8", f"IVF{cells(count)},PQ{dimension // DIMENSIONS_A_CODE}x4fs"
    if dimension % DIMENSIONS_A_CODE:
        return [whole]
    if choice == "ivf-disk":
        return [small]
    found = [f"{small},Refine(SQ8)", whole]
    if choice == "auto" and memory is not None:
        found = [factory for factory in found if bytes_a_vector(factory, dimension) * count <= memory]
    return found or [small]


def bytes_a_vector(factory: str, dimension: int) -> float:
    """Memory that a factory string takes for each vector; parts that are not known count as whole vectors."""
    parts = factory.split(",")
    if factory == EXACT:
        return 4.0 * dimension
    total, known = 0.0, False
    for part in parts:
        if match := re.fullmatch(r"PQ(\d+)x4fsr?", part):
            total, known = total + int(match[1]) / 2, True
        elif match := re.fullmatch(r"PQ(\d+)(?:x(\d+))?", part):
            total, known = total + int(match[1]) * int(match[2] or 8) / 8, True
        elif part in ("SQ8", "Refine(SQ8)"):
            total, known = total + dimension, True
        elif part in ("SQfp16", "Refine(SQfp16)"):
            total, known = total + 2.0 * dimension, True
        elif part in ("Refine(Flat)", "RFlat"):
            total, known = total + 4.0 * dimension, True
        elif match := re.match(r"HNSW(\d+)", part):
            total += 8.0 * int(match[1]) + 8
        elif part.startswith("IVF"):
            total += 8  # an id
    return total if known else total + 4.0 * dimension


def is_coarse(factory: str) -> bool:
    """Whether the scores are those of small codes, so that what is found has to be compared again."""
    return bool(re.search(r"PQ|RaBitQ|SQ4|SQ6|LSH", factory)) and not re.search(r"Refine|RFlat|,R", factory)


def check_choice(choice: str) -> None:
    """Check that a choice is a family or reads like a factory string; FAISS itself reads it when it builds.

    Raises:
        InputError: It is neither.
    """
    if choice in FAMILIES or choice == "none":
        return
    if _FACTORY.fullmatch(choice) and re.match(r"Flat|IVF|HNSW|PQ|SQ|OPQ|PCA|NSG|L2norm|RR|ITQ|LSH|RaBitQ", choice):
        return
    names = ", ".join((*FAMILIES, "none"))
    raise InputError(f"dense={choice!r} is not known", next_step=f"Give {names}, or a FAISS factory string.")
