"""Class exports for tests, laid out as the platforms write them, and hand-made results."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from autograder.model.assignment import assignment
from autograder.model.feedback import Feedback
from autograder.model.verdicts import NO_FEEDBACK, Result, Verdict

MODULES = {f"{m}.py": f"# {m}\n".encode() for m in ("autoencoder", "vae", "cvae", "gan")}
METADATA = """\
submission_101:
  :submitters:
  - :name: Ana Müller
    :sid: '007'
    :email: ana@example.edu
  :created_at: 2026-03-01 22:30:00.861687000 Z
  :score: 2.0
  :results:
    score: 2.0
    output: |-
      : not a key
      Final: 2.0
  :history:
  - :id: 99
    :created_at: 2026-02-28 12:00:00.000000000 Z
submission_102:
  :submitters:
  - :name: Ben Bo
    :sid: '008'
    :email: ben@example.edu
  - :name: Cleo Cruz
    :sid: '009'
    :email: cleo@example.edu
  :created_at: 2026-03-02 08:00:00.000000000 Z
submission_103:
  :submitters: []
"""


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files by their paths under `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def packed(files: Mapping[str, bytes], folder: Path) -> bytes:
    """The bytes of a zip of these files."""
    return pack(folder / "packed.zip", files).read_bytes()


def inside(prefix: str, files: Mapping[str, bytes] = MODULES) -> dict[str, bytes]:
    """The files, in the folder `prefix`."""
    return {f"{prefix}/{name}": data for name, data in files.items()}


def gradescope() -> dict[str, bytes]:
    """A Gradescope export of three submissions: one of a student, one of a group, one without a name."""
    top = "assignment_55_export"
    files = {f"{top}/submission_metadata.yml": METADATA.encode()}
    for number in (101, 102, 103):
        files |= inside(f"{top}/submission_{number}")
    return files


def result(name: str, sha256: str = "a" * 64, grader: str = "g", **scores: float) -> Result:
    """A finished result. Scores are given by question: q1_7=1 for question 1-7."""
    rubric = assignment().rubric
    points = {f"{id[1:].replace('_', '-')}": score for id, score in scores.items()}
    checks = tuple(
        Verdict(
            f"{id}:check",
            id,
            f"Check of {id}",
            "public",
            "passed" if score == rubric.question(id).points else "failed",
            score,
            rubric.question(id).points,
            NO_FEEDBACK if score == rubric.question(id).points else Feedback(seen="other."),
        )
        for id, score in points.items()
    )
    return Result(
        name,
        sha256,
        "full",
        1.0,
        checks,
        tuple((id, float(rubric.question(id).points)) for id in points),
        grader=grader,
    )
