"""One file a product for commits of a repository, from a bare mirror. Start with `protocol.py`."""
