"""Make the stubs: take the students' part out of every solution.

What students write is marked in the solutions by two comments (Otter Assign's), each on a line of its own:

    # TODO 1-4: write Model.sample
    # More lines of advice may follow. Students keep all of this.
    # BEGIN SOLUTION
    noise = torch.randn_like(mean)
    return mean + scale * noise
    # END SOLUTION

Inside a function such a block becomes `raise NotImplementedError("1-4: write Model.sample")`. In the body of a module or
a class, every assignment `NAME = ...` becomes `NAME = None  # 1-6: ...`, and imports are removed. The text comes from the first
line of the TODO comment right before the block: the id of a question, a colon, and what to do. A block that holds only imports
needs none. The notebooks come from the solutions' folder `notebooks/` (see `autograder.build.notebooks`).

    python -m autograder.build.stubs                         write the stubs, and the complete notebooks
    python -m autograder.build.stubs --check                 write nothing; exit with 1 if any of that would change
    python -m autograder.build.stubs --assignment-dir DIR    of another assignment
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.build.notebooks import QUESTION, notebook_files
from autograder.model.assignment import OPTION, Assignment, assignment, choose

BEGIN = "# BEGIN SOLUTION"
END = "# END SOLUTION"
TODO = re.compile(r"# TODO (?P<text>[\w.-]+: \S.*)")
ANY_MARK = re.compile(r"#\s*(BEGIN|END)\s+SOLUTION\b", re.IGNORECASE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Block:
    """A solution block: the line numbers of its marks (from 1), the column of the first, the TODO's text."""

    begin: int
    end: int
    column: int
    todo: str | None


def stub_source(source: str, filename: str, wanted: Callable[[str], bool] = lambda todo: True) -> str:
    """The text of a stub.

    Args:
        source: the solution, a Python module.
        filename: its name, for error messages.
        wanted: whether a block with this TODO ("1-4: write Model.loss") is taken out; all are by default. (If some stay,
            the text is that of a half-finished submission.)

    Returns:
        The module without its solution blocks; `source` itself if there is none.

    Raises:
        ValueError: a mark that is misspelt, unclosed, nested or alone; a block that has no TODO, is empty, or cuts a statement
            in two; or a source that is not Python. The message names the file and the line.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{filename}:{error.lineno}: not Python: {error.msg}") from error
    blocks = _blocks(source, filename)
    if not blocks:
        return source
    lines = source.splitlines(keepends=True)
    made: list[str] = []
    position = 0  # number of lines done
    for block in blocks:
        if not wanted(block.todo or ""):
            continue
        made += lines[position : block.begin - 1]
        made += [" " * block.column + line + "\n" for line in _replacement(block, tree, filename)]
        position = block.end
    return "".join(made + lines[position:])


def _blocks(source: str, filename: str) -> list[Block]:
    """All solution blocks. Raises ValueError where marks do not fit together."""
    lines = source.splitlines()
    blocks: list[Block] = []
    opened: tuple[int, int] | None = None  # line and column of a BEGIN mark without an END so far
    for line, column, text in _comments(source):
        if not ANY_MARK.match(text):
            continue
        where = f"{filename}:{line}"
        if text not in (BEGIN, END) or lines[line - 1].strip() != text:
            raise ValueError(f"{where}: a mark must be a line of its own, {BEGIN!r} or {END!r}; got {text!r}")
        if text == BEGIN:
            if opened:
                raise ValueError(f"{where}: {BEGIN!r} inside the block that begins at line {opened[0]}")
            opened = line, column
        else:
            if not opened:
                raise ValueError(f"{where}: {END!r} without {BEGIN!r}")
            blocks.append(Block(opened[0], line, opened[1], _todo_before(lines, opened[0])))
            opened = None
    if opened:
        raise ValueError(f"{filename}:{opened[0]}: {BEGIN!r} without {END!r}")
    return blocks


def _comments(source: str) -> list[tuple[int, int, str]]:
    """Line, column and text of every comment. (A mark inside a string is not a mark.)"""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(*token.start, token.string) for token in tokens if token.type == tokenize.COMMENT]


def _todo_before(lines: Sequence[str], begin: int) -> str | None:
    """The text of the TODO in the comment that ends right before line `begin` (1-based)."""
    for line in reversed(lines[: begin - 1]):
        if not line.strip().startswith("#") or ANY_MARK.match(line.strip()):
            return None
        if match := TODO.fullmatch(line.strip()):
            return match["text"]
    return None


def _replacement(block: Block, tree: ast.Module, filename: str) -> list[str]:
    """What students get in place of a block, as lines without indentation."""
    where = f"{filename}:{block.begin}"
    statements = _statements(block, tree, where)
    if any(isinstance(node, Function) and _contains(node, statements[0]) for node in ast.walk(tree)):
        text = _required_todo(block, where).replace("\\", "\\\\").replace('"', '\\"')
        return [f'raise NotImplementedError("{text}")']
    made = []
    for statement in statements:
        match statement:
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.Assign(targets=[ast.Name(id=name)]):
                made.append(f"{name} = None  # {_required_todo(block, where)}")
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                hint = f"{ast.unparse(annotation)} | None"
                made.append(f"{name}: {hint} = None  # {_required_todo(block, where)}")
            case _:
                raise ValueError(
                    f"{filename}:{statement.lineno}: outside of functions a block may hold only imports and "
                    "assignments to one name"
                )
    return made


def _statements(block: Block, tree: ast.Module, where: str) -> list[ast.stmt]:
    """The outermost statements of a block; each must lie entirely within it."""
    inside: list[ast.stmt] = []
    for node in ast.walk(tree):  # parents come before their children
        if not isinstance(node, ast.stmt):
            continue
        begins, ends = _first_line(node), node.end_lineno or node.lineno
        if ends < block.begin or begins > block.end or (begins < block.begin and ends > block.end):
            continue  # before the block, after it, or around it
        if begins < block.begin or ends > block.end:
            # A function, class, loop... whose last statement is in the block ends where that one ends.
            if begins < block.begin and hasattr(node, "body"):
                continue
            raise ValueError(f"{where}: the block cuts the statement at line {begins} in two")
        if not any(_contains(outer, node) for outer in inside):
            inside.append(node)
    if not inside:
        raise ValueError(f"{where}: there is nothing between the marks")
    return sorted(inside, key=_first_line)


def _first_line(node: ast.stmt) -> int:
    """Where a statement begins, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _contains(outer: ast.stmt, inner: ast.stmt) -> bool:
    return outer is not inner and _first_line(outer) <= inner.lineno <= (outer.end_lineno or outer.lineno)


def _required_todo(block: Block, where: str) -> str:
    if block.todo is None:
        raise ValueError(
            f"{where}: right before the block a comment must begin with '# TODO <question>: <what to do>', "
            "for instance '# TODO 1-4: write Model.loss'"
        )
    return block.todo


def stub_files(solutions: Path) -> dict[str, bytes]:
    """Name and bytes of everything that students get from `solutions`: stubs of modules, notebooks, texts as they are."""
    files = notebook_files(solutions, complete=False)
    for path in sorted([*solutions.glob("*.py"), *solutions.glob("*.md")]):
        source = path.read_bytes()
        if path.suffix == ".py":
            source = stub_source(source.decode(), path.name).encode()
        files[path.name] = source
    return files


def write_stubs(solutions: Path, stubs: Path) -> list[Path]:
    """Writes all stubs into the folder `stubs` (made if needed) and returns the paths of the written files."""
    files = stub_files(solutions)  # before anything is written: a malformed mark leaves the folder as it was
    stubs.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (stubs / name).write_bytes(content)
    return [stubs / name for name in files]


def write_notebooks(solutions: Path) -> list[Path]:
    """Writes the complete notebooks into `solutions` and returns the paths of the written files."""
    files = notebook_files(solutions, complete=True)
    for name, content in files.items():
        (solutions / name).write_bytes(content)
    return [solutions / name for name in files]


def differences(solutions: Path, stubs: Path) -> list[str]:
    """One line for each file that differs from what the generator would write; none if all is well."""
    expected = {stubs / name: content for name, content in stub_files(solutions).items()}
    for name, content in notebook_files(solutions, complete=True).items():
        expected[solutions / name] = content
    found = []
    for path, content in expected.items():
        if not path.is_file():
            found.append(f"{shown(path)}: missing")
        elif path.read_bytes() != content:
            found.append(f"{shown(path)}: differs from what the solutions give")
    for path in sorted([*stubs.glob("*.py"), *stubs.glob("*.ipynb"), *solutions.glob("*.ipynb")]):
        if path not in expected:
            found.append(f"{shown(path)}: has no source in the solutions")
    return found


def shown(path: Path) -> str:
    """A path for a message: relative to the current folder if it is inside."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def solutions_of(subject: Assignment) -> Path:
    """The folder of the solutions; raises ValueError where the assignment has none."""
    if subject.solutions is None:
        raise ValueError(f"{subject.folder}: there are no solutions to make stubs from")
    return subject.solutions


def require_known_questions(subject: Assignment) -> None:
    """Raises ValueError, naming file and line, for a question in the solutions that the rubric does not have."""
    solutions = solutions_of(subject)
    named: list[tuple[str, str]] = []
    for path in sorted(solutions.glob("*.py")):
        for block in _blocks(path.read_text(encoding="utf-8"), path.name):
            if block.todo:
                named.append((f"{path.name}:{block.begin}", block.todo.partition(":")[0]))
    for path in sorted((solutions / "notebooks").glob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := QUESTION.search(line):
                named.append((f"notebooks/{path.name}:{number}", match["id"]))
    known = [question.id for question in subject.rubric.questions]
    for where, id in named:
        if id not in known:
            raise ValueError(f"{where}: there is no question {id}; the questions are {', '.join(known)}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m autograder.build.stubs",
        description="Make the stubs that students fill in from the solutions.",
        epilog=f"{OPTION} DIR chooses the assignment in the folder DIR.",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if files are out of date"
    )
    try:
        options = parser.parse_args(choose(sys.argv[1:] if arguments is None else arguments))
        subject = assignment()
        require_known_questions(subject)
        solutions = solutions_of(subject)
        if options.check:
            found = differences(solutions, subject.stubs)
            for line in found:
                print(line)
            if found:
                print("To fix it: python -m autograder.build.stubs")
            return 1 if found else 0
        for path in [*write_stubs(solutions, subject.stubs), *write_notebooks(solutions)]:
            print(shown(path))
    except ValueError as error:
        print(f"autograder: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
