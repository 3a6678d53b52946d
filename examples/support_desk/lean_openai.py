"""Import the official `openai` package in about half of the time.

A bake-off starts one agent process per run, and most of what such a process costs is importing the SDK's types for
services that an agent never calls (batches, evals, realtime, responses). `load()` imports the real, unchanged package,
but lets two of its packages of types load their contents only when somebody asks for a name in them, and leaves out
aiohttp and h2, which the SDK treats as optional. In an agent of your own, `import openai` is all you need.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader

POSTPONED = frozenset({"openai.types", "openai.types.responses"})
NOT_NEEDED = ("aiohttp", "h2")


class PostponedPackage(ModuleType):
    """A package whose `__init__` runs at the first look at a name that is not one of its submodules."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__spec__ is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.loader.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)


class PostponingLoader:
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return PostponedPackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet: `PostponedPackage` runs the real loader later."""


class PostponingFinder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in POSTPONED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = PostponingLoader(spec.loader)  # type: ignore[assignment]
        return spec


def load() -> ModuleType:
    """The `openai` module. Everything that this changes in the interpreter is undone before it returns."""
    left_out = [name for name in NOT_NEEDED if name not in sys.modules]
    collecting = gc.isenabled()
    gc.disable()  # the import creates many objects and no garbage
    sys.meta_path.insert(0, PostponingFinder)
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]  # None: ImportError for who asks
    try:
        openai = importlib.import_module("openai")
        for needed in ("openai.resources.chat.completions", "httpcore2"):  # else imported at the first call, in full
            importlib.import_module(needed)
    finally:
        for name in left_out:
            sys.modules.pop(name, None)
        sys.meta_path.remove(PostponingFinder)
        gc.freeze()
        if collecting:
            gc.enable()
    return openai
