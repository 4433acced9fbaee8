"""A page of HTML as a PDF, with the tools of this machine: a browser through Playwright, or Pandoc with XeLaTeX.

    python -m autograder.submissions.pdf page.html page.pdf

prints nothing and exits with status 0 if the file is made; else it prints the reason in one line.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS = 90
BROWSERS = ("", "chrome", "msedge")  # Playwright's own, or one installed in its usual place
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge")  # browsers on PATH
_DATE = re.compile(rb"(/(?:CreationDate|ModDate)\s*\(D:)\d{14}")


def pdf_of(html: str) -> tuple[bytes | None, str]:
    """The page as a PDF and "", or None and the reason in a few words. Never raises because a tool is missing.

    Runs in its own process: a notebook's event loop cannot contain a second one, and a browser that hangs must be killed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source, target = Path(folder, "written.html"), Path(folder, "written.pdf")
        source.write_text(html, encoding="utf-8")
        command = [sys.executable, "-m", "autograder.submissions.pdf", str(source), str(target)]
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONUTF8": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None, f"it was not made within {SECONDS} s"
        except OSError as error:
            return None, str(error.strerror)
        if done.returncode == 0 and target.is_file():
            # The same answers give the same file: the time of its creation is removed.
            return _DATE.sub(rb"\g<1>20000101000000", target.read_bytes()), ""
        return None, (done.stdout.strip().splitlines() or ["the PDF process ended without a message"])[-1]


def _with_browser(source: Path, target: Path) -> bool:
    """Prints with Chromium, Chrome or Edge; scripts and the network are off."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return False
    ways: list[dict[str, Any]] = [{"channel": name} if name else {} for name in BROWSERS]
    for path in filter(None, map(shutil.which, PROGRAMS)):
        ways.append({"executable_path": path})
        if sys.platform == "linux":  # as root, and in many containers, it starts only without its own sandbox
            ways.append({"executable_path": path, "args": ["--no-sandbox"]})
    with sync_playwright() as playwright:
        for way in ways:
            with contextlib.suppress(Exception):
                browser = playwright.chromium.launch(**way)
                context = browser.new_context(java_script_enabled=False, offline=True)
                sheet = context.new_page()
                sheet.set_content(source.read_text(encoding="utf-8"))
                sheet.pdf(
                    path=target,
                    format="A4",
                    margin={"top": "15mm", "bottom": "15mm", "left": "15mm", "right": "15mm"},
                )
                browser.close()
                return target.is_file()
    return False


def _with_latex(source: Path, target: Path) -> bool:
    if not (shutil.which("pandoc") and shutil.which("xelatex")):
        return False
    command = [
        "pandoc",
        "--from=html",
        "--pdf-engine=xelatex",
        "-Vgeometry:margin=2cm",
        f"--output={target}",
        str(source),
    ]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS - 20)
    return target.is_file()


def main(source: Path, target: Path) -> int:
    for maker in (_with_browser, _with_latex):
        with contextlib.suppress(Exception):
            if maker(source, target):
                return 0
    print("this needs Playwright with Chromium, Chrome or Edge, or Pandoc with XeLaTeX")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
