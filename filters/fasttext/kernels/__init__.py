"""The compiled kernels of the fastText engine: words of a text, their rows in the input matrix, labels.

Each file has the kernels of one step and the tuples of arrays that they take. Imports `model` alone.
"""
