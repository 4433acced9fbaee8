"""The notebook's grader: Otter's `Notebook`, made to grade the module files on disk in a process of its own.

Otter itself runs checks in the notebook's own process, on what happens to be in its memory, from a folder of tests, and
pickles a log of it. Here the same public checks run as in `make check`; the files on disk count, so every edit counts at
once, and nothing is pickled. Checks share no memory with the kernel, so they also work while a thread trains. It depends on
no front end: JupyterLab, VS Code, Colab and the classic notebook show the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import otter
from IPython import get_ipython
from IPython.display import HTML, display
from otter.nbmeta_config import NBMetadataConfig

from autograder.model.assignment import assignment
from autograder.model.rubric import Question
from autograder.model.verdicts import Result
from autograder.notebook.checking import Checker
from autograder.notebook.results import AllFindings, CheckedQuestion, Finding, NotChecked, WrittenQuestion
from autograder.submissions import pack as submit
from autograder.submissions import written
from autograder.submissions.handed_out import handed_out
from autograder.submissions.intake import UnusableSubmission
from autograder.support.markup import for_html

CHECKER = Checker()


class Grader(otter.Notebook):
    """Checks and hands in the assignment from a notebook.

        grader = Grader("problem1.ipynb")
        grader.check("q1_1")     # the public checks of question 1-1
        grader.check("q1_3w")    # counts the words of a written answer
        grader.check_all()
        grader.export()          # packs what is to be handed in

    Args:
        nb_path: this notebook's path from the working directory; its folder is what is checked and handed in. Without
            it, the working directory is.
        tests_dir, tests_url_prefix: Otter's; ignored here.
    """

    def __init__(
        self, nb_path: str | None = None, tests_dir: str | None = None, tests_url_prefix: str | None = None
    ) -> None:
        # Otter's own constructor looks for a folder of tests, and on Colab fails without it.
        self.interpreter = None
        self._tests_dir, self._tests_url_prefix = "", None
        self._addl_files: list[str] = []
        self._plugin_collections: dict[str, Any] = {}
        self._nbmeta_config = NBMetadataConfig()
        self._rubric = assignment().rubric
        path = Path.cwd() / nb_path if nb_path else None
        self.folder = path.parent if path else Path.cwd()
        self._notebook = str(path) if path else None
        if path and not path.is_file():
            print(
                f"Note: {nb_path} is not in {Path.cwd()}. Checks look at the modules in {self.folder}; written answers"
                " can be counted once the notebook is saved there."
            )

    def _log_event(self, *args: Any, **keywords: Any) -> None:
        """Does nothing; Otter would pickle a log of every action."""

    def check(self, question: str, global_env: dict[str, Any] | None = None) -> Finding:
        """Checks one question, named as "q1_4" or "1-4", and returns what was found; a notebook shows it.

        The score is that of the public checks. `global_env` is Otter's and is ignored here.
        """
        known = self._known(question)
        if known is None:
            names = ", ".join(name_of(q) for q in self._rubric.questions)
            return NotChecked(
                str(question), str(self.folder), f"There is no question {question}; there are {names}."
            )
        if not known.auto:
            return self._written(known)
        result = CHECKER.check(self.folder, [known.id])
        if isinstance(result, str):
            return NotChecked(name_of(known), str(self.folder), result)
        return self._checked(known, result)

    def check_all(self) -> AllFindings:
        """Checks all questions, and counts the words of the written answers in this notebook."""
        result = CHECKER.check(self.folder, [])
        if isinstance(result, str):
            return AllFindings([NotChecked("all", str(self.folder), result)])
        homes, own = handed_out().homes, Path(self._notebook).name if self._notebook else None
        here = self._answers()
        found: list[Finding] = []
        for question in self._rubric.questions:
            if question.auto:
                found.append(self._checked(question, result))
            elif (isinstance(here, dict) and question.id in here) or (own and homes.get(question.id) == own):
                found.append(self._written(question))
        return AllFindings(found)

    def export(
        self,
        nb_path: str | None = None,
        export_path: str | None = None,
        pdf: bool = True,
        display_link: bool = True,
        *,
        partial: bool = False,
        **ignored: Any,
    ) -> None:
        """Packs the modules, the notebooks and the written answers into one zip, as `make submit` does.

        Save the notebook first. Where something is missing, nothing is packed, unless `partial`.

        Args:
            nb_path: another notebook, whose folder is packed.
            export_path: where the zip goes; next to the folder by default.
            pdf: whether to make a PDF of the written answers too, if possible; the HTML is always packed.
            display_link: whether to show a link to the zip.
            partial: pack what there is.
            ignored: further arguments of Otter's own `export`.
        """
        folder = (Path.cwd() / nb_path).parent if nb_path else self.folder
        out = Path(export_path).resolve() if export_path else None
        try:
            packed, lines = submit.submit(folder, out, partial, pdf)
        except (UnusableSubmission, RuntimeError) as error:
            print(error)
            return
        print("\n".join(lines))
        if packed is not None and display_link and get_ipython() is not None:
            display(HTML(_link(packed.path)))

    def to_pdf(self, *args: Any, **keywords: Any) -> None:
        """Otter's PDF of the notebook. The written answers, which are graded by hand, come with `export`."""
        print(
            "grader.export() packs your written answers as a page, and as a PDF where this machine can make one."
        )

    def _known(self, name: str) -> Question | None:
        """The question with a name; "q1_6w_a", "Q1-6w-a" and "1-6w-a" are the same."""
        plain = str(name).strip().lower().removeprefix("q").replace("_", "-")
        return next((q for q in self._rubric.questions if q.id.lower() == plain), None)

    def _checked(self, question: Question, result: Result) -> CheckedQuestion:
        printed = result.printed.get(question.id, "")
        verdicts = result.of(question.id)
        return CheckedQuestion(name_of(question), str(self.folder), question, verdicts, result.notes, printed)

    def _answers(self) -> dict[str, written.Answer] | str:
        """The written answers of the saved notebook, or why it cannot be read, in one line."""
        if self._notebook is None:
            return 'name the notebook: grader = Grader("NAME.ipynb")'
        path = Path(self._notebook)
        try:
            return written.answers_in(path.read_bytes(), path.name, handed_out().prompts)
        except OSError:
            return f"{path.name} is not in {path.parent}; save the notebook there"
        except written.NotebookError as error:
            return str(error)

    def _written(self, question: Question) -> Finding:
        answers = self._answers()
        if isinstance(answers, str):
            return NotChecked(name_of(question), str(self.folder), answers)
        home, own = handed_out().homes.get(question.id), Path(self._notebook or "").name
        if question.id not in answers and home and home != own:
            return NotChecked(
                name_of(question), str(self.folder), f"{question.id} is answered in {home}; check it there."
            )
        return WrittenQuestion(name_of(question), str(self._notebook), question, answers.get(question.id))


def name_of(question: Question) -> str:
    """The question's name in notebooks: "q1_6w_a" for 1-6w-a."""
    return f"q{question.id.replace('-', '_')}"


def _link(path: Path) -> str:
    try:
        target = os.path.relpath(path, Path.cwd())
    except ValueError:  # on another drive
        target = str(path)
    shown = for_html(target.replace(os.sep, "/"))
    return f'<p>Download: <a href="{shown}" download>{for_html(path.name)}</a></p>'
