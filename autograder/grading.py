"""Grading one submission: runs the check files with pytest and turns what they find into verdicts.

The checks run here, in the judge; student code runs in the sandbox behind `Examinee`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from autograder import interrupts
from autograder.examinee import Examinee, NoAnswer, Reference, plain
from autograder.intake import Submission, empty
from autograder.judging.draw import Draw, seed_from
from autograder.judging.observation import Fault
from autograder.rubric import Assignment, Question
from autograder.sandbox.box import Box
from autograder.sandbox.launch import Isolation, Launcher, Limits
from autograder.verdicts import GRADERS_FAULT, Result, Verdict, Visibility, tidy

log = logging.getLogger("autograder")

NOT_RUN = "This check has not run yet."
FEEDBACK = 8000  # characters of one check's feedback: words of student code are in it, which may be many


@dataclass(frozen=True)
class Options:
    """How to grade.

    secret: the course secret that inputs are drawn from, together with the submission's content.
    visibilities: which checks run; public ones alone for students.
    questions: ids of the questions to grade; None for all.
    device: "cuda" to look for tensors on the wrong device on a real GPU; "cpu" to do so on one that is not there.
    """

    secret: str
    visibilities: tuple[Visibility, ...] = ("public", "hidden")
    questions: tuple[str, ...] | None = None
    device: str = "cpu"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Check:
    """A collected check: its mark's content and the pytest item that runs it."""

    id: str
    question: str
    title: str
    asks: str
    points: float
    visibility: Visibility
    rubric: str
    item: pytest.Function

    def verdict(self, **found: Any) -> Verdict:
        return Verdict(
            id=self.id,
            question=self.question,
            title=self.title,
            visibility=self.visibility,
            max_score=tidy(self.points),
            rubric=self.rubric,
            **found,
        )


class Grader:
    """The pytest plugin that grades: orders checks by question, answers their fixtures, keeps their verdicts."""

    def __init__(
        self,
        submission: Submission,
        assignment: Assignment,
        launcher: Launcher,
        options: Options,
        progress: Callable[[Result], None],
    ) -> None:
        self._submission, self._assignment, self._options = submission, assignment, options
        self._examinee = Examinee(submission.files, assignment, launcher, options.limits, options.device)
        self._reference: Reference | None = None
        if assignment.reference is not None and "hidden" in options.visibilities:
            self._reference = Reference(assignment, launcher, options.limits)
        self._progress, self._isolation = progress, launcher.isolation
        self._checks: list[Check] = []
        self._verdicts: dict[str, Verdict] = {}
        self._printed: dict[str, str] = {}
        self._began = time.monotonic()
        self.errors: list[str] = []

    @pytest.fixture
    def submission(self) -> Examinee:
        """The submission, to be asked through probes."""
        return self._examinee

    @pytest.fixture
    def reference(self, request: pytest.FixtureRequest) -> Reference:
        """The reference solutions, to be asked the same (hidden checks only: students have none)."""
        if self._reference is None:
            raise RuntimeError(f"{request.node.name} asks for the reference, which only hidden checks may")
        return self._reference

    @pytest.fixture
    def draw(self, request: pytest.FixtureRequest) -> Draw:
        """Repeatable random inputs for this check and this submission."""
        return Draw(self._seed(next(c for c in self._checks if c.item is request.node)))

    @pytest.fixture
    def shared_draw(self, request: pytest.FixtureRequest) -> Draw:
        """As `draw`, but the same for all checks of a question: with `ask_once`, they look at one answer."""
        question = next(c for c in self._checks if c.item is request.node).question
        return Draw(seed_from(self._options.secret, self._submission.sha256, question))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {q.id: i for i, q in enumerate(self._assignment.rubric.auto)}
        checks = [self._read(item) for item in items if isinstance(item, pytest.Function)]
        wanted = [
            c
            for c in checks
            if c.visibility in self._options.visibilities
            and (self._options.questions is None or c.question in self._options.questions)
        ]
        wanted.sort(key=lambda c: (order[c.question], c.visibility != "public"))
        names = [c.id for c in wanted]
        if len(set(names)) != len(names):
            raise pytest.UsageError(
                f"two checks have one id: {sorted({n for n in names if names.count(n) > 1})}"
            )
        self._checks = wanted
        items[:] = [c.item for c in wanted]

    def _read(self, item: pytest.Function) -> Check:
        mark = item.get_closest_marker("check")
        if mark is None:
            raise pytest.UsageError(f"{item.nodeid} is no check: it lacks @check(...)")
        content = mark.kwargs
        if content["question"] not in {q.id for q in self._assignment.rubric.auto}:
            raise pytest.UsageError(
                f"{item.nodeid}: the rubric has no auto-graded question {content['question']}"
            )
        hidden = item.path.is_relative_to(self._assignment.checks / "hidden")
        return Check(
            id=f"{content['question']}:{item.name.removeprefix('test_')}",
            question=content["question"],
            title=content["title"],
            asks=content["asks"],
            points=content["points"],
            visibility="hidden" if hidden else "public",
            rubric=content["rubric"],
            item=item,
        )

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.errors:
            return True
        self._report()
        for question in self._assignment.rubric.auto:
            checks = [c for c in self._checks if c.question == question.id]
            if checks:
                self._grade_question(question, checks, session)
        return True

    def _grade_question(self, question: Question, checks: Sequence[Check], session: pytest.Session) -> None:
        sides: list[Examinee | Reference] = [self._examinee, *([self._reference] if self._reference else [])]
        try:
            for side in sides:
                side.begin(question)
            for check, following in zip(checks, [*checks[1:], None], strict=True):
                interrupts.raise_if_came()
                next_item = following.item if following else None
                session.config.hook.pytest_runtest_protocol(item=check.item, nextitem=next_item)
                last_public = following is None or following.visibility != "public"
                if check.visibility == "public" and last_public:
                    self._keep_printed(question)
        finally:
            for side in sides:
                side.end()
        self._report()

    def _keep_printed(self, question: Question) -> None:
        """Keeps what the code printed during public checks, for its author; hidden checks come after them."""
        if printed := self._examinee.printed():
            self._printed[question.id] = printed

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        check = next(c for c in self._checks if c.item is pyfuncitem)
        names = pyfuncitem._fixtureinfo.argnames
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        self._verdicts[check.id] = self._judge(check, pyfuncitem.obj, arguments)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A check that never came to its call (a fixture failed) is the grader's fault."""
        if report.failed:
            log.error("%s\n%s", report.nodeid, report.longreprtext)

    def _judge(self, check: Check, function: Callable[..., None], arguments: dict[str, Any]) -> Verdict:
        """Asks with stand-ins first, then with the student's own modules where that can differ; the better counts."""
        question = self._assignment.rubric.question(check.question)
        first = self._try(check, function, arguments, "stand-ins")
        if first.status in ("passed", "timeout") or not self._examinee.has_own_mode(question):
            return first
        if first.status == "missing" and "not written yet" in first.feedback:
            return first
        second = self._try(check, function, arguments, "own")
        return second if second.status == "passed" else first

    def _try(
        self, check: Check, function: Callable[..., None], arguments: dict[str, Any], mode: str
    ) -> Verdict:
        seed = self._seed(check)
        self._examinee.start_check(seed, mode)
        if self._reference:
            self._reference.start_check(seed, mode)
        for value in arguments.values():
            if isinstance(value, Draw):
                value.restart()
        try:
            function(**arguments)
        except Fault as fault:
            text = feedback(check.asks, fault.expected, fault.seen, fault.diagnosis, fault.hint)
            return check.verdict(status="failed", score=0, feedback=text, diagnosis=fault.diagnosis)
        except NoAnswer as none:
            text = feedback(check.asks, "", none.seen, none.diagnosis, none.hint)
            return check.verdict(status=none.status, score=0, feedback=text, diagnosis=none.diagnosis)
        except Exception:
            log.exception("%s, submission %s: the check itself failed", check.id, self._submission.name)
            return check.verdict(status="error", score=0, feedback=GRADERS_FAULT)
        return check.verdict(status="passed", score=tidy(check.points))

    def _seed(self, check: Check) -> int:
        return seed_from(self._options.secret, self._submission.sha256, check.id)

    def _report(self) -> None:
        self._progress(self.result())

    def result(self) -> Result:
        """What is known so far; checks that have not run stand as errors that say so."""
        waiting = "error"
        verdicts = tuple(
            self._verdicts.get(c.id) or c.verdict(status=waiting, score=0, feedback=NOT_RUN)
            for c in self._checks
        )
        points = tuple(
            (q.id, sum(c.points for c in self._checks if c.question == q.id))
            for q in self._assignment.rubric.auto
            if any(c.question == q.id for c in self._checks)
        )
        return Result(
            submission=self._submission.name,
            sha256=self._submission.sha256,
            isolation=self._isolation,
            seconds=time.monotonic() - self._began,
            checks=verdicts,
            points=points,
            complete=len(self._verdicts) == len(self._checks),
            notes=self._submission.notes,
            printed=self._printed,
        )


def feedback(asks: str, expected: str, seen: str, diagnosis: str | None, hint: str) -> str:
    """The feedback's lines, in the order in which one wants to know them."""
    parts: Iterable[tuple[str, str | None]] = (
        ("Asked", asks),
        ("Expected", expected),
        ("Seen", seen),
        ("This looks like", diagnosis),
        ("Try", hint),
    )
    return plain("\n".join(f"{label}: {text}" for label, text in parts if text), FEEDBACK)


def grade(
    submission: Submission,
    assignment: Assignment,
    launcher: Launcher,
    options: Options,
    progress: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Grades one submission and returns its result; `progress` gets the result so far, at first and after each question.

    Raises RuntimeError when the check files themselves cannot be collected, and KeyboardInterrupt as soon as Ctrl-C is seen.
    """
    import torch

    torch.set_num_threads(1)
    grader = Grader(submission, assignment, launcher, options, progress)
    _run(grader, assignment, options.visibilities)
    return grader.result()


class _Lister(Grader):
    """Collects checks and runs none."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        return True


class _NoLauncher:
    """For who makes no children."""

    isolation: Isolation = "process"
    unable: Sequence[str] = ()
    same_user = True

    def box(self, limits: Limits) -> Box:
        raise RuntimeError("nothing is graded here")

    def close(self) -> None:
        pass


def checks_of(assignment: Assignment) -> tuple[Verdict, ...]:
    """All checks of an assignment in their order, as verdicts of a submission that nobody has graded.

    Raises RuntimeError when the check files cannot be collected.
    """
    options = Options("")
    lister = _Lister(empty("", ""), assignment, _NoLauncher(), options, lambda result: None)
    _run(lister, assignment, options.visibilities)
    return lister.result().checks


def _run(grader: Grader, assignment: Assignment, visibilities: Sequence[Visibility]) -> None:
    """Lets pytest collect and run the checks, with `grader` as its plugin."""
    folders = [assignment.checks / v for v in visibilities]
    arguments = [
        *[str(folder) for folder in folders if folder.is_dir()],
        f"--rootdir={assignment.checks}",
        f"--confcutdir={assignment.checks}",
        f"--config-file={os.devnull}",
        "--noconftest",
        "--import-mode=importlib",
        "--assert=plain",
        "--capture=no",
        "-pno:cacheprovider",
        "-pno:terminal",
        "-pno:faulthandler",
        "-pno:unraisableexception",
        "-pno:logging",
    ]
    with interrupts.kept(), _quiet_pytest() as said:
        status = pytest.main(arguments, plugins=[grader])
        interrupts.raise_if_came()
    if not grader.errors and status == pytest.ExitCode.INTERRUPTED:  # pytest makes Ctrl-C a status
        raise KeyboardInterrupt
    if grader.errors or status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        details = "\n".join(grader.errors) or said.getvalue() or f"pytest ended with {status!r}"
        raise RuntimeError(f"the checks under {assignment.checks} cannot be run:\n{details}")


@contextlib.contextmanager
def _quiet_pytest() -> Iterator[io.StringIO]:
    """Keeps other installed pytest plugins and PYTEST_ADDOPTS out of grading, and its words off the terminal."""
    kept = {k: os.environ.pop(k) for k in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if k in os.environ}
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    current = os.environ.get("PYTEST_CURRENT_TEST")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield said
    finally:
        os.environ.update(kept)
        if before is None:
            os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
        if current is not None:
            os.environ["PYTEST_CURRENT_TEST"] = current
