"""Make `assignment/` from `solutions/`: take the students' part out of every solution.

What students write stands in the solutions between two marks (Otter Assign's), each on a line of its own:

    # TODO 1-4: write VAE.reparameterize
    # More lines of advice may follow. Students keep all of this.
    # BEGIN SOLUTION
    eps = torch.randn_like(mu)
    return mu + torch.exp(log_sigma) * eps
    # END SOLUTION

Inside of a function such a block becomes `raise NotImplementedError("1-4: write VAE.reparameterize")`. In the
body of a module or a class, every assignment `NAME = ...` becomes `NAME = None  # 1-6: ...`, and imports are
taken out. The text comes from the first line of the TODO comment right before the block; a block of imports
alone needs none. The notebooks come from `solutions/notebooks/` (see `autograder.build.notebooks`).

    python -m autograder.build.stubs            write assignment/, and the complete notebooks
    python -m autograder.build.stubs --check    write nothing; exit with 1 if any of that would change
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

from autograder.build.notebooks import notebook_files

ROOT = Path(__file__).resolve().parents[2]
# A bundled example submission, whose gan.py is the stub as students get it.
UNTOUCHED_GAN = Path("tests/submissions/problem-1-done/gan.py")

BEGIN = "# BEGIN SOLUTION"
END = "# END SOLUTION"
TODO = re.compile(r"# TODO (?P<text>\d+-\d+[a-z]*(-[a-z])?: \S.*)")
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
        wanted: tells by a block's TODO ("1-4: write VAE.loss") whether it is taken out; all are, unless said
            otherwise. (With a choice made, the text is that of a half-finished submission.)

    Returns:
        The module without its solution blocks; `source` itself where there is none.

    Raises:
        ValueError: a mark that is misspelt, unclosed, nested or alone; a block without a TODO, or with
            nothing in it, or that cuts a statement in two; or a source that is not Python. The message names
            the file and the line.
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
    position = 0  # number of lines that are dealt with
    for block in blocks:
        if not wanted(block.todo or ""):
            continue
        made += lines[position : block.begin - 1]
        made += [" " * block.column + line + "\n" for line in _replacement(block, tree, filename)]
        position = block.end
    return "".join(made + lines[position:])


def _blocks(source: str, filename: str) -> list[Block]:
    """Find all solution blocks, and complain about marks that do not fit together."""
    lines = source.splitlines()
    blocks: list[Block] = []
    opened: tuple[int, int] | None = None  # line and column of a BEGIN mark without its END
    for line, column, text in _comments(source):
        if not ANY_MARK.match(text):
            continue
        where = f"{filename}:{line}"
        if text not in (BEGIN, END) or lines[line - 1].strip() != text:
            raise ValueError(f"{where}: a mark must be a line of its own, {BEGIN!r} or {END!r}; got {text!r}")
        if text == BEGIN:
            if opened:
                raise ValueError(f"{where}: {BEGIN!r} inside of the block that begins at line {opened[0]}")
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
    """Line, column and text of every comment. (A mark that is quoted in a string is not a mark.)"""
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
    """What students get in place of a block: lines without indentation."""
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
    """The outermost statements of a block; every one must lie in it with its whole length."""
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
        raise ValueError(f"{where}: nothing stands between the marks")
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
            "for instance '# TODO 1-4: write VAE.loss'"
        )
    return block.todo


def stub_files(solutions: Path) -> dict[str, bytes]:
    """Name and bytes of all that students get from `solutions`: stubs of modules, notebooks, texts as they are."""
    files = notebook_files(solutions, complete=False)
    for path in sorted([*solutions.glob("*.py"), *solutions.glob("*.md")]):
        source = path.read_bytes()
        if path.suffix == ".py":
            source = stub_source(source.decode(), path.name).encode()
        files[path.name] = source
    return files


def write_stubs(solutions: Path, assignment: Path) -> list[Path]:
    """Write all stubs into `assignment` (made if need be), and return the paths of what was written."""
    files = stub_files(solutions)  # before anything is written: a malformed mark leaves the folder as it was
    assignment.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (assignment / name).write_bytes(content)
    return [assignment / name for name in files]


def write_untouched_gan(solutions: Path, target: Path) -> Path:
    """Write the stub of gan.py into the bundled submission that has not begun with Problem 2."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(stub_files(solutions)["gan.py"])
    return target


def write_notebooks(solutions: Path) -> list[Path]:
    """Write the complete notebooks into `solutions`, and return the paths of what was written."""
    files = notebook_files(solutions, complete=True)
    for name, content in files.items():
        (solutions / name).write_bytes(content)
    return [solutions / name for name in files]


def differences(root: Path) -> list[str]:
    """What is not as the generator would write it: one line for each file, empty if all is well."""
    expected = {
        Path("assignment") / name: content for name, content in stub_files(root / "solutions").items()
    }
    expected[UNTOUCHED_GAN] = expected[Path("assignment/gan.py")]
    for name, content in notebook_files(root / "solutions", complete=True).items():
        expected[Path("solutions") / name] = content
    found = []
    for path, content in expected.items():
        if not (root / path).is_file():
            found.append(f"{path.as_posix()}: missing")
        elif (root / path).read_bytes() != content:
            found.append(f"{path.as_posix()}: differs from what solutions/ gives")
    for pattern in ("assignment/*.py", "assignment/*.ipynb", "solutions/*.ipynb"):
        for path in sorted(root.glob(pattern)):
            if path.relative_to(root) not in expected:
                found.append(f"{path.relative_to(root).as_posix()}: has no source in solutions/")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m autograder.build.stubs", description="Make assignment/ from solutions/."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if files are out of date"
    )
    options = parser.parse_args(arguments)
    if options.check:
        found = differences(ROOT)
        for line in found:
            print(line)
        if found:
            print("To mend it: python -m autograder.build.stubs")
        return 1 if found else 0
    stubs = write_stubs(ROOT / "solutions", ROOT / "assignment")
    for path in [*stubs, *write_notebooks(ROOT / "solutions")]:
        print(path.relative_to(ROOT).as_posix())
    print(write_untouched_gan(ROOT / "solutions", ROOT / UNTOUCHED_GAN).relative_to(ROOT).as_posix())
    return 0


if __name__ == "__main__":
    sys.exit(main())
