"""The engine that runs supervised fastText models over Arrow columns, several models in one pass.

`model.py` reads files, `words.py` and `kernel.py` make hidden layers, `output.py` makes labels of them,
and `views.py` gives the hidden layers to a batch. Imports `batch`, and knows no rule, language or screen.
"""
