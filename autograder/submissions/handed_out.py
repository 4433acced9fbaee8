"""What students were given, to distinguish an untouched file from one with work in it, and a prompt from an answer.

A release stores it as `handed_out.json` in the assignment's folder; elsewhere it is computed from the folder of stubs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache

from autograder.model.assignment import MANIFEST, assignment
from autograder.submissions import written


@dataclass(frozen=True)
class HandedOut:
    """digests: of the stubs, by file name. prompts: by question, the lines between its marks. homes: by question, its notebook."""

    digests: Mapping[str, str]
    prompts: Mapping[str, Sequence[str]]
    homes: Mapping[str, str]

    def untouched(self, name: str, data: bytes) -> bool:
        """True when the file is unchanged. (A file that cannot be read counts as changed.)"""
        try:
            return self.digests.get(name) == text_digest(name, data)
        except written.NotebookError:
            return False

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def text_digest(name: str, data: bytes) -> str:
    """A digest of the text of a module or a notebook; line ends and a notebook's outputs make no difference."""
    if name.endswith(".ipynb"):
        return written.fingerprint(data, name)
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    return hashlib.sha256(b"\n".join(line.rstrip() for line in lines).rstrip()).hexdigest()


def describe(files: Mapping[str, bytes]) -> HandedOut:
    """The digests and prompts of stubs; files: their bytes, by name."""
    prompts: dict[str, list[str]] = {}
    homes: dict[str, str] = {}
    for name, data in sorted(files.items()):
        if name.endswith(".ipynb"):
            for question, lines in written.given_lines(data, name).items():
                prompts[question], homes[question] = lines, name
    digests = {
        name: text_digest(name, data) for name, data in files.items() if name.endswith((".py", ".ipynb"))
    }
    return HandedOut(digests, prompts, homes)


@cache
def handed_out() -> HandedOut:
    """What the students of the assignment in use were given: its manifest or, without one, its folder of stubs."""
    current = assignment()
    manifest = current.folder / MANIFEST
    if manifest.is_file():
        return HandedOut(**json.loads(manifest.read_text(encoding="utf-8")))
    if current.solutions is None:  # on a grading host there is nothing to compare with
        return HandedOut({}, {}, {})
    return describe({path.name: path.read_bytes() for path in current.stubs.glob("*.*") if path.is_file()})
