"""The notebooks of the release in JupyterLab, in a real browser: `make lab`.

Unzips the release, puts the solved modules into it, starts JupyterLab and opens both notebooks in Chromium as a student
would: runs all cells in quick mode, looks for figures and for the outputs of `grader.check`, then edits a module in JupyterLab's
editor and checks the question again. Pictures of what the browser shows go into a folder. Needs Chromium and JupyterLab.

    python -m tests.experiments.lab [--keep DIR]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autograder.build import release

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"GENERATIVE_QUICK": "1", "GENERATIVE_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
SETTINGS = {
    # Every cell is in the page, also those out of sight; otherwise JupyterLab makes only those in sight.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false"},
}
MINUTES = 6
MODIFIER = "Meta" if sys.platform == "darwin" else "Control"
# Of each notebook: a question, the module that holds it, a line at the module's end that undoes it, and what is shown then.
EDITS = {
    "vae.ipynb": ("q1_7", "vae.py", "INTERPOLATIONS = None", "INTERPOLATIONS"),
    "gan.ipynb": ("q2_3", "gan.py", "SpectralNormDiscriminator = Discriminator", "spectral normali"),
}


class Wrong(Exception):
    """What the browser shows is not what a student should see."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.experiments.lab", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", default=Path("lab"), help="for the pictures")
    parser.add_argument("--only", choices=EDITS, help="this notebook alone")
    options = parser.parse_args()
    pictures = options.keep
    if importlib.util.find_spec("jupyterlab") is None:
        raise SystemExit(
            'JupyterLab is not installed: .venv/bin/python -m pip install -c constraints.txt -e ".[jupyter]"'
        )
    from playwright import sync_api

    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as folder:
        tree = unzipped(Path(folder))
        with jupyterlab(tree, Path(folder)) as address, browser() as page:
            try:
                for name in [options.only] if options.only else EDITS:
                    began = time.monotonic()
                    try_notebook(page, address, name, pictures)
                    print(f"{name}: as it must be, {time.monotonic() - began:.0f} s")
            except (Wrong, sync_api.TimeoutError) as problem:
                page.screenshot(path=str(pictures / "wrong.png"))
                print(f"{name}: {problem} (see {pictures / 'wrong.png'})")
                return 1
    return 0


def unzipped(folder: Path) -> Path:
    """The release with the modules solved."""
    made = release.make(folder / "dist")
    zipfile.ZipFile(made.archive).extractall(folder)
    tree = folder / made.tree.name
    for module in ("autoencoder.py", "vae.py", "cvae.py", "gan.py"):
        shutil.copyfile(ROOT / "solutions" / module, tree / "assignment" / module)
    return tree


@contextmanager
def jupyterlab(tree: Path, folder: Path) -> Iterator[str]:
    """JupyterLab, started in the release's folder; yields the address of a notebook, with {} for its name."""
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(settings))
    environment = {
        **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        **QUICK,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    options = [
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--LabApp.news_url=None",
    ]
    with (folder / "jupyterlab.log").open("w") as log:
        lab = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, "."],
            cwd=tree,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            for file in (folder / "runtime").glob("jpserver-*.json"):
                found = json.loads(file.read_text())
                yield f"{found['url']}lab/tree/assignment/{{}}?reset&token={found['token']}"
                return
            if lab.poll() is not None:
                break
            time.sleep(0.2)
        raise SystemExit("JupyterLab did not start:\n" + (folder / "jupyterlab.log").read_text())
    finally:
        lab.terminate()
        try:
            lab.wait(20)
        except subprocess.TimeoutExpired:
            lab.kill()


@contextmanager
def browser() -> Iterator[Any]:
    """A page of Chromium."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("Chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium.new_page(viewport={"width": 1280, "height": 1400})
        chromium.close()


def try_notebook(page: Any, address: str, name: str, pictures: Path) -> None:
    """Runs a notebook whole, edits a module, checks its question again; raises Wrong."""
    page.goto(address.format(name))
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # the kernel, in the status bar
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until_idle(page)
    look(page, name)
    for number, cell in enumerate(page.locator(".jp-CodeCell:has(.jp-OutputArea-output)").all()):
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=str(pictures / f"{name.removesuffix('.ipynb')}-{number:02}.png"))
    question, module, line, word = EDITS[name]
    before = checked(page, question)
    edit(page, module, line)
    broken = checked(page, question)
    edit(page, module, None)
    after = checked(page, question)
    page.screenshot(path=str(pictures / f"{name.removesuffix('.ipynb')}-edited.png"))
    if " passed" not in before or before != after:
        raise Wrong(f"{question} showed {before!r}, and after an edit that was undone {after!r}")
    if word not in broken:
        raise Wrong(f"{question} showed {broken!r} when {module} was edited")


def wait_until_idle(page: Any) -> None:
    """Waits until no cell runs or waits to be run."""
    page.wait_for_timeout(500)
    page.wait_for_function(
        "() => ![...document.querySelectorAll('.jp-Notebook .jp-InputPrompt')].some(p => p.textContent.includes('*'))",
        timeout=MINUTES * 60_000,
    )


def look(page: Any, name: str) -> None:
    """Raises Wrong unless every cell ran, without an error, with figures and the grader's outputs."""
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
    if errors.count():
        raise Wrong(f"a cell stops with {errors.first.inner_text()[-300:]!r}")
    left = page.locator(".jp-CodeCell .jp-InputPrompt:text-is('[ ]:')").count()
    if left:
        raise Wrong(f"{left} cells did not run")
    figures = page.locator(".jp-OutputArea-output img")
    broken = figures.evaluate_all("all => all.filter(i => !i.complete || i.naturalWidth < 100).length")
    silent = figures.evaluate_all("all => all.filter(i => !i.alt || i.alt.length < 20).length")
    if figures.count() < 8 or broken or silent:
        raise Wrong(f"{figures.count()} figures; {broken} not drawn, {silent} without a description")
    calls = page.locator(".jp-CodeCell:has-text('grader.check(')")
    for cell in calls.all():
        if not cell.locator(".jp-RenderedHTMLCommon strong").count():
            raise Wrong(f"no result is shown for {cell.inner_text()!r}")


def checked(page: Any, question: str) -> str:
    """What `grader.check` of a question shows when its cell is run again."""
    page.locator(".lm-TabBar-tab", has_text=".ipynb").first.click()
    cell = page.locator(f".jp-CodeCell:has-text('grader.check(\"{question}\")')").first
    cell.locator(".cm-content").click()
    page.keyboard.press(f"{MODIFIER}+Enter")
    wait_until_idle(page)
    return str(cell.locator(".jp-OutputArea-output").first.inner_text())


def edit(page: Any, module: str, line: str | None) -> None:
    """Adds a line at the end of a module in JupyterLab's editor and saves it; None: takes it away again."""
    exactly = re.compile(rf"^\s*{re.escape(module)}\s*$")  # not cvae.py for vae.py
    tab = page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=exactly)
    if tab.count():
        tab.first.click()
    else:
        page.locator(".jp-DirListing-itemName", has_text=exactly).dblclick()
    editor = page.locator(".jp-FileEditor:visible .cm-content")
    editor.click()
    page.keyboard.press(f"{MODIFIER}+End")
    if line is not None:
        page.keyboard.insert_text(f"\n{line}\n")
    else:
        for _ in range(2):
            page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("Delete")
    page.keyboard.press(f"{MODIFIER}+s")
    page.wait_for_timeout(700)


if __name__ == "__main__":
    sys.exit(main())
