"""What reads untrusted or hand-written text, under fuzzing: `targets.py` says what must hold, Hypothesis and atheris try."""
