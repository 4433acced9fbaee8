"""What students were handed: how to tell a file that nobody has written in, and a prompt from an answer.

A release keeps it in `handed_out.json`, which the release builder writes; in the repository it is made from `solutions/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from autograder.notebook import written
from autograder.rubric import HERE, assignment

MANIFEST = HERE / "handed_out.json"


@dataclass(frozen=True)
class HandedOut:
    """digests: by file name, of the stub. prompts: by question, the lines between its marks. homes: its notebook."""

    digests: Mapping[str, str]
    prompts: Mapping[str, Sequence[str]]
    homes: Mapping[str, str]

    def untouched(self, name: str, data: bytes) -> bool:
        """True when nothing is written in the file beyond what was handed out. (What cannot be read has been touched.)"""
        try:
            return self.digests.get(name) == text_digest(name, data)
        except written.NotebookError:
            return False

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def text_digest(name: str, data: bytes) -> str:
    """A digest of a module's or a notebook's text, whatever its line ends, and whatever its outputs."""
    if name.endswith(".ipynb"):
        return written.fingerprint(data, name)
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    return hashlib.sha256(b"\n".join(line.rstrip() for line in lines).rstrip()).hexdigest()


def describe(files: Mapping[str, bytes]) -> HandedOut:
    """What there is to know of the stubs `files`, by name."""
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
    """What this package's students were handed."""
    if MANIFEST.is_file():
        return HandedOut(**json.loads(MANIFEST.read_text(encoding="utf-8")))
    reference = assignment().reference
    if reference is None:
        return HandedOut({}, {}, {})
    return describe(stubs_of(reference))


def stubs_of(solutions: Path) -> dict[str, bytes]:
    """The stubs that `solutions` gives, by name. (A release has no builder of stubs, and no need of it.)"""
    from autograder.build.stubs import stub_files

    return stub_files(solutions)
