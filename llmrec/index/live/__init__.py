"""An index that changes: what is written to it, and its parts as they are after that."""
