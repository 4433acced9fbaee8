"""The manifest of a run's folder: what its results have in common, so that results of another kind are not mixed with them.

`manifest.json` holds the assignment's name, each question's points, the questions graded so far, the roster's file name, the
class's due time, the extensions of its students, the column in canvas.csv, and a salted digest of the course secret, from which
the secret cannot be found by looking digests up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.classroom.errors import ClassroomError
from autograder.model.assignment import Assignment
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import Result, tidy
from autograder.support.files import write_atomically

NAME = "manifest.json"
ROUNDS = 100_000  # of PBKDF2: a fraction of a second, once a run


@dataclass(frozen=True)
class Manifest:
    """What belongs together.

    rubric: by question, its points and how it is graded. secret: salt and digest.
    questions: the automatic questions that the folder's grades consist of. roster: the name of the last roster's file.
    due: the due time of the class, without extensions; "" if none is known. column: the assignment's column in canvas.csv.
    extensions: those of the rosters so far, each with what identifies the student (see `students`); None from an older version.
    """

    assignment: str
    rubric: Mapping[str, Sequence[Any]]
    secret: Mapping[str, str]
    questions: Sequence[str]
    roster: str = ""
    due: str = ""
    column: str = ""
    extensions: Sequence[Sequence[str]] | None = None

    def students(self) -> list[tuple[Student, str]]:
        """The students with an extension on the last roster, and the extension as written."""
        return [
            (Student(name, id, email, login, canvas=canvas), text)
            for name, id, email, login, canvas, text in self.extensions or ()
        ]

    def differences(self, subject: Assignment, secret: str | None = None) -> list[str]:
        """What is different now, one phrase each. secret: the course secret, None where it does not matter."""
        if self.assignment != subject.name:
            return [f"the assignment is {self.assignment} there, {subject.name} here"]
        found = _compared(self.rubric, _rubric(subject.rubric))
        if secret is not None and _digest(secret, self.secret["salt"]) != self.secret["digest"]:
            found.append("the course secret (AUTOGRADER_SECRET) is another one")
        return found


def of(
    subject: Assignment,
    secret: str,
    questions: Iterable[str] | None,
    roster: str,
    earlier: Manifest | None,
    due: datetime | None = None,
    column: str = "",
    extensions: Sequence[tuple[Student, str]] | None = None,
) -> Manifest:
    """The manifest of a folder in which these questions (None: all) are graded after those of an earlier manifest."""
    graded = {q.id for q in subject.rubric.auto} if questions is None else set(questions)
    graded |= set(earlier.questions) if earlier else set()
    salt = earlier.secret["salt"] if earlier else os.urandom(16).hex()
    return Manifest(
        subject.name,
        _rubric(subject.rubric),
        {"salt": salt, "digest": _digest(secret, salt)},
        [q.id for q in subject.rubric.auto if q.id in graded],
        roster or (earlier.roster if earlier else ""),
        due.isoformat() if due else "",
        column,
        None
        if extensions is None
        else [[s.name, s.id, s.email, s.login, s.canvas, text] for s, text in extensions],
    )


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder, None if it has none. Raises ClassroomError when the file is damaged."""
    path = folder / NAME
    try:
        made = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        texts = (
            made.assignment,
            made.roster,
            made.due,
            made.secret["salt"],
            made.secret["digest"],
            made.column,
            *made.questions,
            *(text for row in made.extensions or () for text in row),
        )
        made.students()
        if not all(isinstance(text, str) for text in (*texts, *made.rubric)):
            raise TypeError("not in our format")
        {id: (float(points), graded) for id, (points, graded) in made.rubric.items()}
        bytes.fromhex(made.secret["salt"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ClassroomError(
            f"{path}: cannot be read ({error}); if the results beside it belong to this assignment, rubric and course"
            " secret, remove it and run this again"
        ) from None
    return made


def write(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, completely or not at all, unless the folder has the same one."""
    path, text = folder / NAME, json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def adopted(results: Mapping[str, Result], subject: Assignment, secret: str) -> Manifest | None:
    """The manifest of a folder that was written before there were manifests; None if it holds no results.

    Its results say which questions they have and with how many points; of the secret they say nothing.
    """
    if not results:
        return None
    ours = _rubric(subject.rubric)
    theirs = {id: (tidy(most), "auto") for result in results.values() for id, most in result.points}
    made = of(subject, secret, theirs, "", None)
    return Manifest(made.assignment, {**ours, **theirs}, made.secret, made.questions)


def _rubric(rubric: Rubric) -> dict[str, tuple[float, str]]:
    return {q.id: (tidy(q.points), q.graded) for q in rubric.questions}


def _compared(theirs: Mapping[str, Sequence[Any]], ours: Mapping[str, Sequence[Any]]) -> list[str]:
    found = []
    for id in dict.fromkeys([*theirs, *ours]):
        if id not in ours:
            found.append(f"question {id} is not in this rubric")
        elif id not in theirs:
            found.append(f"question {id} is new in this rubric")
        elif tidy(theirs[id][0]) != ours[id][0]:
            found.append(f"question {id} has {theirs[id][0]:g} points there, {ours[id][0]:g} here")
        elif theirs[id][1] != ours[id][1]:
            found.append(f"question {id} is graded {theirs[id][1]} there, {ours[id][1]} here")
    return found


def _digest(secret: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), bytes.fromhex(salt), ROUNDS).hex()
