"""A training in a process of its own that is killed with SIGKILL at a given point; started by fork of a warm server."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Sequence
from typing import Any

#: Nothing that brings pyarrow: a fork of its threads was seen to crash.
LOADED = ["torch", "transformers", "peft"]


def train_part(text: str, changes: Sequence[str], resume: bool, point: str, at: int, number: int) -> None:
    """Run a recipe and send this process a signal at a point of step ``at``.

    Args:
        point: ``step`` (its end), ``evaluated`` (before what was measured is kept), ``saving`` (its checkpoint is
            half-written), ``saved`` (before anything else), ``trained`` (before the final measure) or ``never``.
        number: The signal.
    """
    from llmrec.recipes import parse_recipe
    from llmrec.train import run, steps

    def strike(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    def before(module: Any, name: str, step: Any) -> None:
        inner = getattr(module, name)

        def struck(*args: Any, **kwargs: Any) -> Any:
            strike(step(*args, **kwargs))
            return inner(*args, **kwargs)

        setattr(module, name, struck)

    if point == "saving":
        before(steps, "seal", lambda folder, **_: int(folder.name.rpartition("-")[2]))
    elif point == "saved":
        before(steps, "keep_newest", lambda folder, _: max(int(p.name[11:]) for p in folder.glob("checkpoint-*")))
    elif point == "evaluated":
        before(steps.StepsMixin, "_note", lambda self, _: self.state.global_step)
    elif point == "trained":
        before(run, "_measured", lambda *_, **__: at)
    elif point == "step":
        from llmrec.train.log import Log

        Log.on_step_end = lambda self, args, state, control, **_: strike(state.global_step)  # type: ignore[method-assign]
    done = run.finetune(parse_recipe(text, changes), resume=resume)
    os._exit(130 if done.interrupted else 0)


def start(*arguments: Any) -> int:
    """Run ``train_part`` and return its exit code (``-9``: killed)."""
    (code,) = start_all([({}, arguments)])
    return code


def start_two(*arguments: Sequence[Any]) -> list[int]:
    """Run ``train_part`` in two processes that train together, each with its own arguments; returns the exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    return start_all([({**common, "RANK": str(i), "LOCAL_RANK": str(i)}, a) for i, a in enumerate(arguments)])


def start_all(parts: Sequence[tuple[dict[str, str], Sequence[Any]]]) -> list[int]:
    """Run several at a time, each with additions to its environment; returns the exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    processes = [context.Process(target=_begin, args=part) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [int(process.exitcode or 0) for process in processes]


def _begin(environment: dict[str, str], arguments: Sequence[Any]) -> None:
    os.environ.update(environment)
    train_part(*arguments)
