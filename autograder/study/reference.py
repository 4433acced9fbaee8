"""The solutions' own modules, which import each other flatly."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import SimpleNamespace

from autograder.rubric import assignment

NAMES = ("data", "figures", "autoencoder", "vae", "cvae", "gan")


@cache
def modules() -> SimpleNamespace:
    """The reference by name: `modules().vae.VAE`.

    Raises RuntimeError in a tree without solutions, as a release is.
    """
    folder = assignment().reference
    if folder is None:
        raise RuntimeError("this tree has no reference solutions to train")
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(folder))
