"""The base of a recipe's tables."""

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the recipe's tables: frozen, and a key it does not know is an error."""
