"""Turns paths, a roster and a due time into a plan of what to grade for whom: one entry per student, with all their uploads.

The latest upload of a student counts: by the time in the export, else by the numbers in its names (Canvas's attachment and
version), else by the times of the files, else by the order on the command line. Earlier ones are graded too, under their own
names, and listed with the one that counts. Lateness is the upload's time compared with the student's due time, or else the
export's own mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from autograder.classroom import worksheets
from autograder.classroom.deadlines import Deadlines
from autograder.classroom.entries import LATE
from autograder.classroom.entries import Entry as Entry
from autograder.classroom.known import Known
from autograder.classroom.roster import Roster, identified, of_account
from autograder.grading.options import Job
from autograder.model.rubric import Rubric
from autograder.model.student import Student
from autograder.model.verdicts import Result
from autograder.submissions import exports, intake
from autograder.submissions.exports import Upload
from autograder.submissions.files import one_line
from autograder.submissions.staging import TempStore
from autograder.support.files import comparable, file_name


@dataclass
class Plan:
    """What to grade, and for whom. problems: paths that cannot be read; remarks: what else to report, one line each."""

    works: list[Job] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)


@dataclass
class _Owner:
    """A student (or a group) and all their uploads, in the order found.

    sure: those of them who are on the roster, or identified by more than a name.
    """

    students: tuple[Student, ...]
    listed: bool
    sure: frozenset[Student]
    uploads: list[tuple[int, Upload]] = field(default_factory=list)


def plan(
    paths: Sequence[Path],
    out: Path,
    rubric: Rubric,
    store: TempStore,
    roster: Roster | None,
    due: datetime | Deadlines | None,
    earlier: Sequence[Entry] = (),
    mapped: Mapping[str, str] | None = None,
    results: Mapping[str, Result] | None = None,
) -> Plan:
    """Finds the submissions at `paths` and the students they belong to. Results will be written to `out`.

    store: receives what must be unpacked. due: the due time, perhaps with extensions.
    earlier: the rows that an earlier run has written there, which stay.
    mapped: by file inside the paths, its student; None if the layout shows them. results: what that run has graded, by name.
    """
    made = Plan(remarks=list(roster.remarks) if roster else [])
    uploads: list[Upload] = []
    used: set[str] = set()

    def is_student(text: str) -> bool:
        return roster is not None and roster.find_text(text).student is not None

    for path in paths:
        try:
            if mapped is None:
                found = exports.find(path, rubric, store, is_student, out)
            else:
                found = exports.find_mapped(path, mapped, rubric, store)
                used |= found.mapped
        except intake.UnusableSubmission as error:
            made.problems.append(str(error))
            continue
        uploads += worksheets.named(found.uploads, found.tables, made.remarks)
        made.remarks += found.remarks
        if found.layout != "one":
            count = len(found.uploads)
            made.layouts.append(
                f"{path}: {exports.LAYOUTS[found.layout]}, {count} upload{'' if count == 1 else 's'}"
            )
    for name, student in (mapped or {}).items():
        if name not in used:
            made.remarks.append(f"{name}, which the table gives to {student}, is in none of the paths")
    known = Known(earlier, results or {})
    owners = [_recognised(owner, known, roster) for owner in _owners(uploads, roster, made)]
    students = [*(roster.students if roster else ()), *(s for owner in owners for s in owner.students)]
    known.match(students)
    deadlines = due if isinstance(due, Deadlines) else Deadlines(due)
    # Without a roster, the table of extensions may name students by what only the earlier run's roster knew.
    everyone = [*students, *(s for _, s in known.rows)]
    filled = {s: s for s in everyone} if roster else known.filled(everyone)
    dues_of = deadlines.of(filled.values(), made.remarks)
    dues = {s: dues_of[full] for s, full in filled.items() if full in dues_of}
    for row, person in known.rows:
        if row.due and deadlines.holds(row.due, dues.get(person)):
            dues[person] = row.due
    owners = [owner for owner in owners if not _outdated(owner, known, made)]
    claims = _claims(owners, known, results or {}, rubric)
    _name(owners, out, dues, deadlines.grace, made, known, claims, results or {}, rubric)
    if roster:
        _complete(roster, made)
    complete = known.complete(made.entries, roster is not None)
    made.entries = [e.with_due(dues, deadlines.grace) for e in complete]
    return made


def _recognised(owner: _Owner, known: Known, roster: Roster | None) -> _Owner:
    """The owner of an upload that has only a name, when an earlier run knew more of them and this run's roster does not."""
    students = tuple(s if roster and roster.fitting(s.name) else known.student(s) for s in owner.students)
    return replace(owner, students=students, sure=owner.sure | set(filter(identified, students)))


def _outdated(owner: _Owner, known: Known, made: Plan) -> bool:
    """Whether an earlier run has graded later uploads of all these students; a line says so."""
    times = [u.submitted_at for _, u in owner.uploads]
    if not all(times):
        return False
    latest = max(t for t in times if t).replace(microsecond=0)
    later = [known.submitted(student) for student in owner.students]
    if not all(t and t > latest for t in later):
        return False
    label = owner.uploads[-1][1].label
    made.remarks.append(
        f"{label}: an earlier run has graded a later upload of the same student, which counts; this one is left out"
    )
    return True


def _owners(uploads: Sequence[Upload], roster: Roster | None, made: Plan) -> list[_Owner]:
    """Uploads grouped by owner. With a roster, those of one student are grouped across layouts and paths."""
    owners: dict[object, _Owner] = {}
    for place, upload in enumerate(uploads):
        students: list[Student] = []
        unknown: list[str] = []
        listed: set[Student] = set()
        for claimed in upload.students or (Student(upload.label),):
            called = replace(
                claimed, name=claimed.name or (of_account(claimed.github) if claimed.github else "")
            )
            if roster is None:
                students.append(called)
                continue
            match = roster.find(claimed) if upload.students else roster.find_text(upload.label)
            for name in upload.also if len(upload.students) < 2 else ():
                if match.student is None and (other := roster.find_text(name)).student:
                    match = other
            if match.student is not None:
                students.append(match.student)
                listed.add(match.student)
            else:
                students.append(called)
                unknown.append(f"{claimed.shown} {match.why}")
        made.remarks += [f"{upload.label}: {line}; it is graded under its own name" for line in unknown]
        key: object
        if roster and not unknown:
            key = tuple(students)
        elif len(upload.students) == 1 and upload.layout == "gradescope":
            # Gradescope's ids and emails identify a person; a shared name alone does not.
            key = ("gradescope", students[0]) if students[0].id or students[0].email else upload.key
        else:
            key = upload.key
        owner = owners.setdefault(key, _Owner(tuple(students), not unknown, frozenset(listed)))
        owner.uploads.append((place, upload))
    return list(owners.values())


def _rank(placed: tuple[int, Upload], timed: bool) -> tuple[float, tuple[int, ...], float, int]:
    place, upload = placed
    seconds = upload.submitted_at.timestamp() if timed and upload.submitted_at else 0.0
    return seconds, upload.order, 0.0 if timed or upload.order else upload.modified, place


def _claims(
    owners: Sequence[_Owner], known: Known, results: Mapping[str, Result], rubric: Rubric
) -> dict[int, str | None]:
    """By place among the owners, the earlier submission that is theirs, where several students have one name and no more.

    The same content decides; the others keep the order of the paths, if all of them are there. None for a new submission.
    """
    claims: dict[int, str | None] = {}
    groups: dict[tuple[Student, ...], list[int]] = {}
    for place, owner in enumerate(owners):
        if len(known.own(owner.students)) > 1:
            groups.setdefault(owner.students, []).append(place)
    for students, places in groups.items():
        free = known.own(students)
        for place in places:
            sha256 = _digest(owners[place].uploads[-1][1].path, rubric)
            same = [name for name in free if name in results and results[name].sha256 == sha256]
            if same:
                claims[place] = same[0]
                free.remove(same[0])
        rest = [place for place in places if place not in claims]
        claims.update(zip(rest, free if len(rest) == len(free) else [None] * len(rest), strict=True))
    return claims


def _digest(path: Path, rubric: Rubric) -> str:
    """The digest of an upload's content; "" if it cannot be read, which is reported where it is graded."""
    try:
        return intake.read_upload(path, rubric, "").sha256
    except Exception:  # damaged archives raise nearly anything
        return ""


def _timed(upload: Upload, row: Entry | None, result: Result | None, rubric: Rubric, made: Plan) -> Upload:
    """The upload with the time and the mark that count: those of the earlier run's row where its result stays.

    It stays if the upload cannot be read, or states neither time nor mark and has the same content.
    """
    # Due times are whole seconds, and a table holds no fractions.
    when = upload.submitted_at.replace(microsecond=0) if upload.submitted_at else None
    upload = replace(upload, submitted_at=when)
    known = row is not None and when == row.submitted_at and (when is not None or upload.late == row.late)
    if row is None or result is None or known:
        return upload
    nothing, silent = intake.digest({}), when is None and upload.late is None
    sha256 = _digest(upload.path, rubric) or nothing
    if (silent and sha256 == result.sha256) or sha256 == nothing != result.sha256:
        return replace(upload, submitted_at=row.submitted_at, late=row.late)
    if silent and row.late:
        made.remarks.append(
            f"{upload.label}: states no time, so lateness costs it nothing, but the earlier upload of {row.student.shown} was "
            "late; deduct points with an adjustment if this one is late, too"
        )
    return upload


def _name(
    owners: Sequence[_Owner],
    out: Path,
    dues: Mapping[Student, datetime],
    grace: timedelta,
    made: Plan,
    known: Known,
    claims: Mapping[int, str | None],
    results: Mapping[str, Result],
    rubric: Rubric,
) -> None:
    """Gives every upload a name for its results and every student an entry."""
    taken: set[str] = set()
    entries: dict[Student, Entry] = {}
    # Students with the same name are distinguished by their ids, if they have any.
    shared = Counter(s.natural for s in {s for owner in owners for s in owner.sure})
    for place, owner in enumerate(owners):
        timed = all(u.submitted_at for _, u in owner.uploads)
        ranked = [u for _, u in sorted(owner.uploads, key=lambda p: _rank(p, timed))]
        latest, earlier = ranked[-1], ranked[:-1]
        called = " and ".join(
            s.natural if shared[s.natural] < 2 else f"{s.natural} {s.id}" for s in owner.students
        )
        own, reserved = known.names(owner.students)
        if place in claims:
            own = claims[place]
            theirs = known.own(owner.students)
            reserved = {*reserved, *theirs} - {own}
            if own is None:
                made.remarks.append(
                    f"{latest.label}: an earlier run has graded several students of this name ({', '.join(theirs)}), so this "
                    "upload counts as a new student's; give a --roster to tell them apart"
                )
        free = taken | set(map(comparable, reserved))
        name = own if own and comparable(own) not in taken else file_name(called, free)
        others = tuple(file_name(f"{called} earlier {i}", free) for i in range(1, len(earlier) + 1))
        taken |= set(map(comparable, (name, *others)))
        counted = _timed(latest, known.row(name), results.get(name), rubric, made)
        when = counted.submitted_at
        due = [dues[s] + grace if s in dues else None for s in owner.students]
        late = _late(counted, due)
        notes = list(latest.notes)
        if late:
            notes.append(LATE)
        if earlier:
            shown = ", ".join(_shown(u) for u in earlier[-5:])
            notes.append(f"{len(earlier) + 1} uploads; the latest, {_shown(latest)}, counts; not {shown}")
        # What one member of a group is late with is not the others' concern.
        everyones = [
            n for n in notes if n != LATE or all(when and d and when > d for d in due) or not any(due)
        ]
        work_notes = tuple(one_line(f"{latest.label}: {note}") for note in everyones)
        made.works.append(Job(latest.path, name, out / f"{name}.json", work_notes))
        for upload, other in zip(earlier, others, strict=True):
            texts = (*upload.notes, f"an earlier upload; {name} counts")
            lines = tuple(one_line(f"{upload.label}: {text}") for text in texts)
            made.works.append(Job(upload.path, other, out / f"{other}.json", lines))
        for student in owner.students:
            facts = (when, tuple(notes), owner.listed)
            entry = Entry(student, name, others, late, *facts, due=dues.get(student))
            if student in owner.sure and (twin := entries.get(student)):
                entry = _second(twin, entry, made)
                made.entries[made.entries.index(twin)] = entry
            else:
                made.entries.append(entry)
            if student in owner.sure:
                entries[student] = entry


def _second(known: Entry, entry: Entry, made: Plan) -> Entry:
    """For a student in two groups, or in a group and alone: the later submission counts, the other is listed."""
    first, last = known, entry
    if known.submitted_at and entry.submitted_at and known.submitted_at > entry.submitted_at:
        first, last = entry, known
    note = f"also handed in as {first.work}; {last.work} counts"
    made.remarks.append(f"{entry.student.shown}: {note}")
    return replace(last, earlier=(*first.earlier, first.work or "", *last.earlier), notes=(*last.notes, note))


def _complete(roster: Roster, made: Plan) -> None:
    """Puts entries in the roster's order, including students who submitted nothing; those not on the roster come last."""
    by_student = {entry.student: entry for entry in made.entries if entry.student in set(roster.students)}
    others = [entry for entry in made.entries if entry.student not in by_student]
    rows = [replace(by_student.get(s) or Entry(s, None), listed=True) for s in roster.students]
    made.entries = rows + [
        replace(entry, listed=False, notes=(*entry.notes, "not on the roster")) for entry in others
    ]


def _late(upload: Upload, dues: Sequence[datetime | None]) -> bool | None:
    """Whether an upload is late for any of its owners."""
    known = [upload.submitted_at > due for due in dues if due and upload.submitted_at]
    return any(known) if known else upload.late


def _shown(upload: Upload) -> str:
    when = f" ({upload.submitted_at.astimezone():%Y-%m-%d %H:%M})" if upload.submitted_at else ""
    return f"{upload.label}{when}"
