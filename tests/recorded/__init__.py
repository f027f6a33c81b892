"""A day of a real Gogs 0.14, driven through the real line."""
