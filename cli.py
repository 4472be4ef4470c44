"""``python cli.py …`` is ``llmrec …``: a shim for work in a checkout."""

from llmrec.cli import app

if __name__ == "__main__":
    app()
