"""The page on which one grader gives points to all answers to one written question; it saves the CSV file that `merge` takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from markupsafe import Markup

from autograder.model.rubric import Question, Rubric
from autograder.model.verdicts import tidy
from autograder.reports.page import render
from autograder.support.files import FORMULA_STARTS

FOLDER = "written"
KEY = ("submission", "student", "id", "email", "login")  # the columns that identify a row of grades.csv
STEP = 0.5  # points that + and - add and take
MOST_BUTTONS = 6  # with more points than this, there is a field and no button for each


@dataclass(frozen=True)
class Item:
    """One answer. html: safe HTML (see `submissions.pages`); rows: the keys of its rows in grades.csv; points: merged so far."""

    id: str
    name: str
    rows: tuple[tuple[str, ...], ...]
    html: str
    words: int
    remarks: tuple[str, ...] = ()
    points: float | None = None
    comment: str = ""

    @property
    def rows_json(self) -> Markup:
        return Markup("{}").format(json.dumps(self.rows))

    @property
    def points_text(self) -> str:
        return "" if self.points is None else f"{tidy(self.points):g}"


@dataclass(frozen=True)
class WrittenPage:
    """A grader's share of the answers to a question. file: the name of the page and of its CSV, without the ending.

    share: which answers these are, in words; prompt, model: safe HTML, "" if unknown.
    """

    question: Question
    items: tuple[Item, ...]
    file: str
    share: str
    prompt: str
    model: str


def written_page(page: WrittenPage, rubric: Rubric) -> str:
    """The page as HTML."""
    question = page.question
    settings = {
        "key": sha256(f"{rubric.title}\0{question.id}".encode()).hexdigest()[:16],
        "question": question.id,
        "most": tidy(question.points),
        "step": STEP,
        "file": f"{page.file}.csv",
        "columns": [*KEY, question.id, f"{question.id} comment"],
        "formulas": list(FORMULA_STARTS),
    }
    whole = int(question.points) if question.points <= MOST_BUTTONS else -1
    return render(
        "written.html.j2",
        script="written.js",
        style="written.css",
        images=True,
        rubric=rubric,
        page=page,
        question=question,
        settings=Markup("{}").format(json.dumps(settings)),
        buttons=range(whole + 1),
        prompt=Markup(page.prompt),
        model=Markup(page.model),
        items=[(item, Markup(item.html)) for item in page.items],
    )
