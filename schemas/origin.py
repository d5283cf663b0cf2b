"""Where a filter comes from: the distribution, its version, and the class in it."""

import msgspec


class FilterOrigin(msgspec.Struct, frozen=True):
    """A filter's distribution, as installed.

    Attributes:
        distribution: its name, as `pip` has it.
        version: that is installed.
        reference: `package.module:Class`, the value of the entry point.
    """

    distribution: str
    version: str
    reference: str

    def __str__(self) -> str:
        """Returns distribution and version, as messages name them."""
        return f"{self.distribution} {self.version}"

    @property
    def requirement(self) -> str:
        """What `pip install` takes."""
        return f"{self.distribution}=={self.version}"
