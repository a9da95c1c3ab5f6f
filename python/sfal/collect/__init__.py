"""Stage 1: which features occur in which windows of a corpus.

``sfal.collect(…)`` calls :func:`sfal.collect.driver.collect`. Python sets the
attribute ``sfal.collect`` to this package as soon as one of its modules is
imported, so the package itself must be callable.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfal.collect.driver import CollectResult
    from sfal.collect.settings import CollectSettings
    from sfal.sources import Source


class _CallablePackage(ModuleType):
    def __call__(
        self, sources: "Sequence[Source]", settings: "CollectSettings", data_dir: str | Path
    ) -> "list[CollectResult]":
        """Count which features occur together; see :func:`sfal.collect.driver.collect`."""
        from sfal.collect.driver import collect

        return collect(sources, settings, data_dir)


sys.modules[__name__].__class__ = _CallablePackage
