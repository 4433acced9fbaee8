"""`make host`: see the package's docstring. Options choose the cases and the containers' limits."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from autograder.model.assignment import assignment
from tests import corpus
from tests.attacks import entries
from tests.experiments.host import expected
from tests.experiments.host.archive import archive_with_otter
from tests.experiments.host.image import Image, Run, Unsupported

WHEAT = "torch-distributions"
CHAFFS = (
    "encoder-without-second-relu",
    "kl-arguments-swapped",
    "noise-shared-by-the-batch",
    "gan-fakes-not-detached",
    "reconstruct-samples",
)
ATTACKS = (
    "solutions-and-hidden-checks",
    "the-whole-disk",
    "results-of-others",
    "memory-of-others",
    "frames-on-every-descriptor",
    "kills-what-it-sees",
    "becoming-root",
    "the-network",
    "a-daemon",
)
SECRET = "canary-of-the-host-0451"
# Earlier results contain the feedback of hidden checks: one more canary for code that searches for them.
METADATA = {
    "id": 1,
    "created_at": "2026-11-24T23:59:59.365935-07:00",
    "assignment": {
        "due_date": "2026-11-20T23:00:00.000000-07:00",
        "title": "Generative models",
        "total_points": "75.0",
    },
    "users": [{"email": "student@example.com", "id": 2, "name": "A Student"}],
    "previous_submissions": [
        {"submission_time": "2026-11-24T14:24:48.087023-07:00", "score": 1.0, "results": {"output": SECRET}}
    ],
}


@dataclass(frozen=True)
class Case:
    """An upload and the result that it must have.

    lose: the questions that must lose points (all their points if `nothing`). may_lose: those that may lose points.
    message: a text that the student must see.
    """

    name: str
    files: dict[str, bytes]
    lose: frozenset[str] = frozenset()
    may_lose: frozenset[str] = frozenset()
    nothing: bool = False
    message: str = ""

    def own(self) -> str:
        """The text of the upload's Python files."""
        return "\n".join(
            data.decode("utf-8", "replace") for n, data in self.files.items() if n.endswith(".py")
        )


QUESTIONS = frozenset(q.id for q in assignment().rubric.auto)


def cases() -> Iterator[Case]:
    """The solutions, the stubs, a wheat, five chaffs, attacks, and uploads of odd forms."""
    right = _bytes(corpus.reference())
    yield Case("solutions", right)
    yield Case("stubs", _bytes(entries.stubs()), QUESTIONS, nothing=True)
    yield Case("wheat", _bytes(_entry("wheat", WHEAT).sources()))
    for name in CHAFFS:
        chaff = _entry("chaff", name)
        yield Case(f"chaff {name}", _bytes(chaff.sources()), frozenset(chaff.questions))
    for attack in entries.read():
        if attack.name in ATTACKS:
            stubs = attack.base == "stubs"
            lose, may = (QUESTIONS, QUESTIONS) if stubs else (frozenset(), frozenset(attack.touches))
            yield Case(f"attack {attack.name}", _bytes(attack.sources()), lose, may, nothing=stubs)
    nested = {f"My Work/final (2)/{name}": data for name, data in right.items()}
    yield Case("nested folders", {**nested, "__MACOSX/My Work/._vae.py": b"\x00", "notes.txt": b"late"})
    yield Case("one zip", {"submission.zip": _zip({f"submission/{n}": d for n, d in right.items()})})
    problem_2 = frozenset(q for q in QUESTIONS if q.startswith("2"))
    yield Case("part of it", {n: d for n, d in right.items() if n != "gan.py"}, problem_2)
    yield Case("nothing", {}, QUESTIONS, nothing=True, message="empty")
    yield Case("a picture", {"photo.png": b"\x89PNG"}, QUESTIONS, nothing=True, message="holds none of")
    yield Case("half a zip", {"work.zip": _zip(right)[:900]}, QUESTIONS, nothing=True, message="work.zip")


def problems(case: Case, run: Run) -> list[str]:
    """What is wrong with the result of a case."""
    path = run.root / "autograder" / "results" / "results.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"no results.json ({error})", run.output[-400:]]
    found = list(expected.invalid(document))
    if found:
        return found
    found += expected.leaks(document, case.own(), [SECRET])
    lost = expected.lost(document)
    if missing := case.lose - lost:
        found.append(f"loses nothing on {sorted(missing)}")
    if surplus := lost - case.lose - case.may_lose:
        found.append(f"loses points on {sorted(surplus)}")
    if case.nothing and document["score"] != 0:
        found.append(f"gains {document['score']} points")
    if case.message not in document["output"]:
        found.append(f"the student does not see {case.message!r}")
    if "Otter's scores are the same." not in run.output:
        found.append(f"Otter does not agree: {run.output[-400:]}")
    if SECRET in run.output:
        found.append("a secret is in the instructor's output")
    if not document["extra_data"]["complete"]:
        found.append("the result is not complete")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.host", description=__doc__)
    parser.add_argument("--few", action="store_true", help="only the most important cases")
    parser.add_argument("-k", default="", help="only cases whose name contains this")
    parser.add_argument(
        "--memory", type=int, default=None, help="the containers' memory in MB (default: no limit)"
    )
    parser.add_argument(
        "--cores", type=float, default=None, help="the containers' share of cores, such as 0.5"
    )
    options = parser.parse_args(arguments)
    chosen = [c for c in cases() if options.k in c.name and (not options.few or _few(c.name))]
    console = Console(soft_wrap=True, highlight=False)
    memory = options.memory << 20 if options.memory else None
    try:
        with tempfile.TemporaryDirectory(prefix="zip-") as folder:
            archive = archive_with_otter(Path(folder), SECRET)
            console.print(f"The zip: {archive.stat().st_size / 1024:.0f} KB")
            with Image(archive, console.print) as image:
                ready = image.set_up()
                console.print(
                    f"setup.sh: status {ready.status}, {ready.seconds:.0f} s\n{ready.output.strip()}"
                )
                if ready.status:
                    return 1
                return _grade_all(image, chosen, memory, options.cores, console)
    except Unsupported as reason:
        console.print(f"host: {reason}")
        return 2


def _grade_all(
    image: Image, chosen: Sequence[Case], memory: int | None, cores: float | None, console: Console
) -> int:
    wrong = 0
    for number, case in enumerate(chosen, 1):
        for run in image.grade(_placing(case), memory, cores):
            found = problems(case, run)
            peak = f", {run.peak >> 20} MB" if run.peak else ""
            console.print(
                f"{number}/{len(chosen)} {case.name}: {'wrong' if found else 'right'}, {run.seconds:.1f} s{peak}"
            )
            for problem in found:
                console.print(f"  {problem}", markup=False)
            wrong += bool(found)
    console.print(f"{len(chosen) - wrong} of {len(chosen)} uploads have the right result.")
    return 1 if wrong else 0


def _few(name: str) -> bool:
    kind, _, rest = name.partition(" ")
    return kind in ("solutions", "stubs", "wheat", "chaff", "nothing") or (
        kind == "attack" and rest in ATTACKS[:5]
    )


def _placing(case: Case) -> Callable[[Path], None]:
    def place(upload: Path) -> None:
        for name, data in case.files.items():
            path = upload / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (upload.parent / "submission_metadata.json").write_text(json.dumps(METADATA))

    return place


def _entry(kind: str, name: str) -> corpus.Entry:
    return next(e for e in corpus.read(kind) if e.name == name)


def _bytes(sources: Any) -> dict[str, bytes]:
    return {name: text.encode() for name, text in sources.items()}


def _zip(files: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        stream.seek(0)
        return stream.read()


if __name__ == "__main__":
    sys.exit(main())
