"""Where an index in a store lies, as one text.

::

    qdrant://search.example:6333/shop       a server or a cluster, by HTTP
    qdrants://search.example/shop           the same by HTTPS
    qdrant+file:store/shop                  the client's own local form in the folder ``store``: to try it

The last part names the collection. The key of a server comes from ``QDRANT_API_KEY``, so that it stands in no command
line and no log.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llmrec.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

#: Environment variable with the key of a server.
KEY = "QDRANT_API_KEY"
#: Seconds after which a server that does not answer is given up.
TIMEOUT = 60
PORTS = {"qdrant": 6333, "qdrants": 443}

# a path keeps one slash of the two when it goes through pathlib
_SCHEME = re.compile(r"(?P<scheme>qdrants?|qdrant\+file):(?P<rest>.*)", re.DOTALL)
_SERVER = re.compile(r"/{0,2}(?P<host>\[[0-9a-fA-F:]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?/(?P<name>[^/]*)/?")
#: What a collection may be called; the store has more, but not on every file system.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Address(NamedTuple):
    """An index in a store: ``place`` is ``host:port``, or the folder of the local form."""

    scheme: str
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{'' if self.is_local else '//'}{self.place}/{self.name}"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine that the client itself keeps."""
        return self.scheme == "qdrant+file"


def is_address(text: object) -> bool:
    """Whether a text, or a path, names an index in a store and not a folder."""
    return _SCHEME.fullmatch(str(text)) is not None


def parse_address(text: object) -> Address:
    """Read an address.

    Raises:
        InputError: It is none, or names no collection.
    """
    step = "Write qdrant://HOST:6333/NAME, or qdrant+file:FOLDER/NAME."
    match = _SCHEME.fullmatch(str(text))
    if match is None:
        raise InputError(f"{text}: no address of an index in a store", next_step=step)
    scheme, rest = match["scheme"], match["rest"]
    if scheme == "qdrant+file":
        place, _, name = re.sub("^/{2,}", "/", rest).rstrip("/").rpartition("/")
        place = place or ("/" if rest.startswith("/") else "")
    else:
        if "@" in rest:
            what = "an address holds no password"
            raise InputError(what, next_step=f"Put the key into the environment variable {KEY}.")
        server = _SERVER.fullmatch(rest)
        if server is None:
            raise InputError(f"{text}: cannot be read", next_step=step)
        place, name = f"{server['host']}:{server['port'] or PORTS[scheme]}", server["name"]
    if not place or not _NAME.fullmatch(name):
        raise InputError(f"{text}: names no collection (letters, digits, '_', '-', '.')", next_step=step)
    return Address(scheme, place, name)


def connect(address: Address) -> QdrantClient:
    """A client of the store; nothing is asked of it yet.

    Raises:
        MissingExtraError: The client library is not installed.
        InputError: The folder of the local form is in use by another process.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingExtraError("an index in Qdrant", "qdrant") from error
    if address.is_local:
        try:
            return QdrantClient(path=address.place)
        except RuntimeError as error:
            step = "End the other process, or run a server: the local form is for one process."
            raise InputError(f"{address}: {error}", next_step=step) from error
    host, _, port = address.place.rpartition(":")
    # the version is asked for when the store is opened, and told as an error
    options: dict[str, Any] = {"timeout": TIMEOUT, "check_compatibility": False, "https": address.scheme == "qdrants"}
    return QdrantClient(host=host, port=int(port), api_key=os.environ.get(KEY) or None, **options)
