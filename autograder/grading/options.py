"""The input of a grading run: its jobs, its options, and the digest of everything verdicts depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from autograder.model.assignment import assignment

PUBLIC = "public"  # in place of a secret, for a student's own check
DEFAULT_SECRET = "no course secret was set"
ROUNDS = 100_000  # of PBKDF2, once in a process: a twentieth of a second


@dataclass(frozen=True)
class Job:
    """One submission to grade: its path, its name, and the file for its JSON (None: no file).

    notes: facts about the upload other than its content (that it was late, for example); added to the result's notes.
    """

    path: Path
    name: str
    output: Path | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GradingOptions:
    """How the submissions of a run are graded.

    questions: ids of the questions to grade; None for all.
    device: "cuda" looks for tensors on the wrong device on a real GPU; "cpu" simulates a second device.
    isolation: the level that is required; None or "auto" for the best that this machine has.
    reuse: whether a finished result is kept when content and grader are the same.
    cluster: the address of a Dask scheduler whose workers grade; None for this machine (see cluster.py).
    """

    questions: tuple[str, ...] | None = None
    device: str = "cpu"
    isolation: str | None = None
    reuse: bool = False
    cluster: str | None = None

    def digest(self) -> str:
        """A digest of what verdicts depend on besides the submission: the grader, PyTorch, the secret and these settings.

        Which questions are graded is none of it: no verdict depends on that.
        """
        settings = (self.device, self.isolation, course_secret())
        return hashlib.sha256(f"{grader_digest()} {settings!r}".encode()).hexdigest()[:32]


@cache
def grader_digest() -> str:
    """A digest of the files of the engine, of the assignment and of its given modules, and of the version of PyTorch."""
    subject = assignment()
    folders = [Path(__file__).resolve().parents[1], subject.folder, subject.given]
    whole = hashlib.sha256(metadata.version("torch").encode())
    for folder in dict.fromkeys(folders):
        for path in sorted(p for kind in ("py", "toml", "safetensors") for p in folder.rglob(f"*.{kind}")):
            whole.update(f"{path.relative_to(folder)}\0".encode())
            whole.update(path.read_bytes())
    return whole.hexdigest()


def course_secret() -> str:
    """The course secret, from AUTOGRADER_SECRET without spaces around it; a text that anyone can guess, without one."""
    return os.environ.get("AUTOGRADER_SECRET", "").strip() or DEFAULT_SECRET


@cache
def stretched(secret: str) -> str:
    """A secret in a form that takes long to compute.

    Seeds are made from it. Code sees seeds, and could find a short secret by trying words, at millions a second.
    """
    if secret == PUBLIC:
        return secret
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), b"seeds", ROUNDS).hex()


def known_questions(questions: Iterable[str] | None) -> tuple[str, ...] | None:
    """The ids as a tuple, None for all. Raises KeyError for an id that is not an auto-graded question of the rubric."""
    if questions is None:
        return None
    auto = [q.id for q in assignment().rubric.auto]
    chosen = tuple(questions)
    for id in chosen:
        if id in [q.id for q in assignment().rubric.written]:
            raise KeyError(f"{id} is a written answer, which is graded by hand; there are {', '.join(auto)}")
        if id not in auto:
            raise KeyError(f"there is no auto-graded question {id}; there are {', '.join(auto)}")
    return chosen
