"""Make the release: the tree that students get, and its zip.

    python -m autograder release [--out DIR]      DIR/<name>/ and DIR/<name>.zip

It holds what a student's commands need: the engine without the instructors' parts, the assignment without its hidden checks, the
stubs and notebooks, generated from the solutions, and a README, a Makefile and a project file. Nothing is written if `leaks`
finds anything in it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.build import leaks
from autograder.build.contents import BINARY, HIDDEN, assignment_files, engine_files, home
from autograder.build.stubs import solutions_of, stub_files
from autograder.model import rubric as rubrics
from autograder.model.assignment import ENGINE, FILE, MANIFEST, Assignment, assignment
from autograder.model.rubric import Rubric
from autograder.model.verdicts import tidy
from autograder.submissions.handed_out import describe
from autograder.support.archive import zipped

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = ENGINE.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
# The engine's packages and modules that only instructors use.
INSTRUCTORS = (
    "build",
    "classroom",
    "cli/build.py",
    "cli/catalogue.py",
    "cli/desk.py",
    "cli/instructor.py",
    "cli/printing.py",
    "grading/cluster.py",
    "host",
    "reports/analysis.py",
    "reports/html.py",
    "reports/page.py",
    "reports/similarity.py",
    "reports/similarity_page.py",
    "reports/views.py",
    "reports/written_page.py",
    "submissions/answers.py",
    "submissions/exports.py",
    "submissions/layout.py",
    "submissions/metadata.py",
    "submissions/names.py",
    "submissions/staging.py",
    "submissions/unpack.py",
)
COPIED = ("LICENSE", "constraints.txt")
# Templates, and the names of the files that are made from them.
WRITTEN = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "pyproject.in": "pyproject.toml",
    "gitignore": ".gitignore",
}
OF_INSTRUCTORS = ("about", "commands", "coincidence", "corpora", "solutions", "stubs")  # in assignment.toml


class ReleaseError(Exception):
    """The release cannot be made; the text has a line for each reason."""


@dataclass(frozen=True)
class Release:
    """The paths of the tree and of the zip, and the number of files in them."""

    tree: Path
    archive: Path
    count: int


def files_of(subject: Assignment) -> dict[str, bytes]:
    """All files of a release of the assignment, by path; texts with line ends as on Unix.

    Raises:
        ReleaseError: the solutions give no file for a module or notebook of the rubric.
    """
    rubric = subject.rubric
    stubs = stub_files(solutions_of(subject))
    wanted = [*(f"{name}.py" for name in (*rubric.modules, *rubric.given)), *rubric.notebooks]
    if missing := [name for name in wanted if name not in stubs]:
        raise ReleaseError(
            "\n".join(f"assignment/{name}: listed in {FILE}, but the solutions have none" for name in missing)
        )
    wanted += [name for name in stubs if name.endswith(".md")]
    given = {name: _unix(stubs[name]) for name in wanted}
    found = {
        **engine_files(INSTRUCTORS),
        **assignment_files(subject, [HIDDEN]),
        **{f"assignment/{name}": data for name, data in given.items()},
        **{name: (ROOT / name).read_bytes() for name in COPIED},
        f"{home(subject)}/{FILE}": _for_students(_with_weights(subject)).encode(),
        f"{home(subject)}/{MANIFEST}": describe(given).to_json().encode(),
    }
    values = _values(subject, given)
    for template, name in WRITTEN.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        found[name] = text.encode()
    return {name: found[name] if name.endswith(BINARY) else _unix(found[name]) for name in sorted(found)}


def _unix(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _with_weights(subject: Assignment) -> dict[str, Any]:
    """The assignment.toml, with the weights of all checks: a release lacks the hidden ones, and must not share out their points."""
    from autograder.grading.listing import weights_of

    weights = weights_of(subject)
    table = dict(rubrics.table(subject.folder / FILE))
    table["question"] = [
        {**row, "weight": weights[row["id"]]} if row["id"] in weights else row for row in table["question"]
    ]
    return table


def _for_students(table: Mapping[str, Any]) -> str:
    """The assignment.toml of a release: the names and questions, without what is for instructors."""

    def lines(
        row: Mapping[str, Any],
    ) -> list[str]:  # texts, numbers and lists are written alike in JSON and TOML
        return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in row.items()]

    tables = ("size", "question")
    front = {key: table[key] for key in table if key not in (*OF_INSTRUCTORS, *tables)}
    blocks = [lines(front), *([f"[[{name}]]", *lines(row)] for name in tables for row in table.get(name, ()))]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _values(subject: Assignment, given: Mapping[str, bytes]) -> dict[str, str]:
    """What the templates' placeholders stand for. Checks and notebooks need the same packages as here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, name = project["optional-dependencies"], f"{subject.name}-assignment"
    rubric = subject.rubric

    def packages(listed: list[str]) -> str:
        own = [package.replace(f"{project['name']}[", f"{name}[") for package in listed]
        return "\n".join(f"    {json.dumps(package)}," for package in own)

    return {
        "name": subject.name,
        "title": rubric.title,
        "about": subject.about or f"You write {_listed(f'`{module}.py`' for module in rubric.modules)}.",
        "points": _points(rubric),
        "files": "\n".join(_file_rows(rubric, given)),
        "questions": "\n".join(
            f"| {q.id} | {tidy(q.points)} | {q.title} | {f'`{q.module}.py`' if q.auto else 'a written answer'} |"
            for q in rubric.questions
        ),
        "example": rubric.auto[0].id,
        "project": name,
        "version": project["version"],
        "description": json.dumps(rubric.title, ensure_ascii=False),
        "requires-python": project["requires-python"],
        "dependencies": packages(project["dependencies"]),
        "students": packages(extras["students"]),
        "jupyter": packages(extras["jupyter"]),
    }


def _points(rubric: Rubric) -> str:
    auto, written = (tidy(sum(q.points for q in kind)) for kind in (rubric.auto, rubric.written))
    return f"{auto} points are graded by program" + (
        f", {written} by reading what you wrote." if written else "."
    )


def _file_rows(rubric: Rubric, given: Mapping[str, bytes]) -> Iterator[str]:
    """The rows of the README's table of files in assignment/."""
    names = [*(f"{module}.py" for module in rubric.modules), *rubric.notebooks]
    yield f"| `assignment/` | where you work: {_listed(f'`{name}`' for name in names)} |"
    if "README.md" in given:
        yield "| `assignment/README.md` | more about the questions, the notebooks and the data |"
    for module in rubric.given:
        yield f"| `assignment/{module}.py` | given; your changes to it are not handed in |"


def _listed(words: Iterable[str]) -> str:
    """Words as "a", "a and b" or "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def make(out: Path, subject: Assignment | None = None) -> Release:
    """Writes a release of the assignment (the one in use when None) into `out`, in place of an earlier one.

    Raises:
        ReleaseError: a file is missing, the release would leak something, or `out` cannot be used. Nothing is written.
        ValueError: a solution's marks are malformed, or there are no solutions.
        RuntimeError: the checks cannot be collected.
    """
    subject = subject or assignment()
    files = files_of(subject)
    if found := leaks.find(files, subject):
        raise ReleaseError("\n".join(found))
    tree, archive = out / subject.name, out / f"{subject.name}.zip"
    if tree.exists() and not any(tree.glob(f"{ENGINE.name}/**/{MANIFEST}")):
        raise ReleaseError(f"{tree}: is not a release; move it away, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=out, prefix=f".{tree.name}-", ignore_cleanup_errors=True
        ) as folder:
            fresh = Path(folder, tree.name)
            for name, data in files.items():
                path = fresh / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            Path(folder, archive.name).write_bytes(
                zipped({f"{tree.name}/{name}": data for name, data in files.items()})
            )
            if tree.exists():
                shutil.rmtree(tree)
            fresh.replace(tree)
            Path(folder, archive.name).replace(archive)
    except OSError as error:
        raise ReleaseError(
            f"{out}: the release cannot be written there ({error.strerror}); choose another --out"
        ) from None
    return Release(tree, archive, len(files))
