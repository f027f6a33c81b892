"""The names of branches and tags, and the globs that they fit."""
