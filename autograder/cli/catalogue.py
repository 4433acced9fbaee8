"""The command `mistakes`: the catalogue of recognised mistakes as a page for instructors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from autograder.model.assignment import assignment
from autograder.model.rubric import Rubric

if TYPE_CHECKING:
    from autograder.judging.catalogue import Mistake


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list of objects with id, sentence, hint and questions."
)
def mistakes(as_json: bool) -> None:
    """Prints the mistakes that checks recognise, by question, as Markdown.

    Each has an id, the sentence that feedback shows, and a hint. Verdicts and the class report refer to mistakes by id.
    """
    from autograder.judging.catalogue import all_mistakes  # loads torch

    subject = assignment()
    if not (subject.folder / "mistakes").is_dir():
        click.echo(f"autograder: {subject.folder}: the assignment has no mistakes folder", err=True)
    found = all_mistakes(subject)
    if as_json:
        rows = [
            {"id": m.id, "sentence": m.sentence, "hint": m.hint, "questions": list(m.questions)}
            for m in found
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(page(found, subject.rubric))


def page(found: Sequence[Mistake], rubric: Rubric) -> str:
    """The catalogue in Markdown: a section per question, in the rubric's order; last, the mistakes of no particular question."""
    titles = {q.id: f"{q.id} {q.title}" for q in rubric.questions}
    others = sorted({id for m in found for id in m.questions} - titles.keys())
    sections = [
        (title, [m for m in found if id in m.questions])
        for id, title in {**titles, **{id: id for id in others}}.items()
    ]
    sections.append(("Any question", [m for m in found if not m.questions]))
    lines = [f"# Mistakes that checks recognise: {rubric.title}"]
    for title, entries in sections:
        if entries:
            lines += ["", f"## {title}", ""]
            for mistake in entries:
                lines.append(f"- `{mistake.id}`: {mistake.sentence}")
                if mistake.hint:
                    lines.append(f"  Try: {mistake.hint}")
    return "\n".join(lines)
