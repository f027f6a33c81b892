"""The forges, one file a product: verify signatures and parse deliveries. Start with `protocol.py`."""
