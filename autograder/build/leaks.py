"""What must not be in a release, looked for in all its files: solutions, model answers, hidden checks, traces of this machine.

What is secret is read afresh from the repository, so that it holds for whatever is there today:

- the lines between the marks of `solutions/*.py`, in any spacing and without their comments;
- the sentences between the marks of `solutions/notebooks/*.py`;
- the names of hidden checks and their files, their sentences, and their numbers of four digits or more;
- the paths, the user and the name of this machine; and files of a kind that nobody meant to hand out.

What is said in public anyway is no leak: lines that also stand in what solutions give away, and what hidden checks share
with public ones. The few other coincidences are in ALLOWED, each with its reason.
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

SHORT = 12  # characters (without spaces) up to which a line of code says nothing
SENTENCE = 25  # characters from which a text is a sentence of its author's
KINDS = {".py", ".md", ".toml", ".json", ".txt", ".ipynb", ""}
# Lines of solutions that also stand elsewhere: the squeezed line, where it may stand, and why.
ALLOWED: dict[str, tuple[str, str]] = {
    "self.net=nn.Sequential(": (
        "autograder/probes/",
        "the stand-ins' own small networks begin so; what is in them differs",
    ),
    "returnself.net(x)": ("autograder/probes/", "the stand-ins' own small networks end so"),
    "self.beta=beta": ("autograder/probes/", "stand-ins of models keep their arguments, as every class does"),
    "q=self.encoder(x)": (
        "autograder/probes/",
        "the stand-in of a VAE calls its encoder; the docstring of the stub says so too",
    ),
    "q=self.encoder(x,c)": (
        "autograder/probes/",
        "the stand-in of a CVAE calls its encoder with the label, as its signature says",
    ),
    "betas=(0.5,0.999)": (
        "autograder/probes/",
        "the stand-in's constant, which the stub's docstring asks for",
    ),
    "optimizer.zero_grad()": (
        "autograder/sandbox/",
        "a warm-up step of the zygote; the line of every training loop",
    ),
    "self.optimizerD.step()": ("autograder/checks/public/", "words of a public check's hint"),
}

CODE_MARK = re.compile(
    r"^[ \t]*# BEGIN SOLUTION[ \t]*$(.*?)^[ \t]*# END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE
)
_TEXT_MARK = re.compile(r"<!-- BEGIN SOLUTION -->(.*?)<!-- END SOLUTION -->", re.DOTALL)
_SAYS_SOMETHING = re.compile(r"[(\[=+*/@-]")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*=")
_COMMON_NAMES = {"root", "user", "admin", "runner", "student", "ubuntu", "localhost", "vscode", "jovyan"}


@dataclass(frozen=True)
class Secret:
    """Something that may not be handed out: what it is, where it stands, its text, and what to look for.

    squeezed: whether that is the text without spaces, which may begin and end anywhere; else it is a whole word.
    """

    kind: str
    place: str
    text: str
    key: str
    squeezed: bool = True


def find(files: Mapping[str, bytes], root: Path) -> list[str]:
    """One line for each leak in `files` (by path), given the repository at `root`; none when all is well."""
    found = [*_odd_files(files), *_traces(files, root)]
    readings = {name: _readings(name, data) for name, data in files.items()}
    for secret in secrets(root):
        allowed, _ = ALLOWED.get(secret.key, (None, ""))
        for name, (text, squeezed) in readings.items():
            if allowed is not None and name.startswith(allowed):
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


def secrets(root: Path) -> list[Secret]:
    """All that may not be handed out."""
    return [*solution_lines(root), *model_answers(root), *hidden_parts(root)]


def solution_lines(root: Path) -> list[Secret]:
    """The lines of code that students are to write, but for those that they are given elsewhere."""
    inside: dict[str, Secret] = {}
    outside = ""
    for path in sorted((root / "solutions").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        outside += _squeeze(CODE_MARK.sub("\n", source)) + "\n"
        bare = _without_comments(source).splitlines()
        for block in CODE_MARK.finditer(source):
            first = source.count("\n", 0, block.start(1))
            for number in range(first, first + block[1].count("\n")):
                key = _squeeze(bare[number])
                if (len(key) > SHORT and _SAYS_SOMETHING.search(key)) or _CONSTANT.match(key):
                    place = f"solutions/{path.name}:{number + 1}"
                    inside.setdefault(key, Secret("a solution line", place, bare[number].strip(), key))
    return [secret for key, secret in inside.items() if key not in outside]


def model_answers(root: Path) -> list[Secret]:
    """The sentences of our own answers to the written questions."""
    found = []
    for path in sorted((root / "solutions" / "notebooks").glob("*.py")):
        source = re.sub(r"^# ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        outside = _squeeze(_TEXT_MARK.sub("", source))
        for answer in _TEXT_MARK.findall(source):
            for sentence in re.split(r"(?<=[.:;?!])\s+", answer):
                key = _squeeze(sentence)
                if len(key) >= SENTENCE and key not in outside:
                    found.append(Secret("a model answer", path.name, " ".join(sentence.split()), key))
    return found


def hidden_parts(root: Path) -> list[Secret]:
    """What hidden checks are called, say, and expect, where public checks do not say it too."""
    checks = root / "autograder" / "checks"
    public = _Parts()
    for path in sorted((root / "solutions").glob("*.py")):  # docstrings and comments that students are given
        public.given += _squeeze(CODE_MARK.sub("\n", path.read_text(encoding="utf-8")))
    for path in sorted((checks / "public").rglob("*.py")):
        public.read(path.read_text(encoding="utf-8"))
    stems = {path.stem for path in (checks / "public").rglob("*.py")}
    found = []
    for path in sorted((checks / "hidden").rglob("*.py")):
        hidden = _Parts()
        hidden.read(path.read_text(encoding="utf-8"))
        place = f"hidden/{path.name}"
        names = hidden.names - public.names
        if path.stem not in stems:  # what is called the same on both sides tells nothing
            names.add(path.stem)
        texts = {text for text in hidden.texts - public.texts if _squeeze(text) not in public.given}
        found += [Secret("the name", place, name, name, squeezed=False) for name in sorted(names)]
        found += [Secret("a text", place, text, _squeeze(text)) for text in sorted(texts)]
        found += [
            Secret("a number", place, n, n, squeezed=False) for n in sorted(hidden.numbers - public.numbers)
        ]
    return found


class _Parts:
    """The checks, the sentences and the long numbers of some modules."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.texts: set[str] = set()
        self.numbers: set[str] = set()
        self.given = ""

    def read(self, source: str) -> None:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                self.names.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.texts.update(
                    s for s in re.split(r"(?<=[.:;?!])\s+", node.value) if len(_squeeze(s)) >= SENTENCE
                )
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NUMBER:
                digits = re.sub(r"[eE].*|\D", "", token.string).strip("0")
                if len(digits) >= 4:
                    self.numbers.add(token.string)


def _whole(word: str, text: str) -> bool:
    """True when the word stands in the text, and not as a part of a longer one."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _readings(name: str, data: bytes) -> tuple[str, str]:
    """A file's text, and the same without any space; of JSON also what it means: no escape hides anything."""
    text = data.decode("utf-8", "replace")
    said = [text]
    if name.endswith((".ipynb", ".json")):
        said.append("\n".join(_strings(json.loads(text))))
    return "\n".join(said), "\n".join(_squeeze(t) for t in said)


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        # A cell's lines belong together: a sentence may run over several.
        yield "".join(part for part in tree if isinstance(part, str))
        for part in tree:
            if not isinstance(part, str):
                yield from _strings(part)
    elif isinstance(tree, dict):
        for key, part in tree.items():
            yield str(key)
            yield from _strings(part)


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _without_comments(source: str) -> str:
    """The source with its comments blanked out; strings keep their number signs."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(lines)


# --- What is no matter of content ------------------------------------------------------------------------


def _odd_files(files: Mapping[str, bytes]) -> Iterator[str]:
    """Files of a kind or in a folder that no release has, and notebooks that have been run."""
    for name, data in files.items():
        path = Path(name)
        if path.suffix not in KINDS or {"__pycache__", "hidden", "solutions", "tests", ".git"} & set(
            path.parts
        ):
            yield f"{name}: no release holds such a file"
        if name.endswith(".ipynb"):
            cells = json.loads(data)["cells"]
            if any(cell.get("outputs") or cell.get("execution_count") for cell in cells):
                yield f"{name}: holds the outputs of a run"


def machine_traces(root: Path) -> set[str]:
    """What would tell where a release was built: the paths of the repository, of Python, of home and of temporary files."""
    homes = {str(Path.home()), str(root), str(root.resolve()), sys.prefix, sys.base_prefix, str(Path.cwd())}
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


def _traces(files: Mapping[str, bytes], root: Path) -> Iterator[str]:
    home = re.compile(r"/(?:home|Users)/\w+|[A-Z]:\\\\?Users\\")
    traces = machine_traces(root)
    for name, data in files.items():
        text = data.decode("utf-8", "replace")
        for trace in sorted(traces):
            if re.search(
                rf"(?<!\w){re.escape(trace)}(?!\w)" if trace[:1].isalnum() else re.escape(trace), text
            ):
                yield f"{name}: names this machine: {trace}"
        if shown := home.search(text):
            yield f"{name}: names somebody's home: {shown[0]}"
