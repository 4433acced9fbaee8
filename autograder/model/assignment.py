"""An assignment: a folder with an assignment.toml, and everything the engine knows about it.

The folder is a Python package, with or without __init__.py files. It holds `probes/`, `stand_ins/`, `checks/public/`,
`checks/hidden/` and `mistakes/`, and may hold `data/`: files that checks and notebooks read. Its modules import each other
relatively (`from ...mistakes.public import losses`), so that it works in any place: next to the engine, inside it (as in this
repository, a release and the zip for a grading host), or anywhere else.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from autograder.model import rubric as rubrics
from autograder.model.rubric import Rubric

FILE = "assignment.toml"
VARIABLE = "AUTOGRADER_ASSIGNMENT"
OPTION = "--assignment-dir"
MANIFEST = (
    "handed_out.json"  # the file that marks an assignment's folder as a release (see submissions.handed_out)
)
GIVEN = "given"  # the folder of given modules in an assignment without solutions (the zip for a grading host)
ENGINE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Assignment:
    """An assignment's rubric and names, and where its parts are.

    package: the dotted name under which the folder is imported ("regression").
    name: what releases and zips are called ("linear-regression").
    about: a paragraph of Markdown that introduces the assignment in the README of a release; may be empty.
    solutions: the folder of the complete modules; None in a release, which has none.
    stubs: the folder of the modules that students fill in.
    corpora: the folder of wheats/, chaffs/ and further corpora.
    commands: further commands of the command line, by name: "module:function" in this package.
    coincidences: lines of solutions that may appear in a release (see build.leaks).
    sizes: the sizes that students write into their code.
    """

    folder: Path
    package: str
    name: str
    rubric: Rubric
    solutions: Path | None
    stubs: Path
    corpora: Path
    about: str = ""
    commands: Mapping[str, str] = field(default_factory=dict)
    coincidences: tuple[Coincidence, ...] = ()
    sizes: tuple[UsualSize, ...] = ()

    @property
    def probes(self) -> Path:
        return self.folder / "probes"

    @property
    def checks(self) -> Path:
        return self.folder / "checks"

    @property
    def released(self) -> bool:
        """Whether this is a release: what students have."""
        return (self.folder / MANIFEST).is_file()

    @property
    def given(self) -> Path:
        """The folder of the modules that are given to every submission (`Rubric.given`)."""
        packed = self.folder / GIVEN
        return packed if packed.is_dir() else self.solutions or self.stubs

    def sandbox_sources(self) -> dict[str, str]:
        """Probes and stand-ins as text, by the dotted names under which the sandbox loads them."""
        sources: dict[str, str] = {}
        for part in ("probes", "stand_ins"):
            for path in sorted((self.folder / part).rglob("*.py")):
                names = [self.package, *path.relative_to(self.folder).with_suffix("").parts]
                name = ".".join(names[:-1] if names[-1] == "__init__" else names)
                sources[name] = path.read_text(encoding="utf-8")
        return sources

    def make_importable(self) -> None:
        """Lets this process import the folder as `package`, in place of another assignment's folder of that name."""
        root = str(self.folder.parents[self.package.count(".")])
        if root in sys.path:
            return
        for other in [path for path in sys.path if Path(path, self.package, FILE).is_file()]:
            sys.path.remove(other)
        for name in [n for n in sys.modules if f"{n}.".startswith(f"{self.package}.")]:
            del sys.modules[name]
        sys.path.append(root)


@dataclass(frozen=True)
class Coincidence:
    """A line of the solutions that also appears in files that students get, without giving anything away.

    line: the code, in any spacing. within: the folder of the assignment where it may appear ("stand_ins"). why: the reason.
    """

    line: str
    within: str
    why: str


@dataclass(frozen=True)
class UsualSize:
    """A size that students write into their code in place of that of the arguments.

    kind: as checks draw it ("batch"). usual: the size. words: how messages put it ("a batch of 64").
    mistake: the id of the mistake of code that works at no other size. other: an unusual size; code that works at this one, too,
    does not have the mistake, whatever it fails at.
    """

    kind: str
    usual: int
    words: str
    mistake: str
    other: int


def load(folder: Path) -> Assignment:
    """Reads the assignment in `folder`.

    Raises ValueError, naming the file and how to fix it, when the folder is not one.
    """
    folder = folder.resolve()
    path = folder / FILE
    if not path.is_file():
        raise ValueError(f"{folder}: holds no {FILE}; give the folder of an assignment")
    if not folder.name.isidentifier():
        raise ValueError(
            f"{folder}: rename the folder to a Python name (letters, digits, _), such as my_assignment"
        )
    inside = folder.is_relative_to(ENGINE)
    if not inside and _is_taken(folder):
        raise ValueError(
            f"{folder}: rename the folder; Python or this package already has a module called {folder.name}"
        )
    table = rubrics.table(path)
    places = {key: (folder / table.get(key, default)).resolve() for key, default in _PLACES.items()}
    released = (folder / MANIFEST).is_file()
    try:
        coincidences = tuple(Coincidence(**row) for row in table.get("coincidence", ()))
    except TypeError as error:
        raise ValueError(f"{path}: [[coincidence]] has line, within and why ({error})") from None
    try:
        sizes = tuple(UsualSize(**row) for row in table.get("size", ()))
    except TypeError as error:
        raise ValueError(f"{path}: [[size]] has kind, usual, other, words and mistake ({error})") from None
    if same := [size.kind for size in sizes if size.other == size.usual]:
        raise ValueError(f"{path}: [[size]] {same[0]}: give `other` a size that is not the usual one")
    package = ".".join((ENGINE.name, *folder.relative_to(ENGINE).parts)) if inside else folder.name
    return Assignment(
        folder=folder,
        package=package,
        name=str(table.get("name", folder.name)),
        rubric=replace(rubrics.read(path), package=package.partition(".")[0]),
        solutions=places["solutions"] if places["solutions"].is_dir() and not released else None,
        stubs=ENGINE.parent / "assignment" if released else places["stubs"],
        corpora=places["corpora"],
        about=str(table.get("about", "")).strip(),
        commands=dict(table.get("commands", {})),
        coincidences=coincidences,
        sizes=sizes,
    )


_PLACES = {"solutions": "solutions", "stubs": "assignment", "corpora": "tests"}


def _is_taken(folder: Path) -> bool:
    """True when `import <the folder's name>` would find something other than the folder."""
    if (ENGINE / folder.name).exists():  # a release holds the assignment next to the engine's packages
        return True
    found = importlib.util.find_spec(folder.name)
    return found is not None and found.origin is not None and Path(found.origin).parent != folder


@cache
def assignment() -> Assignment:
    """The assignment in use: the folder that AUTOGRADER_ASSIGNMENT names, else the one inside this package."""
    if chosen := os.environ.get(VARIABLE):
        return load(Path(chosen))
    found = sorted(ENGINE.glob(f"*/{FILE}"))
    if len(found) != 1:
        raise ValueError(f"{ENGINE}: holds {len(found)} assignments; choose one with {OPTION} or {VARIABLE}")
    return load(found[0].parent)


def choose(arguments: Sequence[str]) -> list[str]:
    """Takes `--assignment-dir DIR` out of a command's arguments and returns the others.

    The folder goes into the environment, as an absolute path, so that processes started from here use it too. Call it before
    `assignment`. Raises ValueError when DIR is missing.
    """
    rest: list[str] = []
    chosen = os.environ.get(VARIABLE, "")
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == OPTION or argument.startswith(f"{OPTION}="):
            chosen = argument[len(OPTION) + 1 :] if "=" in argument else next(waiting, "")
            if not chosen:
                raise ValueError(f"{OPTION} needs the folder of an assignment")
        else:
            rest.append(argument)
    if chosen:
        os.environ[VARIABLE] = str(Path(chosen).resolve())
    return rest
