"""A reference to a generator.

=====================================  ===============================================
``starter:smollm2-135m``               a starter, a folder, a GGUF file or a hub id: on this machine
``openai:MODEL@http://host:port/v1``   any OpenAI-compatible server
=====================================  ===============================================
"""

from __future__ import annotations

from llmrec.errors import InputError, ModelError
from llmrec.seams import Generator

SERVER = "openai:"
#: Tokens of a batch, padding and answers included: at most 750 MB of keys and values for SmolLM2-135M.
MAX_BATCH_TOKENS = 16384
API_KEY = "OPENAI_API_KEY"


def load_generator(
    reference: str,
    *,
    adapter: str | None = None,
    backend: str = "auto",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
    base_url: str | None = None,
    api_key_env: str = API_KEY,
    seed: int = 0,
) -> Generator:
    """Load a language model.

    Args:
        reference: See the table above; with ``base_url`` the model's name on the server.
        adapter: A PEFT adapter (folder or reference) for a local model.
        backend: ``auto``, ``transformers`` or ``openai``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads of torch; default ``$LLMREC_THREADS``, ``$OMP_NUM_THREADS``, else measured.
        max_batch_tokens: Most tokens of a batch, padding and answers included.
        base_url: The server's address, up to ``/v1``.
        api_key_env: Environment variable that holds the server's key; the key itself is never logged.
        seed: Seed of sampling, added to that of the settings.

    Raises:
        ModelError: Unknown, unreachable, damaged, unsafe, or not a causal language model.
        InputError: Options that do not go together.
    """
    if backend not in ("auto", "transformers", "openai"):
        raise InputError(f"backend {backend!r}: unknown", next_step="Give auto, transformers or openai.")
    name, url = reference, base_url
    if reference.startswith(SERVER):
        # a model's name and an address may both hold an @
        name, at, address = reference.removeprefix(SERVER).partition("@http")
        if not at:
            name, _, address = name.partition("@")
        url = base_url or f"{at[1:]}{address}"
    if backend == "openai" or reference.startswith(SERVER) or (backend == "auto" and base_url):
        if adapter:
            step = "Load the adapter in the server and give its name there as the model."
            raise InputError("an adapter cannot be given for a server's model", next_step=step)
        if not url:
            step = f"Give --base-url or {SERVER}{name}@http://host:port/v1."
            raise InputError(f"{reference}: no address of a server", next_step=step)
        from llmrec.llm.server import OpenAIGenerator

        return OpenAIGenerator(name, url, api_key_env=api_key_env, seed=seed)
    if base_url:
        step = "Leave the address out, or give backend openai."
        raise InputError(f"{reference}: a local model has no server's address", next_step=step)

    from llmrec.llm.local import load_local
    from llmrec.models import resolve

    model = resolve(reference)
    adapter_folder = None
    if adapter:
        try:
            adapter_folder = resolve(adapter)
        except ModelError as error:
            raise ModelError(f"adapter {error.message}", next_step=error.next_step) from error
    return load_local(
        model.path,
        reference=model.reference,
        digest=model.digest + (f"+{adapter_folder.digest}" if adapter_folder else ""),
        adapter=adapter_folder.path if adapter_folder else None,
        adapter_reference=adapter_folder.reference if adapter_folder else None,
        dtype=dtype,
        device=device,
        threads=threads,
        max_batch_tokens=max_batch_tokens,
        seed=seed,
    )
