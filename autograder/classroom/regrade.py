"""Comparing two runs: whose points change, by how much, on which question and check, and why.

The reasons come from the results: other content (the SHA-256 differs), another grader (its digest differs: other checks,
reference, secret, settings or PyTorch), or neither, in which case the same grader has judged the same code differently.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.classroom import adjustments as adjusting
from autograder.classroom import folder, marks, settings, stored
from autograder.classroom.adjustments import Adjustments
from autograder.classroom.rows import Row
from autograder.grading.options import course_secret
from autograder.model.assignment import Assignment
from autograder.model.rubric import Rubric
from autograder.model.verdicts import Result, Verdict, tidy
from autograder.support.files import cell, write_atomically

COLUMNS = [
    "submission",
    "question",
    "check",
    "earlier",
    "now",
    "change",
    "earlier_status",
    "status",
    "why",
    "earlier_diagnosis",
    "diagnosis",
]


@dataclass(frozen=True)
class Change:
    """One difference. question and check: "" for a submission's total. earlier, now: points; None if there is no result."""

    submission: str
    question: str
    check: str
    earlier: float | None
    now: float | None
    why: str
    earlier_status: str = ""
    status: str = ""
    earlier_diagnosis: str = ""
    diagnosis: str = ""

    @property
    def difference(self) -> float:
        return tidy((self.now or 0) - (self.earlier or 0))


def begin(earlier: Path, out: Path, subject: Assignment) -> list[str]:
    """Copies the earlier run's results, rows, written points and rules into `out`, so that what is not graded again stays.

    Nothing in `out` is replaced. Results of another assignment, rubric or course secret are only compared; a line says so.
    Raises OSError when `out` cannot be written.
    """
    held = folder.read(earlier, subject)
    differences = held.manifest.differences(subject, course_secret()) if held.manifest else []
    out.mkdir(parents=True, exist_ok=True)
    names = [marks.WRITTEN, settings.FILE, settings.EXTENSIONS, adjusting.FILE]
    if not differences and not stored.results_in(out)[0]:
        names += [*(f"{name}.json" for name in held.results), folder.GRADES]
    lines = []
    for name in names:
        if not (earlier / name).is_file():
            continue
        if not (out / name).exists():
            write_atomically(out / name, (earlier / name).read_bytes())
        elif name == marks.WRITTEN and (earlier / name).read_bytes() != (out / name).read_bytes():
            lines.append(
                f"{out / name}: differs from {earlier / name}; it stays as it is, so merge what was merged only there"
            )
    if not differences:
        return lines
    return [*lines, f"{earlier}: {'; '.join(differences)}; its results are compared, not taken over"]


def lost(unplaced: Mapping[tuple[str, ...], Mapping[str, float]]) -> list[Change]:
    """The written points of an earlier run that belong to no row now."""
    why = f"these written points match no row; they stay in {marks.WRITTEN}"
    return [
        Change(key[0] or key[1], id, "written points", points, None, why)
        for key, row in unplaced.items()
        for id, points in row.items()
    ]


def by_rules(
    earlier: Sequence[Row],
    rows: Sequence[Row],
    adjustments: Adjustments,
    results: tuple[Mapping[str, Result], Mapping[str, Result]],
) -> list[Change]:
    """What adjustments made of questions, and students' totals that differ by more than their checks' points do.

    results: those of the earlier run and of this one, by name of submission.
    """
    before = {row.key[1:]: row for row in earlier} | {
        row.entry.work: row for row in earlier if row.entry.work
    }
    before |= {row.key: row for row in earlier}
    changes: list[Change] = []
    for row in rows:
        old = before.get(row.key) or before.get(row.key[1:]) or before.get(row.entry.work or "")
        name = row.entry.work or row.entry.student.shown
        for made in adjustments.get(row.key, ()):
            was, is_now = ({**r.auto, **r.written}.get(made.question) if r else None for r in (old, row))
            why = f"adjusted: {made.shown}{made.reason}"
            changes.append(Change(name, made.question, "adjustment", was, is_now, why))
        if old is None or old.total == row.total:
            continue
        once, again = (run.get(r.entry.work or "") for run, r in zip(results, (old, row), strict=True))
        checks = tidy((again.score if again else 0) - (once.score if once else 0))
        # What the checks give is in the table already, if it is about the same submission.
        if tidy(row.total - old.total) != checks or old.entry.work != row.entry.work:
            why = " ".join(row.reasons) or _cause(old, row)
            changes.append(Change(name, "", "total with all that counts", old.total, row.total, why))
    return changes


def _cause(old: Row, row: Row) -> str:
    if old.entry.work != row.entry.work:
        return f"the submission {row.entry.work or 'of nobody'} counts, not {old.entry.work or 'none'}"
    if old.deduction and not row.deduction:
        return "no points off for lateness any more"
    return "other settings, adjustments or written points"


def compare(earlier: Mapping[str, Result], now: Mapping[str, Result], rubric: Rubric) -> list[Change]:
    """All differences by submission: its total first, then each check whose verdict changed."""
    changes: list[Change] = []
    for name in dict.fromkeys([*now, *earlier]):
        before, after = earlier.get(name), now.get(name)
        if before is None or after is None:
            why = "new: not in the earlier run" if before is None else "gone: not among these submissions"
            changes.append(
                Change(name, "", "", before.score if before else None, after.score if after else None, why)
            )
            continue
        why = reason(before, after)
        details = _checks(before, after, why, rubric)
        if details or before.score != after.score:
            changes.append(Change(name, "", "", before.score, after.score, why))
            changes += details
    return changes


def reason(before: Result, after: Result) -> str:
    """Why two results of one submission may differ."""
    reasons = []
    if before.sha256 != after.sha256:
        reasons.append("other content")
    if before.grader != after.grader:
        reasons.append("another grader")
    if before.isolation != after.isolation:
        reasons.append(f"other isolation ({before.isolation}, {after.isolation})")
    if not before.complete or not after.complete:
        reasons.append(
            "the earlier run was not finished" if not before.complete else "this run is not finished"
        )
    return " and ".join(reasons) or "the same code and grader, another verdict"


def _checks(before: Result, after: Result, why: str, rubric: Rubric) -> list[Change]:
    old, new = ({v.id: v for v in result.checks} for result in (before, after))
    order = {q.id: place for place, q in enumerate(rubric.questions)}
    found = []
    for id in dict.fromkeys([*new, *old]):
        was, is_now = old.get(id), new.get(id)
        if (
            was
            and is_now
            and (was.status, was.score, was.diagnosis) == (is_now.status, is_now.score, is_now.diagnosis)
        ):
            continue
        either = is_now or was
        assert either is not None
        what = f"{why}; {_verdict(was, is_now)}"
        found.append(
            Change(
                after.submission,
                either.question,
                either.title or id,
                was.score if was else None,
                is_now.score if is_now else None,
                what,
                was.status if was else "",
                is_now.status if is_now else "",
                (was.diagnosis if was else None) or "",
                (is_now.diagnosis if is_now else None) or "",
            )
        )
    return sorted(found, key=lambda c: order.get(c.question, len(order)))


def _verdict(was: Verdict | None, now: Verdict | None) -> str:
    if was is None:
        return "a check that the earlier run did not have"
    if now is None:
        return "a check that no longer exists"
    if was.status != now.status:
        return f"{was.status}, now {now.status}"
    return "another diagnosis" if was.diagnosis != now.diagnosis else "other points for the same verdict"


def write(path: Path, changes: Sequence[Change]) -> None:
    """Writes the table of changes; one row for a submission's total, and one for each of its checks that changed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for change in changes:
        points = ["" if value is None else tidy(value) for value in (change.earlier, change.now)]
        texts = (change.earlier_status, change.status, change.why, change.earlier_diagnosis, change.diagnosis)
        front = (change.submission, change.question, change.check)
        writer.writerow(
            [
                *(cell(t) for t in front),
                *points,
                change.difference,
                *(cell(" ".join(t.split())) for t in texts),
            ]
        )
    write_atomically(path, text.getvalue())
