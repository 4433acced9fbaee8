"""The written answers as one self-contained page of HTML, for grading by hand; nothing in it runs.

Markdown is rendered, raw HTML is shown as text, formulas stay LaTeX, images are embedded.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from autograder.model.rubric import Question
from autograder.submissions.files import file_in
from autograder.submissions.words import replace_formulas, without_comments
from autograder.submissions.written import Answer, Part, text_of
from autograder.support.markup import for_html

IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
MAX_IMAGE = 10 << 20  # bytes of one image
MAX_IMAGES = 50 << 20  # characters of an answer's images; one image may be shown often
MAX_MARKDOWN = 50_000  # characters of an answer that are rendered: hostile text takes more than linear time
MAX_TEXT = 20_000  # characters of one output
TOO_LARGE = "[image left out: the images of this answer are too large; see the notebook]"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Written answers</title>
<style>
body {{ font: 16px/1.5 Georgia, serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #111; background: #fff }}
h1, h2, p.about {{ font-family: Helvetica, Arial, sans-serif }}
section {{ border-top: 2px solid #444; margin-top: 2rem; break-inside: auto }}
p.about {{ color: #444 }}
p.remark {{ border-left: 4px solid #a40; padding-left: .6rem }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: .6rem; font-size: 85% }}
img {{ max-width: 100% }}
table {{ border-collapse: collapse }}
td, th {{ border: 1px solid #999; padding: .2rem .5rem }}
code.formula {{ background: none; color: #036; overflow-wrap: anywhere }}
</style>
</head>
<body>
<h1>Written answers</h1>
<p class="about">Formulas are shown as LaTeX source.</p>
{sections}
</body>
</html>
"""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_IMG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
_SOURCE = re.compile(r"""\bsrc=["']([^"'<>\s]+)["']""", re.IGNORECASE)
_HELD = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class Written:
    """A written question, its answer (None if its marks are missing), and the folder that may hold its images."""

    question: Question
    answer: Answer | None
    folder: Path


def page(written: Iterable[Written]) -> str:
    """All written answers as one HTML page, in the order given."""
    return PAGE.format(sections="\n".join(_section(item) for item in written))


def _section(item: Written) -> str:
    question, answer = item.question, item.answer
    limit = f" of at most {question.words}" if question.words else ""
    about = f"{answer.words}{limit} words" if answer else "not in the notebooks"
    made = [
        f'<section id="{for_html(question.id)}">',
        f"<h2>{for_html(question.id)} &middot; {for_html(question.title)}</h2>",
        f'<p class="about">{question.points:g} points &middot; {about}</p>',
    ]
    remarks = answer.remarks(question.words) if answer else []
    made += [f'<p class="remark">{for_html(remark)}</p>' for remark in remarks]
    if answer:
        made.append(answer_html(answer, item.folder))
    return "\n".join([*made, "</section>"])


def answer_html(answer: Answer, folder: Path) -> str:
    """An answer as HTML in which nothing runs and nothing is loaded. folder: where its images may be."""
    made, left, room = [], MAX_MARKDOWN, _Room()
    for part in answer.parts:
        if part.kind == "code":
            made.append(_code(part, room))
        elif len(part.text) > left:
            made.append(f"<p>[a long text, shown as it was typed]</p>\n<pre>{for_html(part.text)}</pre>")
        else:
            left -= len(part.text)
            made.append(_markdown(part, folder, room))
    return "\n".join(made)


@dataclass
class _Room:
    """How many characters of images an answer may still show."""

    left: int = MAX_IMAGES

    def take(self, image: str | None) -> str | None:
        """The image, if there is room for it; none that comes after one that was too large."""
        if image is None:
            return None
        self.left = max(0, self.left - len(image))
        return image if self.left else None


def _markdown_image(tag: re.Match[str]) -> str:
    """An image's tag as Markdown; a tag without a source stays."""
    source = _SOURCE.search(tag[0])
    return f"![](<{source[1]}>)" if source else tag[0]


def _markdown(part: Part, folder: Path, room: _Room) -> str:
    """A Markdown text as HTML. Formulas are set aside while Markdown is parsed: their stars and underscores are not markup."""
    held: list[str] = []

    def hold(formula: str) -> str:
        held.append(formula)
        return f"\ue000{len(held) - 1}\ue001"

    text = without_comments(part.text.replace("\ue000", "?").replace("\ue001", "?"))
    text = replace_formulas(_IMG.sub(_markdown_image, text), hold)
    # Raw HTML is off: a tag is shown as typed. Links cannot run anything: markdown-it refuses such URLs.
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    images = _Images(part.attachments, folder, room)

    def show(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return images.show(tokens[index])

    reader.add_render_rule("image", show)
    made = str(reader.render(text))

    def give_back(found: re.Match[str]) -> str:
        number = int(found[1])
        return f'<code class="formula">{for_html(held[number])}</code>' if number < len(held) else "?"

    return _HELD.sub(give_back, made)


class _Images:
    """Renders a Markdown image: embedded if it is attached to the cell or next to the notebook, else replaced by its name."""

    def __init__(self, attachments: Mapping[str, Mapping[str, str]], folder: Path, room: _Room) -> None:
        self._attachments, self._folder, self._room = attachments, folder, room

    def show(self, token: Token) -> str:
        source = str(token.attrs.get("src", ""))
        image = None
        if self._room.left:
            image = self._attached(source) if source.startswith("attachment:") else self._beside(source)
        found = self._room.take(image)
        text = for_html(_HELD.sub("", token.content))
        if not self._room.left:
            return TOO_LARGE
        if found is None:
            return f"[image that is not in the notebook: {for_html(source[:200])}]"
        return f'<img alt="{text}" src="{found}">'

    def _attached(self, source: str) -> str | None:
        bundle = self._attachments.get(unquote(source.removeprefix("attachment:")))
        return _from_bundle(bundle) if isinstance(bundle, dict) else None

    def _beside(self, source: str) -> str | None:
        if source.startswith("data:image/"):
            kind, _, data = source.removeprefix("data:").partition(";base64,")
            return _embedded(kind, data)
        relative = PurePosixPath(unquote(source))
        kind = IMAGES.get(relative.suffix.lower(), "")
        if not kind or relative.is_absolute() or ".." in relative.parts or ":" in source:
            return None
        try:
            if not (self._folder / relative).resolve().is_relative_to(self._folder.resolve()):
                return None
            image = file_in(self._folder, relative).read(MAX_IMAGE + 1)
            return _embedded(kind, base64.b64encode(image).decode()) if len(image) <= MAX_IMAGE else None
        except (OSError, ValueError):
            return None


def _from_bundle(bundle: Mapping[str, Any]) -> str | None:
    """The first image of a bundle of MIME types, as a data URL."""
    for kind in dict.fromkeys(IMAGES.values()):
        if data := text_of(bundle.get(kind)):
            if kind == "image/svg+xml" and "<svg" in data:  # outputs store it as text
                data = base64.b64encode(data.encode("utf-8", "replace")).decode()
            if found := _embedded(kind, data):
                return found
    return None


def _embedded(kind: str, data: str) -> str | None:
    """A data URL of base64 text; None if it is not base64, too large, or not of an image type."""
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if kind not in IMAGES.values() or not content or len(content) > MAX_IMAGE:
        return None
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _code(part: Part, room: _Room) -> str:
    made = [f"<pre><code>{for_html(part.text[:MAX_TEXT])}</code></pre>"]
    for output in part.outputs:
        data = output.get("data")
        if isinstance(data, dict) and (image := _from_bundle(data)):
            shown = room.take(image)
            made.append(f'<p><img alt="output" src="{shown}"></p>' if shown else f"<p>{TOO_LARGE}</p>")
            continue
        if output.get("output_type") == "error":
            text = text_of(output.get("evalue")) or text_of(output.get("ename"))
        else:
            text = text_of(output.get("text")) or (
                text_of(data.get("text/plain")) if isinstance(data, dict) else ""
            )
        if text.strip():
            made.append(f"<pre>{for_html(_ANSI.sub('', text)[:MAX_TEXT])}</pre>")
    return "\n".join(made)
