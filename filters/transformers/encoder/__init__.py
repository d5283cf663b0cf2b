"""The encoder of the package `sluice-encoder`: its file, and the engines that run it.

ONNX Runtime runs it on the CPU, torch on a GPU; both read the one file of weights.
"""
