"""Grading one submission: runs its checks with pytest and turns their outcomes into verdicts.

Checks run here, in the judge; student code runs in the sandbox behind `SandboxedSubmission`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from autograder.grading import bounds, helpers, once
from autograder.grading.collecting import Check, read_check, run_pytest, scaled
from autograder.grading.options import stretched
from autograder.grading.sandboxed import SandboxedSubmission
from autograder.judging.draw import AXIS_OF_LENGTH_ONE, Draw, seed_from
from autograder.judging.outcome import Fault, NoAnswer
from autograder.model.assignment import Assignment
from autograder.model.feedback import LONGEST, Feedback
from autograder.model.rubric import Question
from autograder.model.verdicts import GRADER_FAULT, NOT_RUN, Result, Verdict, Visibility, tidy
from autograder.sandbox.fork_launcher import ForkLauncher
from autograder.sandbox.launch import Launcher, Limits, Unavailable
from autograder.submissions.intake import Submission
from autograder.support import interrupts
from autograder.support.files import NotWritten
from autograder.support.text import plain

log = logging.getLogger("autograder")


@dataclass(frozen=True)
class JudgeOptions:
    """How one submission is judged.

    secret: the course secret; with the submission's content it seeds the inputs of checks.
    visibilities: which checks run; for students, only the public ones.
    questions: ids of the questions to grade; None for all.
    judges: how many processes judge questions side by side, where the launcher's children are forked.
    device: "cuda" looks for tensors on the wrong device on a real GPU; "cpu" simulates a second device.
    """

    secret: str
    visibilities: tuple[Visibility, ...] = ("public", "hidden")
    questions: tuple[str, ...] | None = None
    device: str = "cpu"
    judges: int = 1
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class _Attempt:
    """How one attempt at a check (with stand-ins, or with the student's own modules) ended, if it did not pass.

    fully_explained: whether the recognised mistake explains it entirely. misfit: whether code raised, or the answer had another
    form than was asked. reached: 0, it could not be run; 1, it raised, or a name was missing; 2, its answers were judged.
    """

    fully_explained: bool = False
    misfit: bool = False
    reached: int = 2


class Grader:
    """The pytest plugin that grades: orders checks by question, provides their fixtures, and keeps their verdicts."""

    def __init__(
        self,
        submission: Submission,
        assignment: Assignment,
        launcher: Launcher,
        options: JudgeOptions,
        progress: Callable[[Result], object],
    ) -> None:
        self._submission, self._assignment, self._options = submission, assignment, options
        self._sandboxed = SandboxedSubmission(
            submission.files, assignment, launcher, options.limits, options.device
        )
        self._progress, self._launcher = progress, launcher
        self._secret = stretched(options.secret)
        self._checks: list[Check] = []
        self._verdicts: dict[str, Verdict] = {}
        self._printed: dict[str, str] = {}
        self._explained: set[str] = set()  # ids of checks, see `once.charged`
        self._way = _Attempt()  # how the last judging went
        self._left = bounds.QUESTION_SECONDS  # of this process's own computing, for the current question
        self._began = time.monotonic()
        self.errors: list[str] = []
        self.stopped: NotWritten | Unavailable | None = None

    @pytest.fixture
    def submission(self) -> SandboxedSubmission:
        """The submission, which checks ask through probes."""
        return self._sandboxed

    @pytest.fixture
    def draw(self, request: pytest.FixtureRequest) -> Draw:
        """Repeatable random inputs for this check and this submission."""
        return Draw(self._seed(next(c for c in self._checks if c.item is request.node)))

    @pytest.fixture
    def shared_draw(self, request: pytest.FixtureRequest) -> Draw:
        """As `draw`, but the same for all checks of a question, so that with `ask_once` they examine one answer."""
        question = next(c for c in self._checks if c.item is request.node).question
        return Draw(seed_from(self._secret, self._submission.sha256, question))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {q.id: i for i, q in enumerate(self._assignment.rubric.auto)}
        checks = [read_check(i, self._assignment) for i in items if isinstance(i, pytest.Function)]
        checks.sort(key=lambda c: (order[c.question], c.visibility != "public", not c.points))
        wanted = [
            check
            for question in self._assignment.rubric.auto
            if self._options.questions is None or question.id in self._options.questions
            for check in self._with_points(question, [c for c in checks if c.question == question.id])
            if check.visibility in self._options.visibilities
        ]
        names = [c.id for c in wanted]
        if len(set(names)) != len(names):
            raise pytest.UsageError(
                f"two checks have the same id: {sorted({n for n in names if names.count(n) > 1})}"
            )
        self._checks = wanted
        items[:] = [c.item for c in wanted]

    def _with_points(self, question: Question, checks: Sequence[Check]) -> list[Check]:
        """The checks with their points. Raises pytest.UsageError when a grade could not reach the rubric's points."""
        if question.points and "hidden" in self._options.visibilities and not any(c.points for c in checks):
            raise pytest.UsageError(
                f"question {question.id} has {question.points:g} points in the rubric, but no check of it has any; "
                "give one `points=`, or the question 0 points"
            )
        return scaled(question, checks)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.errors:
            return True
        try:
            self._grade_all(session)
        except (NotWritten, Unavailable) as error:  # pytest would report it as a fault of its own
            self.stopped = error
        return True

    def _grade_all(self, session: pytest.Session) -> None:
        self._report()
        asked = list(dict.fromkeys(c.question for c in self._checks))
        if min(self._options.judges, len(asked)) > 1 and len(asked) <= helpers.MOST:
            self._grade_side_by_side(asked, session)
        for id in asked:
            if not all(c.id in self._verdicts for c in self._of(id)):
                self._grade_question(id, session)

    def _grade_side_by_side(self, asked: Sequence[str], session: pytest.Session) -> None:
        """Grades the questions with helpers. What a helper that was lost had begun is left out."""
        if not isinstance(self._launcher, ForkLauncher):
            return
        turns = helpers.Turns(asked)
        helping: list[helpers.Helper] = []
        try:
            for _ in range(min(self._options.judges, len(asked)) - 1):
                try:
                    launcher = self._launcher.join()
                except OSError:  # the fork server is gone; the first box starts a new one
                    break
                helping.append(helpers.Helper(partial(self._help, turns, launcher, session)))
                launcher.close()
            for id in turns:
                self._grade_question(id, session)
                self._learn(found for helper in helping for found in helper.found())
            self._learn(found for helper in helping for found in helper.found(all_of_it=True))
        finally:
            for helper in helping:
                helper.end()
            turns.close()

    def _help(
        self,
        turns: helpers.Turns,
        launcher: Launcher,
        session: pytest.Session,
        send: Callable[[helpers.Found], None],
    ) -> None:
        """In a helper: grades questions in turn with the others."""
        self._progress = lambda result: None
        self._sandboxed.use(launcher)
        for id in turns:
            self._grade_question(id, session)
            verdicts = {c.id: self._verdicts[c.id] for c in self._of(id) if c.id in self._verdicts}
            send(helpers.Found(verdicts, {k: v for k, v in self._printed.items() if k == id}))

    def _learn(self, all_found: Iterable[helpers.Found]) -> None:
        for found in all_found:
            self._verdicts.update(found.verdicts)
            self._printed.update(found.printed)
            self._report()

    def _of(self, question: str) -> list[Check]:
        return [c for c in self._checks if c.question == question]

    def _grade_question(self, id: str, session: pytest.Session) -> None:
        question, checks = self._assignment.rubric.question(id), self._of(id)
        self._left = bounds.QUESTION_SECONDS
        try:
            self._sandboxed.begin(question)
            for check, following in zip(checks, [*checks[1:], None], strict=True):
                interrupts.raise_if_came()
                next_item = following.item if following else None
                session.config.hook.pytest_runtest_protocol(item=check.item, nextitem=next_item)
                if self.stopped is not None:
                    raise self.stopped
                last_public = following is None or following.visibility != "public"
                if check.visibility == "public" and last_public:
                    self._keep_printed(question)
        finally:
            self._sandboxed.end()
        found = [self._verdicts[c.id] for c in checks if c.id in self._verdicts]
        self._verdicts.update({v.id: v for v in once.charged(found, self._explained)})
        self._report()

    def _keep_printed(self, question: Question) -> None:
        """Keeps the output of public checks for the code's author; hidden checks run after them."""
        if printed := self._sandboxed.printed():
            self._printed[question.id] = printed

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        check = next(c for c in self._checks if c.item is pyfuncitem)
        if check.same_as in self._verdicts:
            self._verdicts[check.id] = self._same_verdict(check)
            return True
        names = pyfuncitem._fixtureinfo.argnames
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        self._verdicts[check.id] = self._judge(check, pyfuncitem.obj, arguments)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Logs a check whose function was never called because a fixture failed: a fault in the grader."""
        if report.failed:
            log.error("%s\n%s", report.nodeid, report.longreprtext)

    def _judge(self, check: Check, function: Callable[..., None], arguments: dict[str, Any]) -> Verdict:
        """Judges with stand-ins first, then with the student's own modules where that can differ; the better result counts.

        Code that raises, or whose answer has a wrong form, is also judged at the usual sizes. Where it works only at these,
        that is what it fails for.
        """
        question = self._assignment.rubric.question(check.question)
        verdict, way = self._try(check, function, arguments, "stand-ins"), self._way
        if verdict.status in ("passed", "timeout") or verdict.feedback.todo is not None:
            return self._judged(verdict, way)
        modes = ["stand-ins"]
        if self._sandboxed.has_own_mode(question):
            modes.append("own")
            second = self._try(check, function, arguments, "own")
            if second.status == "passed":
                return second
            worse = second.status == "error" or (verdict.mistake is not None and second.mistake is None)
            if (
                self._way.reached > way.reached and not worse
            ):  # the stand-ins stopped it earlier, not the code
                verdict, way = second, self._way
        if self.stopped is not None:
            return verdict
        self._judged(verdict, way)
        if verdict.status != "failed" or not way.misfit or way.fully_explained:
            return verdict

        def works(sizes: Mapping[str, int], shortest: int = 1) -> bool:
            tries = (self._try(check, function, arguments, m, sizes, shortest) for m in modes)
            return any(found.status == "passed" for found in tries)

        for sizes in once.usual_sizes(arguments, self._assignment.sizes):
            if works({size.kind: size.usual for size in sizes}):
                if works({size.kind: size.other for size in sizes}):
                    if not works({}, shortest=2):
                        return verdict  # it fails because of something else
                    self._explained.add(check.id)
                    return once.explained(verdict, "axes that are longer than 1", AXIS_OF_LENGTH_ONE)
                mistake = once.size_mistake(self._assignment, sizes)
                self._explained.add(check.id)
                return once.at_usual_sizes(verdict, sizes, mistake)
        return verdict

    def _same_verdict(self, check: Check) -> Verdict:
        """The verdict of the check that `same_as` names, with this one's points."""
        found = self._verdicts[check.same_as]
        if check.same_as in self._explained:
            self._explained.add(check.id)
        return check.verdict(
            status=found.status,
            score=tidy(check.points) if found.status == "passed" else 0,
            feedback=found.feedback,
            mistake=found.mistake,
            grader_fault=found.grader_fault,
        )

    def _judged(self, verdict: Verdict, way: _Attempt) -> Verdict:
        """The verdict; notes when its mistake explains it entirely."""
        if way.fully_explained:
            self._explained.add(verdict.id)
        return verdict

    def _try(
        self,
        check: Check,
        function: Callable[..., None],
        arguments: dict[str, Any],
        mode: str,
        usual: Mapping[str, int] | None = None,
        shortest: int = 1,
    ) -> Verdict:
        seed = self._seed(check)
        self._sandboxed.start_check(seed, mode)
        for value in arguments.values():
            if isinstance(value, Draw):
                value.restart(usual, shortest)
        self._way = _Attempt()
        began = time.process_time()
        try:
            with bounds.bounded(min(bounds.CHECK_SECONDS, self._left)):
                function(**arguments)
        except Fault as fault:
            self._way = _Attempt(fault.once, fault.form)
            return check.verdict(
                status="failed", score=0, mistake=fault.mistake, feedback=_feedback(check, fault)
            )
        except NoAnswer as none:
            self._way = _Attempt(none.once, True, reached=0 if none.status == "error" else 1)
            return check.verdict(
                status=none.status, score=0, mistake=none.mistake, feedback=_feedback(check, none)
            )
        except Unavailable as reason:  # every check after this one would be as impossible
            self.stopped, self._way = reason, _Attempt(reached=0)
            return check.verdict(status="error", score=0, feedback=GRADER_FAULT, grader_fault=True)
        except Exception:
            self._way = _Attempt(reached=0)
            log.exception("%s, submission %s: the check itself failed", check.id, self._submission.name)
            return check.verdict(status="error", score=0, feedback=GRADER_FAULT, grader_fault=True)
        finally:
            self._left -= time.process_time() - began
        return check.verdict(status="passed", score=tidy(check.points))

    def _seed(self, check: Check) -> int:
        return seed_from(self._secret, self._submission.sha256, check.id)

    def _report(self) -> None:
        self._progress(self.result())

    def result(self) -> Result:
        """The result so far; a check that has not run is an error whose feedback says so."""
        verdicts = tuple(
            self._verdicts.get(c.id) or c.verdict(status="error", score=0, feedback=NOT_RUN)
            for c in self._checks
        )
        points = tuple(
            (q.id, tidy(sum(c.points for c in self._checks if c.question == q.id)))
            for q in self._assignment.rubric.auto
            if any(c.question == q.id for c in self._checks)
        )
        return Result(
            submission=self._submission.name,
            sha256=self._submission.sha256,
            isolation=self._launcher.isolation,
            seconds=time.monotonic() - self._began,
            checks=verdicts,
            points=points,
            complete=len(self._verdicts) == len(self._checks),
            notes=self._submission.notes,
            printed=self._printed,
        )


def _feedback(check: Check, found: Fault | NoAnswer) -> Feedback:
    """The feedback of a check that did not pass. It may quote student code, so each text is made safe to show."""
    none = found if isinstance(found, NoAnswer) else None
    meaning = none.meaning if none and not none.diagnosis else None
    return Feedback(
        asked=check.asks,
        expected=plain(found.expected, LONGEST) if isinstance(found, Fault) else "",
        seen=plain(found.seen, LONGEST),
        diagnosis=plain(meaning.sentence if meaning else found.diagnosis or "", LONGEST),
        hint=plain(meaning.hint if meaning else found.hint, LONGEST),
        location=none.location if none else None,
        called=none.called if none else "",
        through=none.through if none else None,
        todo=none.todo if none else None,
    )


def grade(
    submission: Submission,
    assignment: Assignment,
    launcher: Launcher,
    options: JudgeOptions,
    progress: Callable[[Result], object] = lambda result: None,
) -> Result:
    """Grades one submission; `progress` receives the result so far, before the first question and after each.

    Raises RuntimeError when the check files themselves cannot be collected, NotWritten when `progress` does, Unavailable
    when student code cannot be isolated as asked, and KeyboardInterrupt on Ctrl-C.
    """
    import torch

    from autograder.sandbox import without_compiler

    torch.set_num_threads(1)
    without_compiler.unload()
    assignment.make_importable()
    grader = Grader(submission, assignment, launcher, options, progress)
    run_pytest(grader, assignment)
    if grader.stopped is not None:
        raise grader.stopped
    return grader.result()
