"""Tidegate: an identity-aware deployment gate for Gogs, Gitea and Forgejo."""
