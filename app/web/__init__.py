"""Flask only here: parse, call one pipeline function, render. Start with `factory.py`."""
