"""The outside world: one folder a kind, one protocol a folder, one file a product."""
