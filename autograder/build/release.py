"""Make the release: the tree that students get, and its zip.

    python -m autograder release [--out DIR]      DIR/generative-models/ and DIR/generative-models.zip

What goes in is named here, file by file: a new file stays at home until somebody names it. What was named must be there.
The stubs and notebooks are made from `solutions/` afresh, and nothing is written that `leaks` objects to.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.archive import zipped
from autograder.build import leaks
from autograder.build.stubs import stub_files
from autograder.handed_out import describe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "generative-models"
TEMPLATES = Path(__file__).resolve().parent / "templates"

# Files that are copied as they are, by folder.
COPIED = {
    ".": "LICENSE constraints.txt",
    "autograder": "__init__.py __main__.py archive.py batch.py cli.py examinee.py grading.py handed_out.py intake.py "
    "interrupts.py rubric.py rubric.toml submit.py verdicts.py",
    "autograder/checks": "__init__.py",
    "autograder/checks/public": "__init__.py gan_search.py gan_steps.py given.py small_gan.py telling.py test_autoencoder.py "
    "test_cvae.py test_devices.py test_gan.py test_gan_reconstruct.py test_gan_spectral.py test_gan_training.py test_vae.py",
    "autograder/judging": "__init__.py check.py draw.py faults.py observation.py properties.py statistics.py",
    "autograder/notebook": "__init__.py grader.py pages.py pdf.py results.py words.py written.py",
    "autograder/probes": "__init__.py autoencoder.py cvae.py gan.py gan_reconstruct.py gan_spectral.py gan_training.py kit.py "
    "posing.py training.py vae.py variational.py",
    "autograder/probes/stand_ins": "__init__.py autoencoder.py gan.py models.py vae.py",
    "autograder/reports": "__init__.py files.py markup.py terminal.py",
    "autograder/sandbox": "__init__.py box.py child.py groups.py jail.py launch.py linux.py spawned.py syscalls.py wire.py "
    "zygote.py",
}
# Files of assignment/, which come from solutions/. The notebooks are there once solutions/notebooks/ is.
ASSIGNMENT = "README.md autoencoder.py vae.py cvae.py gan.py data.py figures.py"
NOTEBOOKS = "vae.ipynb gan.ipynb"
# Templates, and the names they get.
WRITTEN = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "pyproject.in": "pyproject.toml",
    "gitignore": ".gitignore",
}


class ReleaseError(Exception):
    """The release cannot be made; the text has a line for each reason."""


@dataclass(frozen=True)
class Release:
    """Where the tree and the zip are, and how many files they hold."""

    tree: Path
    archive: Path
    count: int


def files_of(root: Path) -> dict[str, bytes]:
    """All files of the release made from the repository at `root`, by path, with line ends as on Unix.

    Raises:
        ReleaseError: a file that is named here is not there.
    """
    found: dict[str, bytes] = {}
    missing: list[str] = []

    def take(name: str, source: Path) -> None:
        if source.is_file():
            found[name] = source.read_bytes()
        else:
            missing.append(f"{source.relative_to(root).as_posix()}: named for the release, but not there")

    for folder, names in COPIED.items():
        for name in names.split():
            path = (Path(folder) / name).as_posix()
            take(path, root / path)
    for template, name in WRITTEN.items():
        take(name, root / "autograder" / "build" / "templates" / template)
    stubs = stub_files(root / "solutions")
    wanted = ASSIGNMENT.split() + (NOTEBOOKS.split() if (root / "solutions" / "notebooks").is_dir() else [])
    missing += [
        f"assignment/{name}: named for the release, but solutions/ gives none"
        for name in wanted
        if name not in stubs
    ]
    if missing:
        raise ReleaseError("\n".join(missing))
    given = {name: stubs[name].replace(b"\r\n", b"\n") for name in wanted}
    found.update({f"assignment/{name}": data for name, data in given.items()})
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found["pyproject.toml"] = _filled(found["pyproject.toml"].decode(), project).encode()
    found["autograder/handed_out.json"] = describe(given).to_json().encode()
    return {name: found[name].replace(b"\r\n", b"\n") for name in sorted(found)}


def _filled(template: str, project: Mapping[str, Any]) -> str:
    """The students' pyproject.toml: what it takes to run the checks and notebooks is the same as here."""
    extras = project["optional-dependencies"]
    lists = {
        "dependencies": project["dependencies"],
        "students": extras["students"],
        "jupyter": extras["jupyter"],
    }
    for key, packages in lists.items():
        template = template.replace(
            f"@{key}@", "\n".join(f"    {json.dumps(package)}," for package in packages)
        )
    for key in ("name", "version", "description", "requires-python"):
        template = template.replace(f"@{key}@", project[key])
    return template


def make(out: Path, root: Path) -> Release:
    """Writes the release into `out`, in place of an earlier one.

    Raises:
        ReleaseError: a named file is missing, the release would leak something, or `out` cannot be used. Nothing is written.
    """
    files = files_of(root)
    if found := leaks.find(files, root):
        raise ReleaseError("\n".join(found))
    tree, archive = out / NAME, out / f"{NAME}.zip"
    if tree.exists() and not (tree / "autograder" / "handed_out.json").is_file():
        raise ReleaseError(
            f"{tree}: there is something that is no release; move it away, or choose another --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{NAME}-", ignore_cleanup_errors=True) as folder:
            fresh = Path(folder, NAME)
            for name, data in files.items():
                path = fresh / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            Path(folder, archive.name).write_bytes(
                zipped({f"{NAME}/{name}": data for name, data in files.items()})
            )
            if tree.exists():
                shutil.rmtree(tree)
            fresh.replace(tree)
            Path(folder, archive.name).replace(archive)
    except OSError as error:
        raise ReleaseError(
            f"{out}: the release cannot be written there ({error.strerror}); choose another --out"
        ) from None
    return Release(tree, archive, len(files))
