"""Written answers: found however students edit their cells, counted as a reader would, exported so that nothing in them runs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from autograder.model.rubric import Question
from autograder.submissions import pages, pdf
from autograder.submissions.words import count_words
from autograder.submissions.written import NotebookError, answers_in, fingerprint, given_lines

BEGIN, END, HOLDER = "<!-- BEGIN QUESTION -->", "<!-- END QUESTION -->", "_Write your answer here._"
PROMPT = "## Samples\n\nWhat do samples look like, and why do they look so?\n\n$$\nz \\sim N(0, I)\n$$"
HEAD = f"{BEGIN}\n<!-- question 1-3w -->\n\n{PROMPT}"
PNG = base64.b64encode(b"\x89PNG not really").decode()


def cell(text: str, kind: str = "markdown", **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True), **more}


def notebook(*cells: str | dict[str, Any]) -> bytes:
    made = [cell(c) if isinstance(c, str) else c for c in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


HANDED_OUT = notebook("# Story", HEAD, HOLDER, END, cell("1 + 1", "code", outputs=[]))
GIVEN = given_lines(HANDED_OUT, "vae.ipynb")
EDITS = {
    "in its cell": (HEAD, "They are blurs.", END),
    "in two cells": (HEAD, "They", "are blurs.", END),
    "below the placeholder": (HEAD, f"{HOLDER}\n\nThey are blurs.", END),
    "behind the placeholder": (HEAD, f"{HOLDER} They are blurs.", END),
    "in the prompt's cell": (f"{HEAD}\n\nThey are blurs.", HOLDER, END),
    "behind the prompt's last words": (HEAD.replace("so?", "so? They are blurs."), HOLDER, END),
    "above the last mark": (HEAD, HOLDER, f"They are blurs.\n\n{END}"),
    "in one merged cell": (f"{HEAD}\n\n{HOLDER}\n\nThey are blurs.\n\n{END}",),
    "with the prompt split": (
        f"{BEGIN}\n<!-- question 1-3w -->\n\n## Samples",
        PROMPT.removeprefix("## Samples"),
        "They are blurs.",
        END,
    ),
    "without the prompt": (f"{BEGIN}\n<!-- question 1-3w -->", "They are blurs.", END),
    "around code": (HEAD, "They", cell("plot()", "code", outputs=[]), "are blurs.", END),
    "in a raw cell": (HEAD, cell("They are blurs.", "raw"), END),
    "with small marks": (HEAD.replace("BEGIN QUESTION", "begin question"), "They are blurs.", END.lower()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_answer_is_found_wherever_it_is_written(edit: str) -> None:
    data = notebook("# Story", *EDITS[edit], "And so on, with many more words.")
    answer = answers_in(data, "vae.ipynb", GIVEN)["1-3w"]
    assert answer.words == 3, answer
    assert answer.remarks(150) == []


@pytest.mark.parametrize("edit", ["in its cell", "in two cells", "below the placeholder", "in a raw cell"])
def test_most_answers_are_found_without_the_notebook_that_was_handed_out(edit: str) -> None:
    assert answers_in(notebook(*EDITS[edit]), "vae.ipynb", {})["1-3w"].words == 3


def test_an_answer_may_contain_lines_like_those_of_the_prompt() -> None:
    """A formula in the answer is kept although the prompt has one too."""
    data = notebook(HEAD, "Because\n\n$$\nx = 1\n$$\n\nit is so.", END)
    (part,) = answers_in(data, "vae.ipynb", GIVEN)["1-3w"].parts
    assert part.text == "Because\n\n$$\nx = 1\n$$\n\nit is so."


def test_problems_are_reported_with_a_way_to_fix_them() -> None:
    def remarks(*cells: str | dict[str, Any], limit: int = 150) -> str:
        return "\n".join(answers_in(notebook(*cells), "vae.ipynb", GIVEN)["1-3w"].remarks(limit))

    assert remarks(HEAD, HOLDER, END) == "1-3w: there is no answer yet"
    assert remarks(HEAD, END) == "1-3w: there is no answer yet"
    assert "text in a code cell does not count" in remarks(HEAD, cell("They are", "code", outputs=[]), END)
    assert remarks(HEAD, "a b c d", END, limit=3) == "1-3w: 4 words, 1 more than the 3 allowed; shorten it"
    assert remarks(HEAD, "a b c", END, limit=3) == ""
    assert "END QUESTION --> after it is missing" in remarks(HEAD, "They are.")
    twice = remarks(HEAD, "They are", END, HEAD, "blurs.", END)
    assert twice == "1-3w: its marks are in the notebook twice; both answers are exported"


def test_a_question_without_its_end_ends_where_the_next_begins() -> None:
    other = HEAD.replace("1-3w", "1-7w")
    found = answers_in(notebook(HEAD, "one two", other, "three", END), "vae.ipynb", GIVEN)
    assert (found["1-3w"].words, list(found)) == (2, ["1-3w", "1-7w"])


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"cells": 3}', b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_a_file_that_is_not_a_notebook_is_reported_in_one_line(data: bytes) -> None:
    with pytest.raises(NotebookError, match=r"^vae\.ipynb is not a notebook[^\n]*save it again$"):
        answers_in(data, "vae.ipynb", {})


def test_an_empty_file_says_where_the_notebook_may_be() -> None:
    with pytest.raises(NotebookError, match=r"^vae\.ipynb is empty: take it from \.ipynb_checkpoints/"):
        answers_in(b" \n", "vae.ipynb", {})


def test_malformed_cells_are_ignored() -> None:
    data = notebook(HEAD, "They are.", END)
    table = json.loads(data)
    table["cells"] += [
        3,
        {},
        {"cell_type": "code"},
        {"cell_type": "markdown", "source": 4, "attachments": []},
    ]
    assert answers_in(json.dumps(table).encode(), "x.ipynb", GIVEN)["1-3w"].words == 2


def test_running_and_saving_a_notebook_leaves_it_untouched() -> None:
    table = json.loads(HANDED_OUT)
    table["cells"][-1]["outputs"] = [{"output_type": "stream", "text": "2"}]
    table["cells"].append(cell("", "code", outputs=[]))
    table["metadata"] = {"kernelspec": {"name": "mine"}}
    assert fingerprint(json.dumps(table, indent=4).encode(), "x") == fingerprint(HANDED_OUT, "x")
    table["cells"][2]["source"] = ["They are blurs."]
    assert fingerprint(json.dumps(table).encode(), "x") != fingerprint(HANDED_OUT, "x")


WORDS = {
    "": 0,
    "two words": 2,
    "## A *heading*, **bold**\n\n- one\n- two\n\n1. three": 6,
    "a state-of-the-art VAE (2014)": 4,
    "either \u2014 or\u2014both -- and": 4,
    "$\\beta$-VAE has $$\n\\int p(x)\\,dx = 1\n$$ of it": 5,
    "\\begin{align}\na &= b\\\\\nc &= d\n\\end{align} holds": 2,
    "\\(x\\) and \\[y + z\\]": 3,
    "it costs $5 and $6 more": 6,
    "<!-- not this -->but <b>this</b>": 2,
    "see [the paper](https://example.org/a-b) ![a figure](attachment:a.png)": 3,
    "| a | b |\n|---|---|\n| 1 | 2 |": 4,
    "&": 0,
    "\u6f5c\u5728\u7a7a\u9593 is latent": 6,
    "na\u00efve caf\u00e9": 2,
}


@pytest.mark.parametrize("text", WORDS)
def test_words_are_counted_as_a_reader_would(text: str) -> None:
    assert count_words(text) == WORDS[text]


# --- The page --------------------------------------------------------------------------------------------

QUESTION = Question("1-3w", "Samples <of> the AE", 2, "written", words=5)


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def page_of(*cells: str | dict[str, Any], folder: Path = Path("nowhere")) -> str:
    answer = answers_in(notebook(HEAD, *cells, END), "vae.ipynb", GIVEN)["1-3w"]
    return pages.page([pages.Written(QUESTION, answer, folder)])


def test_the_page_shows_markdown_formulas_and_remarks() -> None:
    shown = page_of("The *samples* are **blurs** of $a_1 b_2$, `x < 1`.\n\n| a | b |\n|--|--|\n| 1 | 2 |")
    assert "<em>samples</em> are <strong>blurs</strong>" in shown
    assert '<code class="formula">$a_1 b_2$</code>' in shown
    assert "<code>x &lt; 1</code>" in shown
    assert "<td>2</td>" in shown
    assert "more than the 5 allowed" in shown
    assert "Samples &lt;of&gt; the AE" in shown
    assert PROMPT.splitlines()[2] not in shown


def test_nothing_in_an_answer_runs_or_loads() -> None:
    attack = """<script>alert(1)</script> <img src=x onerror=alert(1)> <img src="https://spy.example/a.png" onerror='x'>

<iframe src="javascript:alert(1)"></iframe> [click](javascript:alert(1)) ![x](javascript:alert(1))
![x](https://spy.example/b.png) <style>body{display:none}</style> $<script>x</script>$ `</code><b onclick=x>`

</section></body><svg/onload=alert(1)> [a](data:text/html;base64,PHNjcmlwdD4=) \ue0000\ue001 \ue00099\ue001
"""
    html_output = {
        "output_type": "display_data",
        "data": {"text/html": "<script>alert(2)</script>", "text/plain": "<t>"},
    }
    bad_image = {
        "output_type": "display_data",
        "data": {"image/png": '"><script>alert(3)</script>', "text/plain": "u"},
    }
    error = {"output_type": "error", "ename": "E", "evalue": "\x1b[31m<script>\x1b[0m", "traceback": []}
    outputs = [html_output, bad_image, error]
    shown = page_of(attack, cell("print('</code><script>')", "code", outputs=outputs))
    seen = Tags(shown).seen
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "section",
        "p",
        "pre",
        "code",
        "em",
        "strong",
        "a",
        "img",
    }
    assert {tag for tag, _ in seen} <= allowed
    assert sum(tag == "style" for tag, _ in seen) == 1
    for _, attributes in seen:
        assert not any(name.startswith("on") for name in attributes)
        assert not (attributes.get("href") or "").lower().startswith(("javascript", "data"))
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    assert "\x1b" not in shown
    assert "image that is not in the notebook: https://spy.example/b.png" in shown
    assert "default-src 'none'" in shown


def test_images_that_belong_to_an_answer_are_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "beside.png").write_bytes(b"pixels")
    (tmp_path.parent / "outside.png").write_bytes(b"secret")
    attached = cell("![a](attachment:a%20b.png)", attachments={"a b.png": {"image/png": PNG}})
    plot = {
        "output_type": "display_data",
        "data": {"image/png": [PNG[:4], PNG[4:] + "\n"], "text/plain": "<Figure>"},
    }
    drawn = {"output_type": "execute_result", "data": {"image/svg+xml": ["<svg xmlns='x'>", "</svg>"]}}
    shown = page_of(
        attached,
        '![b](beside.png) <img src="beside.png" width=3> ![c](../outside.png) ![d](/etc/x.png)',
        cell(
            "plot()", "code", outputs=[plot, drawn, {"output_type": "stream", "text": ["printed ", "text"]}]
        ),
        folder=tmp_path,
    )
    sources = [str(attributes["src"]) for tag, attributes in Tags(shown).seen if tag == "img"]
    beside = f"data:image/png;base64,{base64.b64encode(b'pixels').decode()}"
    kinds = [source.partition(";")[0] for source in sources]
    assert sources[:4] == [f"data:image/png;base64,{PNG}", beside, beside, f"data:image/png;base64,{PNG}"]
    assert kinds[4:] == ["data:image/svg+xml"]
    assert base64.b64encode(b"secret").decode() not in shown
    assert "printed text" in shown and "&lt;Figure&gt;" not in shown


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among its files")
def test_a_link_or_a_pipe_in_place_of_an_image_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(b"secret")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "pipe.png")
    shown = page_of("![a](link.png) ![b](pipe.png)", folder=folder)
    assert shown.count("image that is not in the notebook") == 2


def test_an_image_that_is_shown_without_end_does_not_fill_the_page(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(9 << 20))
    plot = {"output_type": "display_data", "data": {"image/png": PNG}}
    began = time.process_time()
    shown = page_of("![x](large.png) " * 3000, cell("plot()", "code", outputs=[plot]), folder=tmp_path)
    assert time.process_time() - began < 10
    assert len(shown) < 60 << 20
    assert shown.count("<img") == 4, "images of 12 MiB each, and 50 MiB in all"
    assert shown.count(pages.TOO_LARGE) == 3000 - 4 + 1


def test_a_text_that_takes_long_to_render_is_shown_as_it_was_typed() -> None:
    began = time.process_time()
    shown = page_of("A *short* cell.", "[" * 2_000_000 + "\n\nthe *end*")
    assert time.process_time() - began < 10
    assert "A <em>short</em> cell." in shown
    assert "[a long text, shown as it was typed]" in shown
    assert "the *end*</pre>" in shown


def test_a_missing_question_is_reported() -> None:
    assert "not in the notebooks" in pages.page([pages.Written(QUESTION, None, Path("nowhere"))])


def test_a_page_becomes_a_pdf_or_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made, reason = pdf.pdf_of("<p>hello</p>")
    assert (made is None) == bool(reason)
    assert made is None or made.startswith(b"%PDF")
    assert "\n" not in reason and "Traceback" not in reason
    # With a stand-in for Pandoc that writes its date.
    for name in ("pandoc", "xelatex"):
        tool = tmp_path / name
        made_at = "%PDF /CreationDate (D:20240607080910Z)"
        choice = f"case $a in --output=*) echo '{made_at}' > ${{a#--output=}};; esac"
        tool.write_text(f"#!/bin/sh\nfor a; do\n{choice}\ndone\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(pdf, "BROWSERS", ())
    monkeypatch.setattr(pdf, "PROGRAMS", ())
    page, target = tmp_path / "a.html", tmp_path / "a.pdf"
    page.write_text("<p>")
    assert pdf.main(page, target) == 0
    assert target.read_bytes() == b"%PDF /CreationDate (D:20240607080910Z)\n"


def test_a_pdf_does_not_contain_the_time_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_bytes(b"%PDF /CreationDate (D:20240607080910Z)")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert pdf.pdf_of("<p>hello</p>") == (b"%PDF /CreationDate (D:20000101000000Z)", "")
