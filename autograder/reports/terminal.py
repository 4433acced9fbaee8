"""Results in the terminal: one table for a student's check, one for an instructor's batch. Readable without colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, lost, tidy, total
from autograder.reports.causes import UNPAID, Step, last_lines, next_steps


def print_check(
    console: Console,
    result: Result,
    rubric: Rubric,
    shown: Sequence[str] | None = None,
    all_prints: bool = False,
) -> None:
    """A student's table: each question with the points of its public checks and, while some fail, what to do next.

    There is also what the code printed, in questions whose checks fail or (all_prints) in all.
    """
    table = Table(
        title=Text(f"Public checks of {result.submission}"), title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("Question", no_wrap=True)
    table.add_column("What is asked, and what to do next", overflow="fold", ratio=1)
    table.add_column("Public checks", justify="right", no_wrap=True)
    for question in rubric.auto:
        verdicts = result.of(question.id)
        if not verdicts or (shown and question.id not in shown):
            continue
        score, most = total(verdicts)
        failing = lost(verdicts)
        mark = "pass" if not failing else "to do"
        table.add_row(
            Text(question.id, style="bold"),
            Text(question.title, style="bold"),
            Text(f"{mark}  {score:g} / {most:g}", style="green" if not failing else "red"),
        )
        for step in next_steps(question, failing):
            table.add_row("", Text(as_text(step)), "")
        if (failing or all_prints) and (printed := result.printed.get(question.id, "").strip()):
            table.add_row("", Text(f"Your code printed:\n{_indent(last_lines(printed))}"), "")
        table.add_section()
    score, most = total(result.checks)
    table.add_row(
        Text("Total", style="bold"), Text("of the points that public checks give"), f"{score:g} / {most:g}"
    )
    console.print(table)
    for note in result.notes:
        console.print(Text(f"Note: {note}"))
    hidden = tidy(sum(q.points for q in rubric.auto if not shown or q.id in shown) - most)
    failing = lost(result.checks)
    if failing:
        left = len(failing)
        console.print(
            f"{left} public {'check' if left == 1 else 'checks'} to go. Start with the first one above."
        )
        if not all(v.max_score for v in failing):
            console.print(UNPAID)
    else:
        console.print("All public checks passed.")
    others = f"; hidden checks decide the other {hidden:g} when your work is graded" if hidden else ""
    of = "this question's" if len(result.points) == 1 or len(shown or ()) == 1 else "these questions'"
    console.print(f"Public checks give {most:g} of {of} {most + hidden:g} points{others}.")


def as_line(so_far: Result) -> Text:
    """What is known while checks are still running, in one line."""
    done = [id for id, _ in so_far.points if id not in so_far.unfinished]
    failing = [id for id in done if lost(so_far.of(id))]
    passing = [id for id in done if id not in failing]
    known = [("pass", passing), ("to do", failing)]
    words = [f"{word}: {', '.join(ids)}" for word, ids in known if ids]
    return Text("  ".join([f"Checking ... {len(done)} of {len(so_far.points)} questions", *words]))


def as_text(step: Step) -> str:
    """A step in lines: the check's title, and under it the feedback and the checks with the same cause."""
    if not step.title:
        return step.text
    same = (f"  The same in: {title}" for title in step.others)
    return "\n".join([step.title, _indent(step.text), *same])


def print_grades(console: Console, results: Sequence[Result], rubric: Rubric) -> None:
    """An instructor's table of submissions by questions, in the layout that fits the terminal's width."""
    questions = [q.id for q in rubric.auto if any(q.id in dict(r.points) for r in results)]
    if len(results) <= 4:
        table = _questions_down(results, questions)
    elif console.width >= 26 + 7 * len(questions):
        table = _submissions_down(results, questions)
    else:
        table = _submissions_down(results, [])
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(Text(f"{result.submission}: {note}"))


def _questions_down(results: Sequence[Result], questions: Sequence[str]) -> Table:
    table = Table(title="Grades", title_justify="left", box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("Question", no_wrap=True, footer="Total")
    for result in results:
        total_text = f"{result.score:g}/{result.max_score:g}"
        table.add_column(Text(result.submission), justify="right", overflow="fold", footer=total_text)
    for id in questions:
        table.add_row(id, *(f"{r.score_of(id):g}/{dict(r.points)[id]:g}" for r in results))
    return table


def _submissions_down(results: Sequence[Result], questions: Sequence[str]) -> Table:
    table = Table(title="Grades", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Submission", overflow="fold")
    for id in questions:
        table.add_column(id, justify="right", no_wrap=True)
    table.add_column("Total", justify="right", no_wrap=True)
    for result in results:
        cells = [f"{result.score_of(id):g}" for id in questions]
        table.add_row(Text(result.submission), *cells, f"{result.score:g}/{result.max_score:g}")
    return table


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
