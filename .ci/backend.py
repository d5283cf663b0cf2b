"""The build backend: setuptools', with what the sdist holds named beside this file.

In the repository `sluice/` links to the source folders. An sdist holds each file once and no links: they
are made where they are missing, before anything is built.
"""

from pathlib import Path

from setuptools.build_meta import *  # noqa: F403
from setuptools.command.egg_info import manifest_maker

manifest_maker.template = ".ci/MANIFEST.in"  # setuptools looks for it in the top folder

for room in ("schemas", "filters", "tokenizer", "pipeline"):
    link = Path("sluice", room)
    if not link.exists():
        link.symlink_to(Path("..", room))
