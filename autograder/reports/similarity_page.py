"""The page of similar work, for instructors: pairs of submissions with their shared passages side by side."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.model.rubric import Rubric
from autograder.reports.page import render
from autograder.reports.similarity import Similarity

PAGE = "similarity.html"


def similarity_page(found: Similarity, rubric: Rubric, identical: Sequence[Sequence[str]] = ()) -> str:
    """The page as HTML. identical: groups of submissions whose modules are the same, byte for byte."""
    return render(
        "similarity.html.j2", style="similarity.css", rubric=rubric, found=found, identical=identical
    )
