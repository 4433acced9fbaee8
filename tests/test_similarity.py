"""Similar work: what students wrote is compared, stubs and common passages left out; identical uploads are named."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.classroom.collect import Entry
from autograder.classroom.identical import identical, identical_work
from autograder.classroom.rows import NOTHING
from autograder.cli.main import main
from autograder.model.assignment import assignment
from autograder.model.student import Student
from autograder.reports import similarity
from autograder.reports.html import report_page, write_reports
from autograder.reports.similarity_page import similarity_page
from tests.classes import MODULES, inside, pack, result, write

RUBRIC = assignment().rubric
OPERATORS = [
    "a + b",
    "a * b",
    "[a, b][0]",
    "max(a, b)",
    "abs(a)",
    "a ** 2",
    "(a - b) / 2",
    "{a: b}",
    "a if b else 0",
]


def functions(seed: int, count: int = 12) -> str:
    """Functions that nobody else writes."""
    draw = random.Random(seed)
    body = [
        " - ".join(f"{draw.choice(OPERATORS)} * {draw.randint(100, 999)}" for _ in range(5))
        for _ in range(count)
    ]
    return "".join(f"def f{i}(a, b):\n    return {line}\n\n\n" for i, line in enumerate(body))


def works(texts: dict[str, str], stub: str = "") -> list[similarity.Work]:
    given = similarity.fingerprints("stub", {"vae.py": stub.encode()}).prints
    return [similarity.fingerprints(n, {"vae.py": t.encode()}, given) for n, t in texts.items()]


def renamed(text: str) -> str:
    """The same code under other names, with comments and other line breaks."""
    text = re.sub(r"\bf(\d+)\b", r"compute_\1", text).replace("a", "alpha").replace("malphax", "max")
    text = text.replace("alphabs", "abs").replace("return", "return ")
    return text.replace("\n    return", "\n    # my own idea\n\n    return")


def test_a_copy_under_other_names_is_the_most_similar_pair() -> None:
    texts = {f"student {i}": functions(i) for i in range(8)}
    texts["copy"] = renamed(functions(3))
    found = similarity.compare(works(texts))
    assert (found.pairs[0].first, found.pairs[0].second) == ("student 3", "copy")
    assert found.pairs[0].share > 0.9
    assert all(pair.share < 0.3 for pair in found.pairs[1:])
    assert found.usual < 0.2


def test_the_passages_are_marked_at_their_lines_with_the_same_number_on_both_sides() -> None:
    shared = functions(100, 4)
    texts = {"Ana": functions(1) + shared, "Ben": shared + functions(2)}
    (pair,) = similarity.compare(works(texts)).pairs
    sides = []
    for side, name in ((pair.left, "Ana"), (pair.right, "Ben")):
        (part,) = side
        lines = texts[name].split("\n")
        assert all(lines[line.number - 1] == line.text for line in part.lines if line.number)
        sides.append({line.text: line.passage for line in part.lines if line.passage})
    bodies = [line for line in shared.split("\n") if line.startswith("    ")]
    assert len(bodies) == 4
    for body in bodies:
        assert sides[0][body] == sides[1][body] > 0
    # Nothing but the shared functions, and perhaps a line at either end where a passage begins or stops.
    assert all(len([t for t in side if t.startswith("    ")]) <= 6 for side in sides)


def test_the_stubs_own_text_does_not_count() -> None:
    stub = functions(50)
    texts = {"Ana": stub + functions(1), "Ben": stub + functions(2)}
    (with_stub,) = similarity.compare(works(texts)).pairs
    without = similarity.compare(works(texts, stub)).pairs
    assert with_stub.share > 0.4
    assert not without or without[0].share < 0.1
    untouched = similarity.compare(works({**texts, "Cleo": stub}, stub))
    assert untouched.short == ("Cleo",)
    assert untouched.count == 2


def test_passages_that_much_of_the_class_shares_do_not_count() -> None:
    usual = functions(60)
    texts = {f"student {i}": usual + functions(i) for i in range(12)}
    few = {name: texts[name] for name in list(texts)[:2]}
    assert similarity.compare(works(few)).pairs[0].share > 0.4
    assert similarity.compare(works(texts)).usual < 0.1


def test_the_page_accuses_nobody_and_nothing_in_it_runs() -> None:
    code = functions(1) + 'text = "</pre><script>alert(1)</script>"\n' + functions(2)
    found = similarity.compare(works({"<img src=x onerror=alert(1)>": code, "Ben": code}))
    page = similarity_page(found, RUBRIC, [("Ana", "Ben")])
    assert "accuses nobody" in page and "innocent" in page
    assert "same source" in page and "Ana, Ben" in page
    assert "<script" not in page and "<img" not in page and "http" not in page.replace("http-equiv", "")
    assert "&lt;script&gt;alert(1)" in page
    assert page == similarity_page(found, RUBRIC, [("Ana", "Ben")])


def test_the_command_writes_the_page_and_is_quiet_about_progress(tmp_path: Path) -> None:
    stub = (assignment().stubs / "vae.py").read_bytes()
    folder = tmp_path / "class"
    for name, text in {"Ana": functions(1), "Ben": functions(1), "Cleo": functions(2), "Dan": ""}.items():
        write(folder / name, {"vae.py": stub + b"\n\n" + text.encode()})
    (folder / "Cleo" / "cvae.py").write_bytes(b"\xff\xfe\0 not Python \x80" * 100)
    done = CliRunner().invoke(main, ["similarity", str(folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 1
    page = (tmp_path / "out" / "similarity.html").read_text(encoding="utf-8")
    assert "Ana and Ben" in page
    assert "The same modules, byte for byte" in page
    assert re.search(r"little was written: Dan", page)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["similarity.html"]


def test_a_class_as_it_was_downloaded_is_compared_by_its_latest_uploads(tmp_path: Path) -> None:
    def upload(seed: int) -> dict[str, bytes]:
        return {"vae.py": functions(seed).encode()}

    files = {
        "anamueller_11_101_vae.py": upload(1)["vae.py"],
        "anamueller_11_102_vae-1.py": upload(1)["vae.py"] + b"# again\n",
        "bobo_12_103_vae.py": upload(2)["vae.py"],
    }
    done = CliRunner().invoke(
        main, ["similarity", str(pack(tmp_path / "submissions.zip", files)), "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert (
        "2 submissions compared" in done.output
    )  # a student's earlier upload is not compared with their own


@pytest.mark.parametrize("files", [{}, inside("Ana")])
def test_without_two_submissions_there_is_one_line(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = write(tmp_path / "class", files)
    done = CliRunner().invoke(main, ["similarity", str(folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "there are not two submissions" in done.output.splitlines()[-1]
    missing = CliRunner().invoke(main, ["similarity", str(tmp_path / "nowhere"), "--out", str(tmp_path)])
    assert missing.exit_code == 2 and "check the spelling" in missing.output


def test_a_class_of_three_hundred_is_compared_in_minutes() -> None:
    began = time.process_time()
    found = similarity.compare(
        works({f"student {i}": functions(i, 5) + functions(i // 9, 1) for i in range(300)})
    )
    assert found.count == 300
    assert len(found.pairs) == similarity.MOST_PAIRS
    assert time.process_time() - began < 120  # about 10 s


ENTRIES = (
    Entry(Student("Ana"), "Ana", ("Ana earlier 1",)),
    Entry(Student("Ben"), "Ben and Cleo"),
    Entry(Student("Cleo"), "Ben and Cleo"),
    Entry(Student("Dan"), "Dan"),
    Entry(Student("Eve"), None),
)


def test_identical_uploads_are_those_of_different_people() -> None:
    same = "b" * 64
    assert identical(ENTRIES, {"Ana": same, "Ana earlier 1": same}) == []
    assert identical(ENTRIES, {"Ana": "c" * 64, "Ana earlier 1": same, "Dan": same}) == [
        ("Dan", "Ana earlier 1")
    ]
    assert identical(ENTRIES, {"Ana": same, "Ana earlier 1": same, "Ben and Cleo": same, "Dan": "d"}) == [
        ("Ana", "Ben and Cleo")
    ]
    assert identical(ENTRIES, {"Ana": NOTHING, "Dan": NOTHING}) == []


def test_identical_uploads_are_named_in_the_class_report(tmp_path: Path) -> None:
    results = [result("Ana", q1_7=1), result("Ben and Cleo", q1_7=1), result("Dan", sha256="c" * 64, q1_7=1)]
    alike = identical_work(ENTRIES, {r.submission: r for r in results})
    assert alike == [("Ana", "Ben and Cleo")]
    page = report_page(results, RUBRIC, identical=alike)
    (line,) = re.findall(r"<li><b>The same modules, byte for byte.*?</li>", page)
    assert ">Ana</a>" in line and ">Ben and Cleo</a>" in line and "Dan" not in line and "innocent" in line
    assert "byte for byte" not in report_page(results, RUBRIC)
    write_reports(tmp_path, results, RUBRIC, identical=alike)
    assert "byte for byte" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "byte for byte" not in (tmp_path / "feedback" / "Ana.html").read_text(encoding="utf-8")


def test_blank_uploads_are_not_called_identical() -> None:
    blank = result("Ana", q1_7=0)
    blank = replace(blank, checks=tuple(replace(v, status="missing") for v in blank.checks))
    others = {name: replace(blank, submission=name) for name in ("Ana", "Dan")}
    assert identical_work(ENTRIES, others) == []


def test_the_fixture_of_modules_is_too_short_to_compare() -> None:
    assert similarity.compare([similarity.fingerprints(n, MODULES) for n in ("Ana", "Ben")]).pairs == ()
