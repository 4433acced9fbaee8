"""The class report and the students' pages, as text: what they must and must not contain, hostile text, and the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autograder.model.assignment import assignment
from autograder.model.feedback import Feedback, HiddenFeedback
from autograder.model.verdicts import GRADER_FAULT, Result, Verdict
from autograder.reports.hidden import Teaching
from autograder.reports.html import feedback_files, feedback_page, report_page, write_reports
from autograder.reports.views import MOST_TEXT, badges, for_instructors, for_students
from autograder.support.files import file_name
from tests.commands import here
from tests.made_up_class import made_up_class

ROOT = Path(__file__).resolve().parent.parent
RUBRIC = assignment().rubric
HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(2)',
    "' onfocus='alert(3)' autofocus='",
    "</script><script>alert(4)</script>",
    "</style><img src=x onerror=alert(5)>",
    '<a href="javascript:alert(6)">here</a>',
    "{{7*7}} {% for x in () %} {# not a comment #}",
    "<!-- <base href='//example.org'>",
    "a\u202egnp.exe\u0000\x1b[2J\ud800",
    "&lt;b&gt; &amp;amp;",
]


class Page(HTMLParser):
    """A page as a browser would parse it: its text, its tags, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def hostile_result(text: str) -> Result:
    """A result in which every text that could come from a student is `text`."""
    (first, *_) = made_up_class(1)
    verdicts = tuple(
        replace(
            v,
            status="failed",
            score=0,
            feedback=Feedback(seen=text, hint=text, diagnosis=text),
            title=text,
            rubric=text,
        )
        if n % 3 == 0
        else v
        for n, v in enumerate(first.checks)
    )
    return replace(first, submission=text, checks=verdicts, notes=(text,), printed={"1-4": text})


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    """The page has the same tags and attribute names as with harmless text, and it shows the hostile text."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    hostile, harmless = hostile_result(text), hostile_result("harmless")
    for bad, good in (
        (Page(report_page([hostile], RUBRIC)), Page(report_page([harmless], RUBRIC))),
        (Page(feedback_page(hostile, RUBRIC)), Page(feedback_page(harmless, RUBRIC))),
    ):
        assert [(tag, list(a)) for tag, a in bad.tags] == [(tag, list(a)) for tag, a in good.tags]
        assert shown in bad.text
        assert "\u202e" not in bad.text
        # Attributes are quoted, so a value cannot become another attribute; links stay within the report.
        for tag, attributes in bad.tags:
            assert not any(name.startswith("on") for name in attributes), tag
            assert re.match(r"#|feedback/", attributes.get("href") or "#")
            assert "src" not in attributes
            assert "style" not in attributes


def test_a_megabyte_of_text_is_shortened() -> None:
    page = report_page([hostile_result("x" * 1_000_000)], RUBRIC)
    assert "more characters]" in page
    assert len(page) < 150 * MOST_TEXT


def test_a_page_loads_nothing_and_runs_one_script_at_most() -> None:
    results = made_up_class(5)
    for page, scripts in ((report_page(results, RUBRIC), 1), (feedback_page(results[0], RUBRIC), 0)):
        tags = Page(page).tags
        assert sum(tag == "script" for tag, _ in tags) == scripts
        assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in tags}
        (policy,) = [a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy is not None
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "http" not in page.replace("http-equiv", "")


def test_the_same_results_give_the_same_page() -> None:
    assert report_page(made_up_class(10), RUBRIC) == report_page(made_up_class(10), RUBRIC)


def test_the_report_begins_with_what_needs_attention() -> None:
    text = " ".join(
        Page(report_page(made_up_class(10), RUBRIC, "2025-03-14", "The run was stopped.")).text.split()
    )
    assert "10 submissions · graded 2025-03-14 · isolation full" in text
    for words in (
        "The run was stopped.",
        "1 submission not graded to the end, left out of the statistics: Grace",
        "Faults of the grader in 1 submission, whose points are not final: Ivo",
        "Notes on the upload: Élodie",
        "Over 9 submissions graded to the end.",
        "by hand",
        "nothing written",
    ):
        assert words in text, words
    assert "Look at these first" not in Page(report_page(made_up_class(2), RUBRIC)).text


def test_an_unsafe_level_of_isolation_is_reported() -> None:
    results = [
        replace(r, isolation=level)
        for r, level in zip(made_up_class(3), ("process", "full", "full"), strict=True)
    ]
    text = " ".join(Page(report_page(results, RUBRIC)).text.split())
    assert "isolation full (2) · isolation process (1) (not secure against hostile code)" in text


@pytest.mark.parametrize(
    "results",
    [[], [Result("x", "", "process", 0.0, (), (), complete=False, notes=("This could not be graded.",))]],
    ids=["no results", "one that was not graded"],
)
def test_a_report_without_graded_submissions_says_so(results: list[Result]) -> None:
    page = Page(report_page(results, RUBRIC))
    assert "No submission was graded to the end." in page.text


def test_students_see_no_title_and_no_feedback_of_hidden_checks() -> None:
    verdicts = [
        Verdict(
            "1-4:p",
            "1-4",
            "public title",
            "public",
            "failed",
            0,
            1,
            Feedback(seen="public feedback", diagnosis="public diagnosis"),
        ),
        Verdict(
            "1-4:h",
            "1-4",
            "SECRET",
            "hidden",
            "failed",
            0,
            2,
            Feedback(seen="SECRET", diagnosis="SECRET"),
            rubric="What the rubric says",
        ),
        Verdict("1-4:i", "1-4", "SECRET", "hidden", "passed", 3, 3),
        Verdict("1-5:i", "1-5", "SECRET", "hidden", "error", 0, 1, GRADER_FAULT, None, True, "Another"),
    ]
    result = Result(
        "ana", "0", "full", 1.0, tuple(verdicts), (("1-4", 6), ("1-5", 1)), printed={"1-4": "what I printed"}
    )
    text = " ".join(Page(feedback_page(result, RUBRIC)).text.split())
    assert "SECRET" not in text
    for words in (
        "3 of 6",
        "public title",
        "public feedback",
        "What the rubric says hidden · 0 of 1 passed · 0 of 2",
        f"{RUBRIC.question('1-4').title} hidden · 1 of 1 passed · 3 of 3",
        "Another hidden · 0 of 1 passed",
        "because of a fault in the grader",
        "what I printed",
        "by hand",
    ):
        assert words in text, words
    assert "SECRET" in Page(report_page([result], RUBRIC)).text


def test_hidden_checks_teach_what_the_instructor_allows() -> None:
    wrong = Verdict(
        "1-4:h",
        "1-4",
        "SECRET",
        "hidden",
        "failed",
        0,
        2,
        Feedback(expected="SECRET", seen="SECRET", diagnosis="A sentence of the catalogue.", hint="SECRET"),
        "a-mistake",
        rubric="What the rubric says",
    )
    result = Result("ana", "0", "full", 1.0, (wrong,), (("1-4", 2),))
    known = {"a-mistake": "A sentence of the catalogue. A hint of the catalogue."}

    def page(choice: HiddenFeedback) -> str:
        return " ".join(Page(feedback_page(result, RUBRIC, Teaching(choice, known))).text.split())

    assert "SECRET" not in page("mistake") + page("rubric") + page("count")
    assert "A sentence of the catalogue. A hint of the catalogue." in page("mistake")
    assert "What the rubric says" in page("mistake") and "What the rubric says" in page("rubric")
    assert "A sentence" not in page("rubric")
    assert "Hidden checks hidden · 0 of 1 passed · 0 of 2" in page("count")
    assert "What the rubric says" not in page("count")


def test_students_pages_of_a_real_rubric_hold_no_hidden_title_or_feedback() -> None:
    for result in made_up_class(6):
        page = feedback_page(result, RUBRIC)
        public = {v.title for v in result.checks if v.visibility == "public"}
        for v in result.checks:
            if (
                v.visibility == "hidden"
                and not any(title.startswith(v.title) for title in public)  # shown early, for information
                and v.title not in (v.rubric, RUBRIC.question(v.question).title)
            ):
                assert v.title not in page
        assert not for_students(result, RUBRIC, Teaching()).file


def test_checks_that_fail_for_the_same_cause_are_shown_once() -> None:
    same = Feedback(seen="gan.py is not valid Python", hint="run it.")
    verdicts = tuple(
        Verdict(f"2-3:{i}", "2-3", f"t{i}", "public", "error", 0, 1, replace(same, asked=str(i)))
        for i in range(5)
    )
    view = for_instructors(Result("ana", "0", "full", 1.0, verdicts, (("2-3", 5),)), RUBRIC)
    (question,) = view.questions
    (cause,) = question.causes
    assert len(cause.verdicts) == 5
    assert cause.parts == (("Asked", "0"), ("Seen", "gan.py is not valid Python"), ("Try", "run it."))


def test_badges_describe_a_submission_in_words() -> None:
    named = {r.submission.split()[0]: [b.text for b in badges(r)] for r in made_up_class(10)}
    assert named["Chiara"] == ["nothing written"]
    assert named["Élodie"][-1] == "1 note"
    assert named["Grace"][0] == "incomplete"
    assert named["Ivo"][0] == "grader fault: 1 check"
    (first, *_) = made_up_class(1)
    perfect = replace(
        first, checks=tuple(replace(v, status="passed", score=v.max_score) for v in first.checks)
    )
    assert [b.text for b in badges(perfect)] == ["full marks"]


def test_each_student_has_a_page_for_any_name(tmp_path: Path) -> None:
    (result,) = made_up_class(1)
    names = ["ana", "Ana", "../../etc/passwd", "a b?#%", "-rf", "\u202e<b>"]
    write_reports(tmp_path, [replace(result, submission=n) for n in names], RUBRIC)
    pages = sorted(p.name for p in (tmp_path / "feedback").iterdir())
    assert len(pages) == len(names)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feedback", "report.html"]
    links = [
        a["href"]
        for tag, a in Page((tmp_path / "report.html").read_text(encoding="utf-8")).tags
        if tag == "a"
    ]
    assert len([x for x in links if x and x.startswith("feedback/")]) == len(names)


@pytest.mark.parametrize("called", ["a" * 101, "Ana and " * 20, "学" * 100, "Ana?"])
def test_pages_have_the_names_of_their_submissions_in_any_order(called: str) -> None:
    taken: set[str] = set()
    names = [file_name(called, taken) for _ in range(11)]
    results = [replace(made_up_class(1)[0], submission=name) for name in [*names, "../Ana_", "ana_"]]
    pages = feedback_files(results)
    assert pages[:11] == [f"{name}.html" for name in names]
    assert len({page.casefold() for page in pages}) == len(results)  # where case makes no difference, too
    by_submission = dict(zip([r.submission for r in results], pages, strict=True))
    ordered = sorted(results, key=lambda r: f"{r.submission}.json")  # as `merge` reads them
    assert feedback_files(ordered) == [by_submission[r.submission] for r in ordered]


GRADE = ("grade", "solutions", "assignment", "-q", "1-7", "--jobs", "1", "--out")


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch, judged_here: None) -> None:
    monkeypatch.chdir(ROOT)


def test_grade_writes_the_report_and_the_feedback(tmp_path: Path, at_root: None) -> None:
    done = here(*GRADE, tmp_path)
    assert done.exit_code == 0, done.output
    assert "report.html" in done.output
    assert sorted(p.name for p in (tmp_path / "feedback").iterdir()) == ["assignment.html", "solutions.html"]
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 submissions" in " ".join(report.split())
    assert str(ROOT) not in report
    assert str(tmp_path) not in report


def test_grade_continues_without_a_report(tmp_path: Path, at_root: None) -> None:
    done = here(*GRADE, tmp_path / "asked", "--no-report")
    assert done.exit_code == 0
    assert not list((tmp_path / "asked").rglob("*.html"))


def test_grade_continues_without_jinja(tmp_path: Path) -> None:
    code = "import sys\nsys.modules['jinja2'] = None\nfrom autograder.__main__ import run\nrun()"
    command = [sys.executable, "-c", code, *GRADE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0
    assert not list(tmp_path.rglob("*.html"))
    (line,) = done.stderr.splitlines()
    assert line.startswith("autograder: no report.html: the package jinja2 is not installed")
    assert (tmp_path / "grades.csv").exists()


def test_check_does_not_load_jinja() -> None:
    code = (
        "import sys, autograder.cli.student, autograder.reports.terminal; sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


IN_A_CALLBACK = """
import gc, os
from pathlib import Path
def send(phase, info):  # exceptions in a callback of the garbage collector are not propagated
    if Path({grades!r}).exists() and send in gc.callbacks:
        gc.callbacks.remove(send)
        os.kill(os.getpid(), signal.SIGINT)
gc.callbacks.append(send)
gc.set_threshold(100)  # often enough that it runs before the second submission is graded
"""


def stopped(arguments: list[str], out: Path, in_a_callback: bool = False) -> str:
    """Runs `grade` until a first submission is graded, stops it as Ctrl-C does, and returns its stderr."""
    grades = out / "grades.csv"
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += IN_A_CALLBACK.format(grades=str(grades)) if in_a_callback else ""
    code += "from autograder.__main__ import run\nrun()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "grade", *arguments, "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            until = time.monotonic() + 200
            while not in_a_callback and not grades.exists() and time.monotonic() < until:
                time.sleep(0.1)
            if not in_a_callback:
                running.send_signal(signal.SIGINT)
            _, stderr = running.communicate(timeout=200)
        finally:
            running.kill()
    assert running.returncode != 0
    return stderr


needs_signals = pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process")


@needs_signals
@pytest.mark.parametrize("in_a_callback", [False, True])
def test_a_run_that_is_stopped_reports_what_is_graded(tmp_path: Path, in_a_callback: bool) -> None:
    arguments = ["solutions", "tests/submissions/problem-1-done", "--jobs", "1"]
    # A callback takes its time to run: the second submission is graded on more questions.
    for question in ("1-4", "1-5", *(("1-1", "1-2", "1-8", "1-9") if in_a_callback else ())):
        arguments += ["-q", question]
    stderr = stopped(arguments, tmp_path, in_a_callback)
    assert stderr.strip().splitlines()[-1] == "Aborted!" and "cannot be run" not in stderr
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The run was stopped: 1 of 2 submissions are not in this report." in report
    assert [p.name for p in (tmp_path / "feedback").iterdir()] == ["solutions.html"]


@needs_signals
def test_a_run_with_several_judges_that_is_stopped_does_not_grade_the_rest_first(tmp_path: Path) -> None:
    uploads, out = tmp_path / "uploads", tmp_path / "out"
    for number in range(8):
        shutil.copytree(ROOT / "tests" / "submissions" / "problem-1-done", uploads / f"s{number}")
    questions = ["-q", "1-4", "-q", "1-5"]
    assert stopped([str(uploads), "--jobs", "2", *questions], out).strip() == "Aborted!"
    results = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("s*.json")]
    assert 1 <= sum(result["complete"] for result in results) <= 4
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "The run was stopped:" in report
