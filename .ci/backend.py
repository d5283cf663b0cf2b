"""The build backend: setuptools', with what the sdist holds named beside this file."""

from setuptools.build_meta import *  # noqa: F403
from setuptools.command.egg_info import manifest_maker

manifest_maker.template = ".ci/MANIFEST.in"  # setuptools looks for it in the top folder
