"""Self-contained pages: one file each, which needs no network.

Two safeguards keep student text from having any effect: Jinja escapes every value (and shows invisible characters as question
marks), and the page's content security policy allows only our own script, by its hash, and no loading of anything.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from autograder.model.verdicts import tidy
from autograder.reports.views import MOST_NAME, cut
from autograder.support.markup import visible

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(template: str, script: str = "", style: str = "", images: bool = False, **values: Any) -> str:
    """A page. script, style: files of ours that go into it, the latter after `style.css`. images: whether it may embed any."""
    css = _own("style.css") + (_own(style) if style else Markup(""))
    code = _own(script) if script else Markup("")
    policy = f"default-src 'none'; style-src '{_hash(css)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_hash(code)}'"
    if images:
        policy += "; img-src data:"
    return _environment().get_template(template).render(style=css, script=code, policy=policy, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=lambda value: f"{tidy(value):g}",
        in_points=lambda value: f"{tidy(value):g} point{'' if value == 1 else 's'}",
        one=lambda value: f"{value:.1f}",
        percent=lambda share: f"{share:.0%}",
        signed=_signed,
        short=lambda text: cut(text, MOST_NAME),
    )
    return environment


def _shown(value: object) -> object:
    """Applied to every value that a template prints, before it is escaped; our own markup is left unchanged."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(cut(value))


def _signed(value: float | None) -> str:
    """0.43, or -0.10 with a real minus sign; a dash for None."""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


@cache
def _own(name: str) -> Markup:
    """One of our own files, which goes into the page unchanged."""
    return Markup("\n" + (TEMPLATES / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """How a Content-Security-Policy names the one script or style that it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
