"""llmrec: from a short video, a livestream or a search query to the products it is about."""

__version__ = "0.1.0"
