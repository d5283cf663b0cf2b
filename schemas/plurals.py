"""Names in lines for people: of one thing, and of any other number of them."""


def plural(name: str, value: float) -> str:
    """Returns a name for one, or for another number of it.

    >>> plural("step", 1), plural("step", 2)
    ('step', 'steps')
    """
    return name if value == 1 else f"{name}s"


def counted(value: int, name: str) -> str:
    """Returns a number with what it is of.

    >>> counted(1, "notice"), counted(1200, "notice")
    ('1 notice', '1,200 notices')
    """
    return f"{value:,} {plural(name, value)}"
