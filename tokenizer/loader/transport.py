"""A batch on its way from a worker process: one tensor in place of one a column.

A tensor that a worker hands over is a file descriptor that travels through a socket of its own, about
0.3 ms each (multiprocessing.resource_sharer), more than it takes to read a sequence.
"""

from typing import Any, NamedTuple

import torch


class Packed(NamedTuple):
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


def pack(fields: tuple[Any, ...]) -> Packed:
    """Returns the fields with all contiguous tensors in one."""
    tensors = [k for k, field in enumerate(fields) if isinstance(field, torch.Tensor)]
    order = sorted(tensors, key=lambda k: -fields[k].element_size())
    data = torch.cat([fields[k].reshape(-1).view(torch.uint8) for k in order])
    kept = [(f.dtype, f.shape, f.nbytes) if isinstance(f, torch.Tensor) else f for f in fields]
    return Packed(data, tuple(kept), tuple(order))


def unpack(packed: Packed) -> tuple[Any, ...]:
    """Returns the fields again; their tensors are views of `data`."""
    fields, start = list(packed.fields), 0
    for k in packed.order:
        dtype, shape, num_bytes = fields[k]
        fields[k] = packed.data[start : start + num_bytes].view(dtype).view(shape)
        start += num_bytes
    return tuple(fields)
