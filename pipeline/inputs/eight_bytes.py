"""Eight bytes of a text at a time: which of them are what is looked for, which is the first; a copy.

Source: Warren, "Hacker's Delight", 2nd ed., section 6-1 (find first 0-byte).
"""

from typing import Any, Final

import numpy as np

from sluice.schemas.kernel import intrinsic, kernel

ONES: Final = np.uint64(0x0101010101010101)
HIGHS: Final = np.uint64(0x8080808080808080)


@kernel()
def zero_bytes(word: Any) -> Any:
    """Returns the high bits of the zero bytes of 8; bits behind the first one may be of others, too."""
    return (word - ONES) & ~word & HIGHS


@intrinsic
def first_byte(typingctx: Any, bits: Any) -> Any:
    """Returns which of 8 bytes, 0 to 7, holds the lowest bit that is set; one must be."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zeros = builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), codegen


@intrinsic
def store8(typingctx: Any, out_B: Any, j: Any, word: Any) -> Any:
    """Writes 8 bytes anywhere, as `load8` reads them."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(64).as_pointer())
        builder.store(args[2], place, align=1)
        return context.get_dummy_value()

    return types.void(out_B, types.int64, types.uint64), codegen
