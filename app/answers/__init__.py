"""What the gate answers: one file a subject, for the API and for `--json`. It knows no framework. Start with `answer.py`.

A value has one place where it is spelled. The API spells it as a model (`…_answer`), from which its description is made. The
command line spells it as plain JSON (`…_json`). If the two differ, both stay as they are: scripts rely on them.
"""
