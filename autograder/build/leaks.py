"""What must not be in a release, searched for in all its files: solutions, model answers, hidden checks, traces of this machine.

What is secret is read from the assignment each time:

- the lines between the marks of the solutions, in any spacing and without their comments;
- the sentences between the marks of the notebooks' sources, and of cells tagged "solution";
- of every module in a folder called `hidden`: its name, the names of its checks and mistakes, its sentences, and its numbers of
  four digits or more;
- the paths, the user and the name of this machine; and files of a kind that does not belong in a release.

Public text is not a leak: lines that the stubs contain as well, sentences that hidden modules share with those that students
get, and names and numbers that they share with modules in folders called `public`. An assignment lists other coincidences in its
assignment.toml, each with its reason. The engine is the same for every assignment and contains nothing of one, so its modules
are searched for traces of this machine only.
"""

from __future__ import annotations

import ast
import getpass
import io
import json
import re
import socket
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.build.contents import BINARY, HIDDEN, assignment_files, home
from autograder.build.notebooks import solution_cells
from autograder.build.stubs import solutions_of
from autograder.model.assignment import ENGINE, Assignment

SHORT = 12  # characters (without spaces): a line of code this short gives nothing away
SENTENCE = 25  # characters from which a text is a sentence of its own
KINDS = {".py", ".md", ".toml", ".json", ".txt", ".ipynb", "", *BINARY}
CODE_MARK = re.compile(
    r"^[ \t]*# BEGIN SOLUTION[ \t]*$(.*?)^[ \t]*# END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE
)
_TEXT_MARK = re.compile(r"<!-- BEGIN SOLUTION -->(.*?)<!-- END SOLUTION -->", re.DOTALL)
_SAYS_SOMETHING = re.compile(r"[(\[=+*/@-]")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*=")
_COMMON_NAMES = {"root", "user", "admin", "runner", "student", "ubuntu", "localhost", "vscode", "jovyan"}


@dataclass(frozen=True)
class Secret:
    """Something that must not be released: what it is, where it is defined, its text, and what to search for.

    squeezed: whether the key is the text without spaces, which may begin and end anywhere; otherwise it is a whole word.
    """

    kind: str
    place: str
    text: str
    key: str
    squeezed: bool = True


def find(files: Mapping[str, bytes], subject: Assignment) -> list[str]:
    """One line for each leak in `files`, a release of the assignment by path; none when all is well."""
    found = [*_odd_files(files), *_traces(files)]
    allowed = {squeeze(c.line): f"{home(subject)}/{c.within}/" for c in subject.coincidences}
    engine, own = f"{ENGINE.name}/", f"{home(subject)}/"
    readings = {
        name: _readings(name, data)
        for name, data in files.items()
        if not name.startswith(engine) or name.startswith(own)
    }
    for secret in secrets(subject):
        for name, (text, squeezed) in readings.items():
            if secret.key in allowed and name.startswith(allowed[secret.key]):
                continue
            if secret.key in (squeezed if secret.squeezed else text) and (
                secret.squeezed or _whole(secret.key, text)
            ):
                found.append(f"{name}: holds {secret.kind} of {secret.place}: {secret.text[:80]}")
    return found


def read_tree(folder: Path) -> dict[str, bytes]:
    """All files under a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def secrets(subject: Assignment) -> list[Secret]:
    """Everything that must not be released."""
    solutions = solutions_of(subject)
    return [*solution_lines(solutions), *model_answers(solutions), *hidden_parts(subject)]


def solution_lines(solutions: Path) -> list[Secret]:
    """The lines of code that students are to write, except those that the stubs contain elsewhere."""
    inside: dict[str, Secret] = {}
    outside = ""
    for path in sorted(solutions.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        outside += squeeze(CODE_MARK.sub("\n", source)) + "\n"
        bare = _without_comments(source).splitlines()
        for block in CODE_MARK.finditer(source):
            first = source.count("\n", 0, block.start(1))
            for number in range(first, first + block[1].count("\n")):
                key = squeeze(bare[number])
                if (len(key) > SHORT and _SAYS_SOMETHING.search(key)) or _CONSTANT.match(key):
                    place = f"solutions/{path.name}:{number + 1}"
                    secret = Secret("a solution line", place, bare[number].strip(), key)
                    inside.setdefault(key, secret)
    return [secret for key, secret in inside.items() if key not in outside]


def model_answers(solutions: Path) -> list[Secret]:
    """The sentences of our own answers to the written questions, and of the cells that only the complete notebooks have."""
    found = []
    for path in sorted((solutions / "notebooks").glob("*.py")):
        source = re.sub(r"^# ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        cells = solution_cells(path.read_text(encoding="utf-8"))
        outside = squeeze(_TEXT_MARK.sub("", source))
        for cell in cells:
            outside = outside.replace(squeeze(cell), "")
        for answer in [*_TEXT_MARK.findall(source), *cells]:
            for sentence in re.split(r"(?<=[.:;?!])\s+", answer):
                key = squeeze(sentence)
                if len(key) >= SENTENCE and key not in outside:
                    found.append(Secret("a model answer", path.name, " ".join(sentence.split()), key))
    return found


def hidden_parts(subject: Assignment) -> list[Secret]:
    """The names, texts and numbers of hidden modules, except what students are given elsewhere."""
    public = _Parts()
    for path in sorted(solutions_of(subject).glob("*.py")):  # docstrings and comments that students are given
        public.given += squeeze(CODE_MARK.sub("\n", path.read_text(encoding="utf-8")))
    for name, data in assignment_files(subject, [HIDDEN]).items():  # sentences may be split differently there
        public.given += squeeze(_text(name, data))
    stems = set()
    for path in _modules(subject.folder, "public"):
        public.read(path.read_text(encoding="utf-8"))
        stems.add(path.stem)
    found = []
    for path in _modules(subject.folder, HIDDEN):
        hidden = _Parts()
        hidden.read(path.read_text(encoding="utf-8"))
        place = path.relative_to(subject.folder).as_posix()
        names = hidden.names - public.names
        if (
            "_" in path.stem and path.stem not in stems
        ):  # a single word, or a public module's name, says nothing
            names.add(path.stem)
        texts = {text for text in hidden.texts - public.texts if squeeze(text) not in public.given}
        numbers = hidden.numbers - public.numbers
        found += [Secret("the name", place, name, name, squeezed=False) for name in sorted(names)]
        found += [Secret("a text", place, text, squeeze(text)) for text in sorted(texts)]
        found += [Secret("a number", place, n, n, squeezed=False) for n in sorted(numbers)]
    return found


def _modules(folder: Path, kind: str) -> list[Path]:
    """The modules in all folders of an assignment that are called `kind`."""
    return sorted(p for p in folder.rglob("*.py") if kind in p.relative_to(folder).parts[:-1])


class _Parts:
    """The names of checks and mistakes, the sentences and the long numbers of some modules."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.texts: set[str] = set()
        self.numbers: set[str] = set()
        self.given = ""

    def read(self, source: str) -> None:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                self.names.add(node.name)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Mistake") and node.args:
                if isinstance(node.args[0], ast.Constant):
                    self.names.add(str(node.args[0].value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.update(
                    s for s in re.split(r"(?<=[.:;?!])\s+", node.value) if len(squeeze(s)) >= SENTENCE
                )
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NUMBER:
                digits = re.sub(r"[eE].*|\D", "", token.string).strip("0")
                if len(digits) >= 4:
                    self.numbers.add(token.string)


def _whole(word: str, text: str) -> bool:
    """True when the text contains the word, and not only as part of a longer one."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _readings(name: str, data: bytes) -> tuple[str, str]:
    """A file's text, and the same without spaces; of JSON also its decoded strings, so that no escape hides anything."""
    text = _text(name, data)
    texts = [text]
    if name.endswith((".ipynb", ".json")):
        texts.append("\n".join(_strings(json.loads(text))))
    return "\n".join(texts), "\n".join(squeeze(t) for t in texts)


def _text(name: str, data: bytes) -> str:
    """What a file says: of tensors, the names and notes in front of the numbers."""
    if name.endswith(BINARY):
        data = data[
            8 : 8 + int.from_bytes(data[:8], "little")
        ]  # safetensors: the header's length, then the header
    return data.decode("utf-8", "replace")


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        # A cell's lines belong together: a sentence may span several.
        yield "".join(part for part in tree if isinstance(part, str))
        for part in tree:
            if not isinstance(part, str):
                yield from _strings(part)
    elif isinstance(tree, dict):
        for key, part in tree.items():
            yield str(key)
            yield from _strings(part)


def squeeze(text: str) -> str:
    """The text without any whitespace."""
    return "".join(text.split())


def _without_comments(source: str) -> str:
    """The source with its comments blanked out; strings keep their number signs."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(lines)


# --- Files and machines ------------------------------------------------------------------------


def _odd_files(files: Mapping[str, bytes]) -> Iterator[str]:
    """Files of a kind or in a folder that does not belong in a release, and notebooks that have been run."""
    for name, data in files.items():
        path = Path(name)
        if path.suffix not in KINDS or {"__pycache__", HIDDEN, "solutions", "tests", ".git"} & set(
            path.parts
        ):
            yield f"{name}: such a file does not belong in a release"
        if name.endswith(".ipynb"):
            cells = json.loads(data)["cells"]
            if any(cell.get("outputs") or cell.get("execution_count") for cell in cells):
                yield f"{name}: holds the outputs of a run"


def machine_traces() -> set[str]:
    """What would show where a release was made: the paths of the repository, of Python, of home and of temporary files."""
    homes = {str(Path.home()), str(ENGINE.parent), sys.prefix, sys.base_prefix, str(Path.cwd())}
    traces = {home for home in homes if len(Path(home).parts) > 2}
    traces.add(str(Path(tempfile.gettempdir()) / "pytest-"))
    with_names: Iterable[str] = (socket.gethostname(), socket.getfqdn(), _user())
    traces |= {name for name in with_names if len(name) > 4 and name.lower() not in _COMMON_NAMES}
    return traces


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return ""


def _traces(files: Mapping[str, bytes]) -> Iterator[str]:
    homes = re.compile(r"/(?:home|Users)/\w+|[A-Z]:\\\\?Users\\")
    traces = machine_traces()
    for name, data in files.items():
        text = _text(name, data)
        for trace in sorted(traces):
            if re.search(
                rf"(?<!\w){re.escape(trace)}(?!\w)" if trace[:1].isalnum() else re.escape(trace), text
            ):
                yield f"{name}: names this machine: {trace}"
        if shown := homes.search(text):
            yield f"{name}: names a home folder: {shown[0]}"
