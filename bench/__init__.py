"""`make bench`: what the gate does in a second, on this machine, in one run.

`__main__.py` runs the parts (`parts/`, one question a file) and keeps what they find as JSON; `report.py` renders it into
the pages, `plots.py` draws it, `model.py` reckons from it what larger installations need.
"""
