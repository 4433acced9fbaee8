"""Hostile text in a page is shown as text."""

from __future__ import annotations

import io
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from autograder.model.assignment import assignment
from autograder.model.feedback import Feedback
from autograder.model.verdicts import Result, Verdict
from autograder.reports.terminal import print_check
from autograder.support.markup import for_html, for_markdown

PIECES = [
    "`",
    "```",
    "~~~",
    "\n",
    "<script>alert(1)</script>",
    "&lt;",
    "](javascript:x)",
    "\x1b[2J",
    "\u202e",
    '" onload="x',
    "a",
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join)


class Reader(HTMLParser):
    """Collects the text that a browser would show and the tags that it would see."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def visible(text: str) -> str:
    spaces = {chr(c): " " for c in (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)}
    shown = {"\n": "\n", "\t": "\t", "\u200c": "\u200c", "\u200d": "\u200d", **spaces}
    return "".join(shown.get(c, c if c.isprintable() else "?") for c in text.replace("\r\n", "\n"))


@given(HOSTILE)
def test_html_shows_hostile_text_and_takes_no_tag_from_it(text: str) -> None:
    reader = Reader()
    reader.feed(f'<p title="{for_html(text)}">{for_html(text)}</p>')
    reader.close()
    assert (reader.text, reader.tags) == (visible(text), ["p"])


@given(HOSTILE)
def test_markdown_keeps_hostile_text_in_one_block(text: str) -> None:
    tokens = MarkdownIt().parse(f"Before\n\n{for_markdown(text)}\nAfter\n")
    assert [t.type for t in tokens if t.nesting >= 0 and t.level == 0] == [
        "paragraph_open",
        "fence",
        "paragraph_open",
    ]
    (block,) = [t for t in tokens if t.type == "fence"]
    assert block.content == visible(text) + "\n"


def test_the_terminal_shows_markup_as_text() -> None:
    feedback = Feedback(seen="[bold red]full marks[/bold red] [/] [link=file:///etc]x[/link]")
    verdict = Verdict("1-1:x", "1-1", "[blink]title[/blink]", "public", "failed", 0, 1, feedback)
    result = Result("[/] [red]ana", "0", "process", 1.0, (verdict,), (("1-1", 1),), notes=("[/nothing]",))
    console = Console(
        record=True, width=200, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    print_check(console, result, assignment().rubric)
    shown = console.export_text()
    for words in (feedback.text(), "[blink]title[/blink]", "[/] [red]ana", "[/nothing]"):
        assert words in shown
