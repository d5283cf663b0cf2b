"""The licences of what Sluice depends on, as SPDX expressions.

Packages state their licence in three ways: an SPDX expression, a free text, a classifier. The first
is taken as it is; for the others there is a table; what neither knows is an error.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TEXTS = {
    "0BSD": "0BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "GPL-3.0": "GPL-3.0-only",
    "ISC License": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MPL-2.0": "MPL-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "LicenseRef-NVIDIA-Proprietary": "LicenseRef-NVIDIA-Proprietary",
}
"""What packages write in the field `License`, when it says which licence it is."""

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Classifiers that name one licence; "BSD License" does not."""

READ = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "locate": "MIT",
    "mpmath": "BSD-3-Clause",
    "numba": "BSD-2-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "scipy": "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1",
    "sympy": "BSD-3-Clause",
}
"""Packages whose metadata do not say it: what their licence file is."""


def licence(
    name: str, *, expression: str | None, text: str | None, classifiers: Iterable[str]
) -> str:
    """Returns the licence of a package as an SPDX expression.

    Args:
        name: of the package.
        expression: its metadata's `License-Expression`.
        text: its metadata's `License`.
        classifiers: all of its metadata's classifiers.

    Raises:
        LookupError: none of them says it, and the table of what was read does not have the package.
    """
    if expression:
        return expression
    if canonicalize_name(name) in READ:
        return READ[canonicalize_name(name)]
    stated = (text or "").strip().partition("\n")[0]
    if stated in TEXTS:
        return TEXTS[stated]
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    if len(named) == 1 and named[0] in CLASSIFIERS:
        return CLASSIFIERS[named[0]]
    raise LookupError(f"{name}: which licence? License {stated[:60]!r}, classifiers {named}")


def installed_licence(found: Distribution) -> str:
    """Returns the licence of an installed package."""
    about = found.metadata
    return licence(
        about["Name"],
        expression=about.get("License-Expression"),
        text=about.get("License"),
        classifiers=about.get_all("Classifier") or (),
    )


def needed(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Returns the installed packages that requirements bring, those that are brought by others too.

    Raises:
        PackageNotFoundError: one that is wanted on this platform is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [pair for line in requirements for pair in _wanted(line, extra="")]
    while todo:
        package, extra = pair = todo.pop()
        if pair not in seen:
            seen.add(pair)
            found[package] = distribution(package)
            for line in found[package].requires or ():
                todo += _wanted(line, extra=extra)
    return found


def _wanted(line: str, *, extra: str) -> Iterator[tuple[str, str]]:
    """Yields (package, extra) for what a requirement wants here, under an extra of the one who has it."""
    wanted = Requirement(line)
    if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
        for more in ("", *wanted.extras):
            yield canonicalize_name(wanted.name), more
