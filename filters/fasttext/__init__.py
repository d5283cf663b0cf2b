"""The engine that runs supervised fastText models over Arrow columns, several models in one pass.

`model.py` reads files, `hidden.py` makes hidden layers, `classifier.py` makes labels of them (`kernels/`),
and `views.py` gives the hidden layers to a batch. Imports `batch`, and knows no rule, language or screen.
"""
