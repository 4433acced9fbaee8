"""The stubs are made from the solutions, and the given parts of them run."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autograder.build import stubs
from tests.tiny import write

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["autoencoder", "vae", "cvae", "gan"]
LESSON = """
title = "A lesson"
modules = ["a"]

[[question]]
id = "1"
title = "A function"
points = 1
graded = "auto"
module = "a"
asks = "f"
"""
LESSON_SOLUTION = """
def f():
    # TODO 1: write f
    # BEGIN SOLUTION
    return 1
    # END SOLUTION
"""


@pytest.fixture(scope="module")
def given(flat: Callable[..., SimpleNamespace], root: Path) -> SimpleNamespace:
    """The modules as students get them."""
    return flat(root / "assignment", *MODULES, "data", "figures")


# --- The generated files ---------------------------------------------------------------------------------


def test_the_assignment_is_what_the_solutions_give(root: Path) -> None:
    assert stubs.differences(root / "solutions", root / "assignment") == []


def test_writing_twice_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in stubs.write_stubs(root / "solutions", tmp_path / "a")]
    second = [path.read_bytes() for path in stubs.write_stubs(root / "solutions", tmp_path / "a")]
    assert first == second
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == sorted(
        stubs.stub_files(root / "solutions")
    )


def test_a_stub_made_from_a_stub_is_the_same(root: Path) -> None:
    for name, content in stubs.stub_files(root / "solutions").items():
        if name.endswith(".py"):
            assert stubs.stub_source(content.decode(), name).encode() == content


def test_no_solution_is_left_in_the_assignment(root: Path) -> None:
    for path in (root / "assignment").glob("*.py"):
        assert not re.search("(BEGIN|END) SOLUTION", path.read_text())


def test_files_without_marks_are_copied_verbatim(root: Path) -> None:
    for name in ("data.py", "figures.py", "README.md"):
        assert (root / "assignment" / name).read_bytes() == (root / "solutions" / name).read_bytes()


def test_outside_of_the_marks_nothing_is_lost_or_changed(root: Path) -> None:
    for name in MODULES:
        solution = (root / "solutions" / f"{name}.py").read_text()
        kept = re.sub(r" *# BEGIN SOLUTION\n.*?# END SOLUTION\n", "", solution, flags=re.DOTALL)
        stub = (root / "assignment" / f"{name}.py").read_text()
        stub = re.sub(r' *raise NotImplementedError\("\d.*\n', "", stub)
        assert re.sub(r"^[A-Z]+ = None  # \d.*\n", "", stub, flags=re.MULTILINE) == kept


def test_differences_are_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solutions, given = tmp_path / "solutions", tmp_path / "assignment"
    shutil.copytree(root / "solutions", solutions, ignore=shutil.ignore_patterns("__pycache__"))
    stubs.write_stubs(solutions, given)
    assert stubs.differences(solutions, given) == []
    (given / "vae.py").write_text("BETA = 1\n")
    (given / "cvae.py").unlink()
    (given / "old.py").write_text("")
    monkeypatch.chdir(tmp_path)  # paths are shown from here
    assert sorted(stubs.differences(solutions, given)) == [
        "assignment/cvae.py: missing",
        "assignment/old.py: has no source in the solutions",
        "assignment/vae.py: differs from what the solutions give",
    ]


def test_the_command_works_on_the_chosen_assignment(tmp_path: Path) -> None:
    """Check, write, check: with the option, in a process of its own."""
    home = write(tmp_path / "lesson", {"assignment.toml": LESSON, "solutions/a.py": LESSON_SOLUTION})

    def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "autograder.build.stubs", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    option = f"--assignment-dir={home}"
    status, printed, _ = run(option, "--check")
    assert (status, printed.splitlines()[0]) == (1, f"{home / 'assignment' / 'a.py'}: missing")
    assert run("--assignment-dir", str(home))[:2] == (0, f"{home / 'assignment' / 'a.py'}\n")
    assert run("--check", option)[:2] == (0, "")
    assert 'raise NotImplementedError("1: write f")' in (home / "assignment" / "a.py").read_text()
    write(home, {"solutions/a.py": LESSON_SOLUTION.replace("TODO 1:", "TODO 2:")})
    assert run(option)[2] == "autograder: a.py:4: there is no question 2; the questions are 1\n"
    assert run("--assignment-dir")[2] == "autograder: --assignment-dir needs the folder of an assignment\n"
    status, _, message = run("--assignment-dir", str(tmp_path))
    assert (status, message) == (
        2,
        f"autograder: {tmp_path}: holds no assignment.toml; give the folder of an assignment\n",
    )


IMPORTS_EACH = """
import sys
import torch
folder, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    print(name, flush=True)
    __import__(name)
    for other in [n for n, m in sys.modules.items() if (getattr(m, "__file__", "") or "").startswith(folder)]:
        del sys.modules[other]
"""


def test_each_stub_imports_with_only_the_assignment_at_hand(root: Path, tmp_path: Path) -> None:
    for path in (root / "assignment").glob("*.py"):
        shutil.copy(path, tmp_path)
    names = [*MODULES, "data", "figures"]
    # -I: neither the working folder nor PYTHONPATH. One for all, since PyTorch takes seconds to import.
    command = [sys.executable, "-I", "-B", "-c", IMPORTS_EACH, str(tmp_path), *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == names


# --- What every gap says ---------------------------------------------------------------------------------


def call(thing: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """Call what a student has not written yet, and return what it says."""
    with pytest.raises(NotImplementedError) as raised:
        thing(*arguments, **keywords)
    return str(raised.value)


def bare(cls: Any) -> Any:
    """An instance whose __init__ was left out, for methods of classes that cannot be built yet."""
    model = cls.__new__(cls)
    torch.nn.Module.__init__(model)
    return model


GAPS: list[tuple[str, str, Callable[[Any], str]]] = [
    ("autoencoder", "1-1", lambda m: call(m.Encoder, 3, 5)),
    ("autoencoder", "1-1", lambda m: call(bare(m.Encoder).forward, None)),
    ("autoencoder", "1-1", lambda m: call(m.Decoder, 3, 5)),
    ("autoencoder", "1-1", lambda m: call(bare(m.Decoder).forward, None)),
    ("autoencoder", "1-1", lambda m: call(m.make_data_loader, None)),
    ("autoencoder", "1-2", lambda m: call(m.reconstruction_loss, None, None)),
    ("autoencoder", "1-2", lambda m: call(m.train_autoencoder, None, [], 1, 1e-3)),
    ("autoencoder", "1-3", lambda m: call(m.sample_images, None, 1, 2)),
    ("vae", "1-4", lambda m: call(m.VAE, 3)),
    ("vae", "1-4", lambda m: call(bare(m.VAE).reparameterize, None, None)),
    ("vae", "1-4", lambda m: call(bare(m.VAE).forward, None)),
    ("vae", "1-4", lambda m: call(bare(m.VAE).loss, None, {})),
    ("vae", "1-4", lambda m: call(bare(m.VAE).reconstruct, None)),
    ("vae", "1-5", lambda m: call(m.train_vae, None, [], 1, 1e-3)),
    ("cvae", "1-8", lambda m: call(m.idx2onehot, None, 3)),
    ("cvae", "1-8", lambda m: call(m.CVAEEncoder, 3, 5, True, 2)),
    ("cvae", "1-8", lambda m: call(unconditional(m.CVAEEncoder).forward, None)),
    ("cvae", "1-8", lambda m: call(m.CVAEDecoder, 3, 5, True, 2)),
    ("cvae", "1-8", lambda m: call(unconditional(m.CVAEDecoder).forward, None)),
    ("cvae", "1-8", lambda m: call(m.CVAE, 3)),
    ("cvae", "1-8", lambda m: call(bare(m.CVAE).reparameterize, None, None)),
    ("cvae", "1-8", lambda m: call(bare(m.CVAE).forward, None)),
    ("cvae", "1-8", lambda m: call(bare(m.CVAE).loss, None, {})),
    ("cvae", "1-8", lambda m: call(bare(m.CVAE).reconstruct, None)),
    ("cvae", "1-8", lambda m: call(m.train_cvae, None, [], 1, 1e-3)),
    ("cvae", "1-9", lambda m: call(m.sample_conditional, None, None, 2)),
    ("gan", "2-1a", lambda m: call(m.DCGAN, device="cpu")),
    ("gan", "2-1a", lambda m: call(bare(m.DCGAN)._weight_initialization)),
    ("gan", "2-1a", lambda m: call(bare(m.DCGAN)._classification_loss, None, None)),
    ("gan", "2-1b", lambda m: call(bare(m.DCGAN).training_step, torch.rand(2, 3, 32, 32))),
    ("gan", "2-1b", lambda m: call(bare(m.DCGAN)._discriminator_step, None)),
    ("gan", "2-1b", lambda m: call(bare(m.DCGAN)._generator_step, 2)),
    ("gan", "2-3", lambda m: call(m.SpectralNormDiscriminator)),
    ("gan", "2-4", lambda m: call(bare(m.DCGAN)._reconstruction_loss, None, None)),
    ("gan", "2-4", lambda m: call(bare(m.DCGAN).reconstruct, None)),
]


def unconditional(cls: Any) -> Any:
    model = bare(cls)
    model.conditional = False
    return model


@pytest.mark.parametrize(("module", "question", "said"), GAPS)
def test_a_gap_raises_and_names_its_question(given: Any, module: str, question: str, said: Any) -> None:
    assert said(getattr(given, module)).startswith(f"{question}: write ")


def test_the_list_above_has_every_gap(root: Path) -> None:
    gaps = sum(
        isinstance(node, ast.Raise) and "NotImplementedError('" in ast.unparse(node)
        for name in MODULES
        for node in ast.walk(ast.parse((root / "assignment" / f"{name}.py").read_text()))
    )
    assert gaps == len(GAPS) - 1  # training_step is given, and raises through _discriminator_step


def test_constants_are_none_until_they_are_chosen(given: Any) -> None:
    assert given.vae.BETA is None
    assert given.vae.INTERPOLATIONS is None


def test_every_gap_stands_under_a_docstring_that_names_its_question(root: Path) -> None:
    for name in MODULES:
        for node in ast.walk(ast.parse((root / "assignment" / f"{name}.py").read_text())):
            if isinstance(node, ast.FunctionDef) and "NotImplementedError('" in ast.unparse(node.body[-1]):
                assert ast.get_docstring(node) or node.name == "__init__", f"{name}.{node.name}"


# --- What is given runs ----------------------------------------------------------------------------------


def test_the_given_generator_and_discriminator_run(given: Any) -> None:
    images = given.gan.Generator(64)(torch.randn(3, 64))
    assert images.shape == (3, 3, 32, 32)
    assert given.gan.Discriminator()(images).shape == (3, 1)


def test_the_given_divergence_runs(given: Any) -> None:
    zero = torch.zeros(3)
    value = given.vae.kl_divergence(torch.tensor([0.0, 1.0, 2.0]), zero, zero, zero)
    assert value.tolist() == [0.0, 0.5, 2.0]


def test_the_given_interpolation_runs_with_a_model_of_ones_own(given: Any) -> None:
    model = torch.nn.Module()
    model.encoder, model.decoder = torch.nn.Linear(784, 6), torch.nn.Linear(3, 784)
    assert given.vae.interpolate(model, torch.rand(28, 28), torch.rand(1, 784), nz=3, steps=4).shape == (
        4,
        28,
        28,
    )


def test_the_given_part_of_dcgan_is_there_before_the_gap(given: Any) -> None:
    dcgan = given.gan.DCGAN.__new__(given.gan.DCGAN)
    with pytest.raises(NotImplementedError):
        dcgan.__init__(device="cpu")
    assert dcgan.tracked_noise.shape == (64, 64)
    assert dcgan.device == torch.device("cpu")


# --- The generator itself --------------------------------------------------------------------------------


def stub(text: str) -> str:
    return stubs.stub_source(text, "lesson.py")


def test_a_block_in_a_function_becomes_a_raise_with_the_todo_s_first_line() -> None:
    source = """
def f(x):
    # TODO 1-6w-b: double x
    # Advice.
    # BEGIN SOLUTION
    y = x
    return 2 * y
    # END SOLUTION
"""
    assert (
        stub(source)
        == """
def f(x):
    # TODO 1-6w-b: double x
    # Advice.
    raise NotImplementedError("1-6w-b: double x")
"""
    )


@pytest.mark.parametrize("id", ["1", "1-6w-b", "2.3", "softmax"])
def test_a_todo_begins_with_any_id_of_a_question(id: str) -> None:
    source = f"def f():\n    # TODO {id}: a\n    # BEGIN SOLUTION\n    pass\n    # END SOLUTION\n"
    assert f'raise NotImplementedError("{id}: a")' in stub(source)


def test_quotes_and_backslashes_in_a_todo_survive() -> None:
    source = 'def f():\n    # TODO 1-1: write "a\\b"\n    # BEGIN SOLUTION\n    pass\n    # END SOLUTION\n'
    namespace: dict[str, Any] = {}
    exec(stub(source), namespace)
    assert call(namespace["f"]) == '1-1: write "a\\b"'


def test_assignments_outside_of_functions_become_none() -> None:
    source = """
class C:
    # TODO 1-6: choose
    # BEGIN SOLUTION
    A = 1
    B: float = 2.0
    # END SOLUTION

    def f(self):
        return self.A
"""
    assert (
        stub(source)
        == """
class C:
    # TODO 1-6: choose
    A = None  # 1-6: choose
    B: float | None = None  # 1-6: choose

    def f(self):
        return self.A
"""
    )


def test_imports_of_the_solution_are_taken_out() -> None:
    source = "import a\n# BEGIN SOLUTION\nimport b\nfrom c import d\n# END SOLUTION\nx = 1\n"
    assert stub(source) == "import a\nx = 1\n"


def test_a_function_goes_on_after_a_block() -> None:
    source = """
def f(x):
    if x:
        # TODO 1-1: a
        # BEGIN SOLUTION
        x = 2
        # END SOLUTION
    return x
"""
    assert (
        stub(source)
        == """
def f(x):
    if x:
        # TODO 1-1: a
        raise NotImplementedError("1-1: a")
    return x
"""
    )


def test_marks_inside_of_strings_are_text() -> None:
    source = 'TEXT = """\n# BEGIN SOLUTION\n"""\n'
    assert stub(source) == source


TODO = "# TODO 1-1: a\n"
MALFORMED = {
    "never closed": (f"{TODO}# BEGIN SOLUTION\nx = 1\n", 2, "without '# END SOLUTION'"),
    "closed but not opened": ("x = 1\n# END SOLUTION\n", 2, "without '# BEGIN SOLUTION'"),
    "nested": (f"{TODO}# BEGIN SOLUTION\nx = 1\n# BEGIN SOLUTION\n# END SOLUTION\n", 4, "begins at line 2"),
    "no TODO": ("# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n", 1, "# TODO"),
    "a TODO without a question": ("# TODO: a\n# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n", 2, "# TODO"),
    "a TODO further up": (f"{TODO}\n# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n", 3, "# TODO"),
    "a TODO of another block": (
        f"{TODO}# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n# BEGIN SOLUTION\ny = 1\n# END SOLUTION\n",
        5,
        "# TODO",
    ),
    "empty": (f"{TODO}# BEGIN SOLUTION\n# END SOLUTION\nx = 1\n", 2, "there is nothing"),
    "misspelt": (f"{TODO}# begin solution\nx = 1\n# END SOLUTION\n", 2, "a line of its own"),
    "with more text": (f"{TODO}# BEGIN SOLUTION NO PROMPT\nx = 1\n# END SOLUTION\n", 2, "a line of its own"),
    "behind code": (f"{TODO}x = 1  # BEGIN SOLUTION\n# END SOLUTION\n", 2, "a line of its own"),
    "a function outside of functions": (
        f"{TODO}# BEGIN SOLUTION\ndef f():\n    pass\n# END SOLUTION\n",
        3,
        "imports and assignments",
    ),
    "two names": (f"{TODO}# BEGIN SOLUTION\nx = y = 1\n# END SOLUTION\n", 3, "imports and assignments"),
    "a statement that sticks out": (
        f"{TODO}# BEGIN SOLUTION\nx = [\n    1,\n    # END SOLUTION\n]\n",
        2,
        "cuts the statement at line 3",
    ),
    "not Python": (f"{TODO}# BEGIN SOLUTION\nx = \n# END SOLUTION\n", 3, "not Python"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_marks_give_an_error_that_names_file_and_line(fault: str) -> None:
    source, line, text = MALFORMED[fault]
    with pytest.raises(ValueError, match=rf"lesson\.py:{line}: ") as raised:
        stub(source)
    assert text in str(raised.value)


def test_a_malformed_solution_leaves_the_assignment_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "a.py").write_text("x = 1\n")
    (tmp_path / "solutions" / "b.py").write_text("# END SOLUTION\n")
    with pytest.raises(ValueError, match=r"b\.py"):
        stubs.write_stubs(tmp_path / "solutions", tmp_path / "assignment")
    assert not (tmp_path / "assignment").exists()
