"""Other trainers' formats: Megatron's indexed dataset, MosaicML's MDS, tiktoken's arguments.

One file a format. Imports the vocabulary room.
"""
