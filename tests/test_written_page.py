"""Written answers graded by hand: a page per question and grader, whose CSV files are merged, and what students then read."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Done

from autograder.classroom import answers as class_answers
from autograder.classroom import collect, entries, gradebook, marks, reporting, roster, session, stored
from autograder.classroom.rows import Row, rows_of
from autograder.cli.main import main
from autograder.model.assignment import assignment
from autograder.model.feedback import WrittenMark
from autograder.model.student import Student
from autograder.reports.hidden import Teaching
from autograder.reports.html import write_reports
from autograder.submissions import answers, intake
from autograder.submissions.handed_out import handed_out
from autograder.submissions.staging import TempStore
from autograder.support.files import write_result
from tests.classes import MODULES, gradescope, inside, pack, packed, result, write
from tests.test_report_browser import CHROMIUM, browser, opened

__all__ = ["browser"]  # a fixture

RUBRIC = assignment().rubric
STUBS = {path.name: path.read_bytes() for path in assignment().stubs.glob("*.ipynb")}
Q = "1-3w"
ROSTER = (
    "Name,ID,Email,Section\nAna Müller,007,ana@example.edu,A\nBen Bo,008,ben@example.edu,B\nZoe Zed,010,,A\n"
)


def notebook(answer: str, name: str = "vae.ipynb") -> bytes:
    """The notebook as handed out, with one answer to every written question in it."""
    table = json.loads(STUBS[name])
    for cell in table["cells"]:
        if "Write your answer here" in "".join(cell["source"]):
            cell["source"] = answer
    return json.dumps(table).encode()


def upload(answer: str) -> dict[str, bytes]:
    return {**MODULES, "vae.ipynb": notebook(answer), "gan.ipynb": notebook(answer, "gan.ipynb")}


def graded(source: Path, out: Path, people: Path | None = None, hidden: str = "mistake") -> None:
    """What `grade` leaves in `out`, without running checks."""
    with TempStore(out / ".uploads").cleared() as store:
        plan = collect.plan([source], out, RUBRIC, store, roster.read(people) if people else None, None)
        results = {
            job.name: replace(result(job.name, q1_7=1), sha256=intake.read(job.path, RUBRIC).sha256)
            for job in plan.works
        }
    for name, one in results.items():
        write_result(out / f"{name}.json", one)
    rows = rows_of(plan.entries, results, RUBRIC, marks.points_of(marks.load(out, RUBRIC)))
    gradebook.write_all(out, rows, RUBRIC)
    write_reports(out, list(results.values()), RUBRIC, teaching=Teaching(hidden))  # type: ignore[arg-type]


def run(*arguments: object) -> Done:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A class of three, one of whom wrote nothing."""
    files = {
        **inside("Ana Müller", upload("They are **blurs**, because $z$ is free.")),
        **inside("Ben Bo", upload("<script>alert(1)</script> and <img src=x onerror=alert(1)>")),
        **inside("Zoe Zed", {**MODULES, **STUBS}),
    }
    return write(tmp_path / "class", files)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER, encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path: Path, source: Path, people: Path) -> Path:
    graded(source, tmp_path / "grades", people)
    return tmp_path / "grades"


def copy(out: Path, name: str, cells: dict[str, tuple[str, str]], question: str = Q) -> Path:
    """A grader's file as a page saves it: points and a comment by submission."""
    path = out.parent / name
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*entries.KEY, question, f"{question} comment"])
        for row in gradebook.read(out / "grades.csv", RUBRIC):
            if row.key[0] in cells:
                writer.writerow([*row.key, *cells[row.key[0]]])
    return path


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        return {row["submission"]: row for row in csv.DictReader(stream)}


def test_each_question_has_a_page_with_all_answers_the_model_answer_and_its_points(
    out: Path, source: Path, people: Path
) -> None:
    done = run("written", source, "--out", out, "--roster", people)
    assert done.exit_code == 0, done.output
    made = sorted(p.name for p in (out / "written").iterdir())
    assert made == sorted(f"{q.id}.html" for q in RUBRIC.written)
    page = (out / "written" / f"{Q}.html").read_text(encoding="utf-8")
    for words in (
        "Ana Müller",
        "<strong>blurs</strong>",
        '<code class="formula">$z$</code>',
        "Model answer, 2 points",
        "faint, blurred tangles of strokes",  # of the solutions' notebook
        "What do the samples of the plain auto-encoder look like",  # of the prompt
        "There is no answer.",
        "at most 150 words",
    ):
        assert words in page, words
    assert "&lt;script&gt;alert(1)" in page and "onerror=alert(1)&gt;" in page
    assert page.count("<script") == 1 and "<img" not in page
    assert "http" not in page.replace("http-equiv", "")
    # The same in other words: another page holds its own question's model answer, not this one's.
    other = (out / "written" / "1-7w.html").read_text(encoding="utf-8")
    assert "faint, blurred tangles" not in other and "Both strips begin and end" in other
    assert not (out / class_answers.UPLOADS).exists()


def test_graders_share_the_answers_and_sections_divide_them(out: Path, source: Path, people: Path) -> None:
    def names(file: str) -> list[str]:
        page = (out / "written" / file).read_text(encoding="utf-8")
        return [n for n in ("Ana Müller", "Ben Bo", "Zoe Zed") if f">{n}</h2>" in page]

    common = ("written", source, "--out", out, "--roster", people, "-q", Q)
    assert run(*common, "--graders", 2).exit_code == 0
    assert names(f"{Q}-grader-1.html") == ["Ana Müller", "Zoe Zed"]
    assert names(f"{Q}-grader-2.html") == ["Ben Bo"]
    assert run(*common, "--section", "a").exit_code == 0
    assert names(f"{Q}-a.html") == ["Ana Müller", "Zoe Zed"]
    wrong = run(*common, "--section", "C")
    assert wrong.exit_code == 2 and "the sections are A, B" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("written", "{source}", "--out", "{empty}"), "holds no grades.csv; run `grade` first"),
        (
            ("written", "{source}", "--out", "{out}", "-q", "1-4"),
            "1-4: not a written question; these are 1-3w",
        ),
        (("written", "{other}", "--out", "{out}"), "no submission in"),
        (("written", "{empty}/none", "--out", "{out}"), "check the spelling"),
    ],
)
def test_what_cannot_be_used_is_reported_in_one_line(
    out: Path, source: Path, tmp_path: Path, arguments: Sequence[str], message: str
) -> None:
    other = write(tmp_path / "other", {**inside("Nobody"), **inside("No one")})
    (tmp_path / "empty").mkdir()
    done = run(*(a.format(source=source, out=out, other=other, empty=tmp_path / "empty") for a in arguments))
    assert done.exit_code == 2
    assert message in done.output and len(done.output.splitlines()) == 1


def test_an_upload_that_is_not_the_graded_one_is_reported(out: Path, source: Path, people: Path) -> None:
    (source / "Ana Müller" / "vae.py").write_text("# changed\n")
    (source / "Ben Bo" / "vae.ipynb").write_text("no notebook")
    done = run("written", source, "--out", out, "--roster", people)
    assert done.exit_code == 0
    assert "Ana Müller: this upload is not the one that was graded; grade again" in done.output
    assert "Ben Bo: vae.ipynb is not a notebook" in done.output


def layouts() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Ways to hand in the same two notebooks, as a class of two."""
    mine = upload("They are blurs.")
    zips = {"bobo_12_100_work.zip": b""}
    yield (
        "canvas, single files",
        {
            **{f"anamueller_11_{i}_{name}": data for i, (name, data) in enumerate(mine.items(), 1)},
            **zips,
        },
    )
    loose = {n: d for n, d in mine.items() if n.endswith(".ipynb")}
    yield (
        "canvas, a zip and notebooks",
        {
            **{f"anamueller_11_{i}_{name}": data for i, (name, data) in enumerate(loose.items(), 1)},
            "anamueller_11_9_modules.zip": b"modules",
            **zips,
        },
    )
    yield (
        "moodle, a folder with a zip and notebooks",
        {
            **inside("Ana Mueller_11_assignsubmission_file_", {**loose, "modules.zip": b"modules"}),
            **inside("Bob Bo_12_assignsubmission_file_"),
        },
    )
    yield (
        "moodle, a folder with a zip",
        {
            **inside("Ana Mueller_11_assignsubmission_file_", {"all.zip": b"all"}),
            **inside("Bob Bo_12_assignsubmission_file_"),
        },
    )


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("layout", "files"), list(layouts()), ids=lambda v: v if isinstance(v, str) else "")
def test_notebooks_are_found_in_every_layout(
    layout: str, files: dict[str, bytes], zipped: bool, tmp_path: Path
) -> None:
    contents = {b"": MODULES, b"modules": MODULES, b"all": inside("top", upload("They are blurs."))}
    for name, data in files.items():
        if name.endswith(".zip"):
            files = {**files, name: packed(contents[data], tmp_path / "made")}
    source = pack(tmp_path / "download.zip", files) if zipped else write(tmp_path / "download", files)
    store = TempStore(tmp_path / "store")
    plan = collect.plan([source], tmp_path, RUBRIC, store, None, None)
    ana = next(job for job in plan.works if "ana" in job.name.lower())
    found = answers.read(ana.path, RUBRIC, handed_out().prompts)
    assert {q: f.answer.words for q, f in found.found.items()} == {q.id: 3 for q in RUBRIC.written}
    assert found.notes == []
    assert intake.read(ana.path, RUBRIC).sha256 == intake.digest(MODULES)


def test_a_renamed_notebook_counts_and_the_newer_answer_in_the_usual_one_comes_first(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {"vae (1).ipynb": notebook("one two"), "gan.ipynb": STUBS["gan.ipynb"]})
    assert answers.read(folder, RUBRIC, handed_out().prompts).found[Q].answer.words == 2
    write(folder, {"vae.ipynb": notebook("one two three")})
    assert answers.read(folder, RUBRIC, handed_out().prompts).found[Q].answer.words == 3
    write(folder, {"vae.ipynb": STUBS["vae.ipynb"]})
    assert answers.read(folder, RUBRIC, handed_out().prompts).found[Q].answer.words == 2


def test_in_a_zip_too_a_copy_comes_after_the_notebook_itself_but_the_newer_zip_first(tmp_path: Path) -> None:
    # By name, as zips are usually written, the copy is before the notebook.
    files = {"vae-Copy1.ipynb": notebook("an old draft"), "vae.ipynb": notebook("final")}
    path = pack(tmp_path / "work.zip", files)
    assert answers.read(path, RUBRIC, handed_out().prompts).found[Q].answer.words == 1
    newer = pack(tmp_path / "two" / "newer.zip", {"vae (1).ipynb": notebook("one two")})
    older = pack(tmp_path / "two" / "older.zip", files)
    os.utime(older, (newer.stat().st_mtime - 100,) * 2)
    assert answers.read(tmp_path / "two", RUBRIC, handed_out().prompts).found[Q].answer.words == 2


def test_two_graders_files_are_merged_together_and_students_read_points_and_comments(out: Path) -> None:
    before = (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    assert "by hand, 2" in before
    first = copy(
        out, "first.csv", {"Ana Müller": ("1.5", 'Say "why",\nnot only what. <b>'), "Ben Bo": ("", "")}
    )
    second = copy(out, "second.csv", {"Ben Bo": ("0", "=1+1"), "Zoe Zed": ("0", "")})
    done = run("merge", first, second, "--out", out)
    assert done.exit_code == 0, done.output
    assert [table(out)[n][Q] for n in ("Ana Müller", "Ben Bo", "Zoe Zed")] == ["1.5", "0", "0"]
    page = (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    assert "1.5 of 2" in page and "by hand, 2<" in page  # the other questions have no points yet
    assert "Say &#34;why&#34;,\nnot only what. &lt;b&gt;" in page
    assert "=1+1" in (out / "feedback" / "Ben Bo.html").read_text(encoding="utf-8")
    assert "'=1+1" in (out / "written.csv").read_text(encoding="utf-8")
    # Merging again changes nothing, and neither does grading again.
    again = run("merge", second, first, "--out", out)
    assert again.exit_code == 0 and again.output.startswith("0 points")
    assert marks.load(out, RUBRIC)[gradebook.read(out / "grades.csv", RUBRIC)[0].key][Q].source == "first.csv"


def test_where_two_graders_differ_each_answer_is_named_and_nothing_changes(out: Path) -> None:
    first = copy(out, "first.csv", {"Ana Müller": ("1.5", ""), "Ben Bo": ("1", "Good.")})
    second = copy(out, "second.csv", {"Ana Müller": ("2", ""), "Ben Bo": ("1", "Short.")})
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    done = run("merge", first, second, "--out", out)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0].endswith(
        "Ana Müller, 1-3w: 1.5 points in first.csv, line 2, but 2 points in second.csv, line 2; agree on one, and empty the"
        " other cell"
    )
    assert len(lines) == 2
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()} == before
    # Where the points agree, both comments are kept.
    assert (
        run("merge", first, copy(out, "third.csv", {"Ben Bo": ("1", "Short.")}), "--out", out).exit_code == 0
    )
    assert "Good.\n\nShort." in (out / "feedback" / "Ben Bo.html").read_text(encoding="utf-8")


def test_merged_points_are_changed_only_when_asked_for(out: Path) -> None:
    assert run("merge", copy(out, "first.csv", {"Ana Müller": ("1", "Good.")}), "--out", out).exit_code == 0
    other = copy(out, "second.csv", {"Ana Müller": ("2", "")})
    refused = run("merge", other, "--out", out)
    assert refused.exit_code == 1
    assert (
        "2 points in second.csv, line 2, but 1 from first.csv are merged already; --replace" in refused.output
    )
    words = run("merge", copy(out, "third.csv", {"Ana Müller": ("1", "Better.")}), "--out", out)
    assert words.exit_code == 1 and "another comment from first.csv is merged already" in words.output
    assert table(out)["Ana Müller"][Q] == "1"
    assert run("merge", other, "--out", out, "--replace").exit_code == 0
    assert table(out)["Ana Müller"][Q] == "2"
    page = (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    assert "2 of 2" in page and "Good." in page  # the empty comment replaces nothing


def test_students_pages_keep_to_what_the_run_chose_about_hidden_checks(
    source: Path, people: Path, tmp_path: Path
) -> None:
    for hidden in ("count", "rubric", "mistake"):
        out = tmp_path / hidden
        graded(source, out, people, hidden)
        path = out / "feedback" / "Ben Bo.html"
        before = path.read_text(encoding="utf-8")
        assert (
            run("merge", copy(out, f"{hidden}.csv", {"Ana Müller": ("1", "")}), "--out", out).exit_code == 0
        )
        assert path.read_text(encoding="utf-8") == before  # Ben has no written points yet
        assert f'content="{hidden}"' in (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    (out / "feedback" / "Ana Müller.html").write_text("<html>an older page")
    done = run("merge", copy(out, "c.csv", {"Ana Müller": ("", "Good.")}), "--out", out)
    assert done.exit_code == 0 and "an older page, left as it is; grade again" in done.output


def test_without_students_pages_none_are_made(out: Path) -> None:
    for path in (out / "feedback").iterdir():
        path.unlink()
    assert run("merge", copy(out, "a.csv", {"Ana Müller": ("1", "")}), "--out", out).exit_code == 0
    assert list((out / "feedback").iterdir()) == []


def test_a_group_has_one_answer_and_points_for_each_member(tmp_path: Path) -> None:
    files = gradescope()
    top = "assignment_55_export/submission_102"
    files |= inside(top, upload("We think so."))
    source, out = write(tmp_path / "class", files), tmp_path / "grades"
    graded(source, out)
    assert run("written", source, "--out", out, "-q", Q).exit_code == 0
    page = (out / "written" / f"{Q}.html").read_text(encoding="utf-8")
    assert page.count("Ben Bo and Cleo Cruz</h2>") == 1
    group = "Ben Bo and Cleo Cruz"
    assert run("merge", copy(out, "a.csv", {group: ("1.5", "Yes.")}), "--out", out).exit_code == 0
    rows = [r for r in gradebook.read(out / "grades.csv", RUBRIC) if r.entry.work == group]
    assert [r.written[Q] for r in rows] == [1.5, 1.5]
    assert "1.5 of 2" in (out / "feedback" / f"{group}.html").read_text(encoding="utf-8")
    # A grader may distinguish between them in a copy of grades.csv.
    path = copy(out, "b.csv", {group: ("1.5", "")})
    path.write_text(path.read_text(encoding="utf-8-sig").replace("1.5", "1", 1), encoding="utf-8")
    assert run("merge", path, "--out", out, "--replace").exit_code == 0
    page = (out / "feedback" / f"{group}.html").read_text(encoding="utf-8")
    assert "by hand, 2<" in page and "members differ here" in page
    assert "1.5 of 2" not in page and "Yes." not in page


def test_a_groups_page_shows_no_mark_that_only_some_members_have() -> None:
    group = "Ana and Ben"
    ana, ben = (Row(entries.Entry(Student(n), group), auto={}, max_auto=0.0) for n in ("Ana", "Ben"))
    wrote, nothing = marks.Mark(2.0, "Ana wrote it"), marks.Mark(0.0, "Ben did not contribute")
    differ = {ana.key: {Q: wrote}, ben.key: {Q: nothing}}
    for given in (differ, {ana.key: {Q: wrote}}, {ben.key: {Q: nothing}}):
        assert marks.on_pages(given, [ana, ben], RUBRIC)[group] == {Q: WrittenMark("", marks.OWN_MARKS)}
    same = {row.key: {Q: marks.Mark(1.5, "Yes.")} for row in (ana, ben)}
    assert marks.on_pages(same, [ana, ben], RUBRIC)[group] == {Q: WrittenMark("1.5", "Yes.")}
    assert marks.on_pages({}, [ana, ben], RUBRIC)[group] == {}


def test_a_page_that_is_made_again_shows_what_is_merged(out: Path, source: Path, people: Path) -> None:
    run("merge", copy(out, "a.csv", {"Ana Müller": ("1.5", "Good <b>")}), "--out", out)
    run("written", source, "--out", out, "--roster", people, "-q", Q)
    page = (out / "written" / f"{Q}.html").read_text(encoding="utf-8")
    assert 'value="1.5"' in page and "Good &lt;b&gt;</textarea>" in page


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@needs_browser
def test_answers_are_graded_with_keys_alone_and_the_file_is_merged(
    browser: Any, out: Path, source: Path, people: Path
) -> None:
    run("written", source, "--out", out, "--roster", people, "-q", Q)
    path = out / "written" / f"{Q}.html"
    window = opened(browser, path, accept_downloads=True)
    with window as page:
        press, kind = page.keyboard.press, page.keyboard.type

        def now() -> str:
            return page.locator("article.now h2").inner_text()

        assert now() == "Ana Müller"
        press("1")
        press("+")
        assert page.locator("article.now .points").input_value() == "1.5"
        press("c")
        kind('=Say "why", j 2 s,')
        press("Enter")
        kind("not only what.")
        press("Escape")
        press("j")
        assert now() == "Ben Bo"
        press("7")  # more than there are
        assert page.locator("article.now .points").input_value() == ""
        press("2")
        press("Delete")
        press("ArrowRight")
        assert now() == "Zoe Zed"
        press("0")
        press("j")  # there is no further one
        assert now() == "Zoe Zed"
        assert page.locator("#progress").inner_text() == "2 of 3 have points"
        press("u")
        assert now() == "Ben Bo"
        press("k")
        assert now() == "Ana Müller"
        # The state survives closing the page.
        page.reload()
        window.requests.pop()
        assert page.locator("#progress").inner_text() == "2 of 3 have points"
        assert page.locator("#c1").input_value().startswith('=Say "why", j 2 s,\nnot only')
        with page.expect_download() as saved:
            press("s")
        assert saved.value.suggested_filename == f"{Q}.csv"
        file = out.parent / saved.value.suggested_filename
        saved.value.save_as(file)
        window.requests[:] = [url for url in window.requests if not url.startswith("blob:")]
    done = run("merge", file, "--out", out)
    assert done.exit_code == 0, done.output
    assert [table(out)[n][Q] for n in ("Ana Müller", "Ben Bo", "Zoe Zed")] == ["1.5", "", "0"]
    page_of_ana = (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    assert "=Say &#34;why&#34;, j 2 s,\nnot only what." in page_of_ana


@needs_browser
def test_points_that_merge_would_refuse_are_marked_and_not_saved(
    browser: Any, out: Path, source: Path, people: Path
) -> None:
    run("written", source, "--out", out, "--roster", people, "-q", Q)
    with opened(browser, out / "written" / f"{Q}.html") as page:
        page.locator("#p2").fill("3")
        assert page.locator("#p2").get_attribute("aria-invalid") == "true"
        assert page.locator("#s2").inner_text() == "not a number from 0 to 2"
        page.locator("#save").click()
        assert "points of answer 2" in page.locator("#warning").inner_text()
        page.locator("#p2").fill("1,5")
        assert page.locator("#s2").inner_text() == ""
        page.locator("article").nth(2).locator(".give-points").last.click()
        assert page.locator("#p3").input_value() == "2"
        assert page.locator("#progress").inner_text() == "2 of 3 have points"
        # Nothing of an answer runs.
        assert page.evaluate("document.querySelectorAll('script, img, iframe').length") == 1


@needs_browser
def test_a_changed_answer_starts_without_points_and_no_name_is_kept_in_the_browser(
    browser: Any, out: Path, source: Path, people: Path
) -> None:
    make = ("written", source, "--out", out, "--roster", people, "-q", Q)
    run(*make)
    context = browser.new_context()
    page = context.new_page()
    page.goto((out / "written" / f"{Q}.html").as_uri())
    page.keyboard.press("1")
    page.keyboard.press("j")
    page.keyboard.press("2")
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "Ana" not in kept and "Ben" not in kept
    (source / "Ana Müller" / "vae.ipynb").write_bytes(notebook("Another answer."))
    run(*make)
    page.reload()
    assert page.locator("#p1").input_value() == ""
    assert page.locator("#p2").input_value() == "2"
    context.close()


@needs_browser
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_the_pages_fit_into_a_narrow_window_and_print_without_tools(
    browser: Any, out: Path, source: Path, people: Path, width: int
) -> None:
    run("written", source, "--out", out, "--roster", people, "-q", Q)
    with opened(browser, out / "written" / f"{Q}.html", width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(media="print")
        assert page.locator(".dock").is_hidden() and page.locator("#c1").is_visible()


def test_a_run_reports_written_points_and_identical_uploads(out: Path, source: Path, people: Path) -> None:
    """As `grade` does when it ends: points that were merged before stand on the pages it writes."""
    run("merge", copy(out, "a.csv", {"Ana Müller": ("1.5", "Good.")}), "--out", out)
    with TempStore(out / ".uploads").cleared() as store:
        plan = collect.plan([source], out, RUBRIC, store, roster.read(people), None)
    results, _ = stored.results_in(out)
    rows = gradebook.read(out / "grades.csv", RUBRIC)
    for path in out.rglob("*.html"):
        path.unlink()
    assert reporting.write(
        session.Run(out, plan, results, written=marks.load(out, RUBRIC), rows=rows), RUBRIC, "count"
    )
    page = (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    assert "1.5 of 2" in page and "Good." in page and 'content="count"' in page
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "The same modules, byte for byte" in report and "innocent" in report


def test_marks_follow_their_student_and_those_of_a_retired_question_stay(out: Path, tmp_path: Path) -> None:
    """A student's row changes (here: its email, and the name of the upload), and a question leaves the rubric."""
    assert run("merge", copy(out, "a.csv", {"Ana Müller": ("1.5", "Good.")}), "--out", out).exit_code == 0
    stored = marks.load(out, RUBRIC)
    key = next(iter(stored))
    stored[key]["9-9w"] = marks.Mark(3.5, "Of an\nearlier year.", "old.csv")
    stored[("Left", "Left", "999", "", "")] = {Q: marks.Mark(None, "Gone.", "old.csv")}
    marks.store(out, stored, RUBRIC)
    rows = gradebook.read(out / "grades.csv", RUBRIC)
    moved = [
        replace(
            row.entry, work="Other", student=replace(row.entry.student, email="new@example.edu", login="am7")
        )
        if row.entry.work == "Ana Müller"
        else row.entry
        for row in rows
    ]
    placed, left = marks.match(marks.load(out, RUBRIC), moved)
    new = entries.row_key("Other", moved[0].student)
    assert set(placed) == {new} and list(left) == [("Left", "Left", "999", "", "")]
    assert (placed[new][Q].points, placed[new][Q].comment, placed[new][Q].source) == (1.5, "Good.", "a.csv")
    # Another merge keeps what counts for nobody, and says so.
    done = run("merge", copy(out, "b.csv", {"Ben Bo": ("1", "")}), "--out", out)
    assert done.exit_code == 0, done.output
    assert "9-9w is not a written question of the rubric; the points of 1 row stay there" in done.output
    assert "Left: has written points that match no row" in done.output
    again = marks.load(out, RUBRIC)
    assert (again[key]["9-9w"].points, again[key]["9-9w"].comment) == (3.5, "Of an\nearlier year.")
    assert again[("Left", "Left", "999", "", "")][Q].comment == "Gone."
    assert "Of an" not in (out / "feedback" / "Ana Müller.html").read_text(encoding="utf-8")
    # Marks that contradict those of the row that they would move to stay where they are.
    for other, together in (
        (marks.Mark(1.5), True),
        (marks.Mark(2), False),
        (marks.Mark(None, "Bad."), False),
    ):
        both = {new: {Q: other}, key: {Q: stored[key][Q]}}
        if other.comment:
            both[new][Q] = replace(other, points=1.5)
        found, apart = marks.match(both, moved)
        assert (apart == {}) is together
        assert found[new][Q].comment == ("Good." if together else other.comment)


def test_an_older_file_of_points_is_still_read(out: Path) -> None:
    """It has neither comments nor logins."""
    with (out / "written.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*entries.FRONT, Q])
        row = gradebook.read(out / "grades.csv", RUBRIC)[0]
        writer.writerow([*row.key[:4], "1.5"])
    assert run("merge", copy(out, "b.csv", {"Ben Bo": ("1", "Fine.")}), "--out", out).exit_code == 0
    assert [table(out)[n][Q] for n in ("Ana Müller", "Ben Bo")] == ["1.5", "1"]
    refused = run("merge", copy(out, "c.csv", {"Ana Müller": ("2", "")}), "--out", out)
    assert "2 points in c.csv, line 2, but 1.5 are merged already" in refused.output
