"""The tables of tidegate.toml, a file each: its keys, what is wrong with it beside the others, and the value it becomes.

All of them together: `file.py`. What a value must look like: `fields.py`.
"""
