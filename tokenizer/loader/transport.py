"""A batch on its way from a worker process: one tensor instead of one per column.

A tensor that a worker hands over is a file descriptor that travels through a socket of its own, about
0.3 ms each (multiprocessing.resource_sharer), more than it takes to read a sequence.
"""

from typing import Any, NamedTuple

import torch


class FlatBatch(NamedTuple):
    """The fields of a batch, the tensors among them end to end.

    Attributes:
        data: (bytes,) uint8.
        fields: a tensor as (dtype, shape, bytes), anything else as it is.
        order: the fields that are tensors, in the order of their bytes: wide dtypes first, so that all are
            aligned.
    """

    data: torch.Tensor
    fields: tuple[Any, ...]
    order: tuple[int, ...]


def flatten(fields: tuple[Any, ...]) -> FlatBatch:
    """Returns the fields with all contiguous tensors in one."""
    tensors = [k for k, field in enumerate(fields) if isinstance(field, torch.Tensor)]
    order = sorted(tensors, key=lambda k: -fields[k].element_size())
    data = torch.cat([fields[k].reshape(-1).view(torch.uint8) for k in order])
    kept = [(f.dtype, f.shape, f.nbytes) if isinstance(f, torch.Tensor) else f for f in fields]
    return FlatBatch(data, tuple(kept), tuple(order))


def unflatten(flat: FlatBatch) -> tuple[Any, ...]:
    """Returns the fields again; their tensors are views of `data`."""
    fields, start = list(flat.fields), 0
    for k in flat.order:
        dtype, shape, num_bytes = fields[k]
        fields[k] = flat.data[start : start + num_bytes].view(dtype).view(shape)
        start += num_bytes
    return tuple(fields)
