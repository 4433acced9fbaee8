"""The attacks in the TOML files, and how each becomes a submission on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autograder.model.assignment import assignment
from tests import corpus
from tests.attacks import uploads

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
ASSIGNMENT = HERE.parents[1] / "assignment"
KINDS = ("forge", "rote", "leak", "deny", "escape", "broken")
# Printed by an attack that succeeded: the sandbox did not hold.
REACHED = "REACHED"


@dataclass(frozen=True)
class Attack:
    """One hostile or broken submission.

    says: what the attack tries.
    base: "stubs" (nothing is implemented: it must get no points) or "solutions" (right, apart from the attack).
    module, code, place: which module contains the code, and where: at its "top", at its "end", or as the "whole" module.
    upload: a function of `uploads` that packs the files, where a plain folder is not enough.
    touches: the questions that may lose points.
    hears: texts that some feedback or note must contain to be useful to a student.
    most: the points that code of this form earns honestly, where it is more than none.
    prints: whether its prints are compared with those of a run of the public checks alone.
    """

    kind: str
    name: str
    says: str
    base: Literal["stubs", "solutions"]
    module: str = ""
    place: Literal["top", "end", "whole"] = "top"
    code: str = ""
    upload: str = ""
    touches: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    most: float = 0.0
    prints: bool = False

    def sources(self) -> dict[str, str]:
        """The submission's modules, by file name."""
        texts = dict(corpus.reference() if self.base == "solutions" else stubs())
        if self.module:
            file = f"{self.module}.py"
            parts = {
                "top": (self.code, texts[file]),
                "end": (texts[file], self.code),
                "whole": (self.code,),
            }
            texts[file] = "\n".join(parts[self.place])
        return texts

    def write(self, folder: Path) -> Path:
        """Writes the submission under `folder` and returns its path."""
        files = {name: text.encode() for name, text in self.sources().items()}
        if self.upload:
            build: uploads.Builder = getattr(uploads, self.upload)
            return build(folder, self.name, files)
        return uploads.folder(folder, self.name, files)


def stubs() -> Mapping[str, str]:
    """The stubs, by file name."""
    return {
        f"{m}.py": (ASSIGNMENT / f"{m}.py").read_text(encoding="utf-8") for m in assignment().rubric.modules
    }


def read(kinds: tuple[str, ...] = KINDS) -> list[Attack]:
    """All attacks of some kinds, in the files' order. Raises ValueError if a name occurs twice."""
    found: list[Attack] = []
    for kind in kinds:
        rows: list[dict[str, Any]] = tomllib.loads((HERE / f"{kind}.toml").read_text(encoding="utf-8"))[
            "attack"
        ]
        for row in rows:
            hears = row.pop("hears", ())
            touches = row.pop("touches", None)
            if touches is None:
                touches = [q.id for q in assignment().rubric.auto if q.module == row.get("module")]
            found.append(
                Attack(
                    kind=kind,
                    touches=tuple(touches),
                    hears=(hears,) if isinstance(hears, str) else tuple(hears),
                    **row,
                )
            )
    names = [a.name for a in found]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"attacks whose names occur twice: {twice}")
    return found
