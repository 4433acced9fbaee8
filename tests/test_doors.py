"""One reader at every door: `check`, `grade`, a class's export and the grading host read the same upload the same way."""

from __future__ import annotations

import io
import json
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autograder.classroom import collect
from autograder.classroom.roster import Roster
from autograder.grading.judge import read_job
from autograder.grading.options import GradingOptions
from autograder.model.assignment import assignment
from autograder.model.student import Student
from autograder.submissions import intake
from autograder.submissions.staging import TempStore
from tests.classes import MODULES, inside, pack, write

Files = Mapping[str, bytes]
Read = tuple[dict[str, bytes], tuple[str, ...]]
ROSTER = Roster((Student("Ana Arc", "1", login="ana"), Student("Ben Bo", "2", login="ben")))
FIRST = {name: MODULES[name] for name in ("autoencoder.py", "vae.py", "cvae.py")}
LAST = {"gan.py": MODULES["gan.py"]}
WITHOUT_VAE = {name: data for name, data in MODULES.items() if name != "vae.py"}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": "class CVAE: not code"},
        {"cell_type": "code", "source": ["class VAE(nn.Module):\n", "    pass\n", "BETA = 0.1\n"]},
        {"cell_type": "code", "source": "%%time\ndef train_vae(model):\n    vae = VAE(32)\n"},
    ]
}


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: Files, mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def locked() -> bytes:
    data = bytearray(zipped(MODULES))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def linked() -> bytes:
    stream = io.BytesIO(zipped(WITHOUT_VAE))
    with zipfile.ZipFile(stream, "a") as archive:
        link = zipfile.ZipInfo("vae.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


@dataclass(frozen=True)
class Odd:
    """What a student uploads: files, or one archive called ana.<ending>; what is read of it, and what the notes say."""

    files: Files
    read: Files = field(default_factory=lambda: MODULES)
    says: tuple[str, ...] = ()


HOLDS_NONE = "none of autoencoder.py, vae.py, cvae.py, gan.py"
SPLIT = "autoencoder.py, cvae.py, vae.py from problem1; gan.py from problem2"
TWO_PARTS = inside("problem1", FIRST) | inside("problem2", LAST)
PACKED_PARTS = {"problem1.zip": zipped(FIRST), "problem2.zip": zipped(inside("hw", LAST))}
ONCE = zipped(MODULES)
TWICE = zipped({"hw.zip": zipped(inside("hw3", MODULES))})
READ_AS = "is read as vae.py; rename it to vae.py"

ODD = {
    "files": Odd(MODULES),
    "a zip": Odd({"ana.zip": ONCE}),
    "a zip of a folder": Odd({"ana.zip": zipped(inside("Ana Müller/hw3", MODULES))}),
    "a zip in a zip": Odd({"ana.zip": TWICE}),
    "a zip four deep": Odd({"ana.zip": zipped({"a.zip": zipped({"b/c.zip": TWICE})})}),
    "a zip seven deep": Odd(
        {"ana.zip": zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.zip": TWICE})})})})},
        {},
        ("more than 4 deep", HOLDS_NONE),
    ),
    "folders of problems": Odd(TWO_PARTS, says=(SPLIT,)),
    "a zip of folders of problems": Odd({"ana.zip": zipped(TWO_PARTS)}, says=(SPLIT,)),
    "a zip of the folder of them": Odd({"ana.zip": zipped(inside("hw3", TWO_PARTS))}, says=(SPLIT,)),
    "zips of problems": Odd(PACKED_PARTS, says=("vae.py from problem1.zip; gan.py from problem2.zip/hw",)),
    "a zip of zips of problems": Odd(
        {"ana.zip": zipped(PACKED_PARTS)}, says=("gan.py from problem2.zip/hw",)
    ),
    "a module beside a zip": Odd(
        {"gan.py": b"# mine\n", "hw.zip": ONCE},
        MODULES | {"gan.py": b"# mine\n"},
        (
            "gan.py from the upload's top folder",
            "gan.py in hw.zip is ignored",
        ),
    ),
    "an archive that is not needed": Odd(
        MODULES | {"old.zip": zipped({"vae.py": b"# old\n"})},
        says=("the modules in old.zip are ignored; those beside it are graded",),
    ),
    "two attempts": Odd(
        {"ana.zip": zipped(inside("final") | inside("old", {"vae.py": b"# old\n", "gan.py": b"# old\n"}))},
        says=("gan.py, vae.py in old are ignored; the ones in final are graded",),
    ),
    "two copies": Odd({"ana.zip": zipped(inside("hw") | inside("hw/copy"))}),
    "a second download": Odd(
        WITHOUT_VAE | {"vae (1).py": MODULES["vae.py"]}, says=(f"vae (1).py {READ_AS}",)
    ),
    "a second download beside the first": Odd(
        MODULES | {"vae (1).py": b"# newer?\n"}, says=("vae (1).py is ignored; vae.py is graded",)
    ),
    "a second download of the same": Odd(MODULES | {"vae (1).py": MODULES["vae.py"]}),
    "the third download": Odd(
        WITHOUT_VAE | {"vae (2).py": MODULES["vae.py"], "vae (1).py": b"# older\n"},
        says=(f"vae (2).py {READ_AS}", "vae (1).py is ignored; vae (2).py is graded"),
    ),
    "a copy by Windows": Odd(WITHOUT_VAE | {"vae - Copy.py": MODULES["vae.py"]}, says=(READ_AS,)),
    "a copy by Drive": Odd(WITHOUT_VAE | {"Copy of vae.py": MODULES["vae.py"]}, says=(READ_AS,)),
    "a copy by macOS": Odd(WITHOUT_VAE | {"vae copy 2.py": MODULES["vae.py"]}, says=(READ_AS,)),
    "capitals": Odd(WITHOUT_VAE | {"VAE.py": MODULES["vae.py"]}, says=(f"VAE.py {READ_AS}",)),
    "a capital ending": Odd(WITHOUT_VAE | {"vae.PY": MODULES["vae.py"]}, says=(f"vae.PY {READ_AS}",)),
    "an ending too many": Odd(
        WITHOUT_VAE | {"vae.py.txt": MODULES["vae.py"]}, says=(f"vae.py.txt {READ_AS}",)
    ),
    "odd names in a zip": Odd(
        {"ana.zip": zipped(inside("hw", WITHOUT_VAE) | {"hw/vae (1).py": MODULES["vae.py"]})}, says=(READ_AS,)
    ),
    "a text": Odd(
        WITHOUT_VAE | {"vae.txt": b"x"}, WITHOUT_VAE, ("vae.txt is not read; send the Python file vae.py",)
    ),
    "a document": Odd(WITHOUT_VAE | {"vae.docx": b"PK"}, WITHOUT_VAE, ("vae.docx is not read",)),
    "a notebook alone": Odd(
        {"work.ipynb": json.dumps(NOTEBOOK).encode()},
        {},
        (
            "vae.py is missing, and the notebook work.ipynb defines VAE, train_vae and BETA: copy the code into a file vae.py",
            HOLDS_NONE,
        ),
    ),
    "a notebook for one module": Odd(
        {"ana.zip": zipped(inside("hw", WITHOUT_VAE | {"vae.ipynb": json.dumps(NOTEBOOK).encode()}))},
        WITHOUT_VAE,
        ("the notebook vae.ipynb defines VAE, train_vae and BETA",),
    ),
    "a notebook beside its module": Odd(MODULES | {"work.ipynb": json.dumps(NOTEBOOK).encode()}),
    "a damaged notebook": Odd(WITHOUT_VAE | {"vae.ipynb": b"{"}, WITHOUT_VAE),
    "UTF-16": Odd(
        MODULES | {"vae.py": "x = 1\n".encode("utf-16")},
        MODULES | {"vae.py": "x = 1\n".encode("utf-16")},
        ("vae.py is UTF-16 text; save it as UTF-8 text",),
    ),
    "Latin-1": Odd(MODULES | {"vae.py": b"# \xe4\n"}, MODULES | {"vae.py": b"# \xe4\n"}, ("not UTF-8 text",)),
    "a byte order mark": Odd(
        MODULES | {"vae.py": b"\xef\xbb\xbfx = 1\r\n"}, MODULES | {"vae.py": b"\xef\xbb\xbfx = 1\r\n"}
    ),
    "tar.gz": Odd({"ana.tar.gz": tarred(inside("hw", MODULES))}),
    "tgz of problems": Odd({"ana.tgz": tarred(TWO_PARTS)}, says=(SPLIT,)),
    "tgz of zips of problems": Odd({"ana.tgz": tarred(PACKED_PARTS)}, says=("gan.py from problem2.zip/hw",)),
    "tar": Odd({"ana.tar": tarred(MODULES, "w")}),
    "tar.xz in a zip": Odd({"ana.zip": zipped({"hw.tar.xz": tarred(MODULES, "w:xz")})}),
    "tar.bz2 beside a text": Odd({"hw.tar.bz2": tarred(MODULES, "w:bz2"), "report.pdf": b"%PDF"}),
    "half a tar.gz": Odd(
        {"ana.tar.gz": tarred(MODULES)[:40]}, {}, ("ana.tar.gz: the archive cannot be read", HOLDS_NONE)
    ),
    "a zip called tar.gz": Odd({"ana.tar.gz": ONCE}),
    "7z": Odd(
        {"ana.7z": b"7z\xbc\xaf\x27\x1c"},
        {},
        (
            "ana.7z: a 7z archive, which is not read; unpack it and send the files, or a zip of them",
            HOLDS_NONE,
        ),
    ),
    "rar": Odd(
        LAST | {"problem1.rar": b"Rar!\x1a\x07"},
        LAST,
        ("problem1.rar: a rar archive, which is not read; unpack it",),
    ),
    "a rar called zip": Odd(
        {"ana.zip": b"Rar!\x1a\x07\x01"}, {}, ("ana.zip: a RAR archive, which is not read", HOLDS_NONE)
    ),
    "half a zip": Odd({"ana.zip": ONCE[:200]}, {}, ("ana.zip: not a zip archive", HOLDS_NONE)),
    "a locked zip": Odd(
        {"ana.zip": locked()},
        {},
        (
            *(f"{name} is locked; make the zip again without a password" for name in MODULES),
            HOLDS_NONE,
        ),
    ),
    "a link in a zip": Odd({"ana.zip": linked()}, WITHOUT_VAE, ("vae.py is a link or a device",)),
    "names that point outside": Odd(
        {"ana.zip": zipped(MODULES | {"../gan.py": b"x"})},
        says=("1 files whose names point outside the archive are left out",),
    ),
    "LZMA": Odd(
        {"ana.zip": zipped(MODULES, zipfile.ZIP_LZMA)},
        {},
        (
            *(f"{name} uses an unusual compression" for name in MODULES),
            HOLDS_NONE,
        ),
    ),
    "too large": Odd(
        WITHOUT_VAE | {"vae.py": b"#" * (intake.MAX_FILE + 1)},
        WITHOUT_VAE,
        ("vae.py is left out: it is larger than 2 MiB",),
    ),
    "helpers": Odd(
        MODULES | {"layers.py": b"h", "torch.py": b"t", "my layers.py": b"m", "data.py": b"given"},
        MODULES | {"layers.py": b"h"},
        (
            "torch.py is left out: its name hides a Python package",
            "my layers.py is left out: no module can have this name",
        ),
    ),
    "helpers of two folders": Odd(
        {"ana.zip": zipped(TWO_PARTS | {"problem1/tools.py": b"1", "problem2/tools.py": b"2"})},
        MODULES | {"tools.py": b"1"},
        (
            SPLIT.replace(", vae.py", ", tools.py, vae.py"),
            "tools.py in problem2 is ignored; the one in problem1 is graded",
        ),
    ),
    "what macOS and Jupyter add": Odd(
        {
            "ana.zip": zipped(
                MODULES | {"__MACOSX/._vae.py": b"x", ".ipynb_checkpoints/vae-checkpoint.py": b"x"}
            )
        }
    ),
    "no module": Odd({"report.pdf": b"%PDF", "main.py": b"x"}, {}, (HOLDS_NONE,)),
    "nothing": Odd({}, {}, ("The upload is empty: it holds none of",)),
}


def by_check(path: Path) -> Read:
    """`check PATH`."""
    try:
        found = intake.read(path, assignment().rubric)
    except intake.UnusableSubmission as error:
        return {}, (str(error),)
    return dict(found.files), found.notes


def by_grade(path: Path, student: str = "Ana Arc") -> Read:
    """`grade PATH --roster ROSTER`: what is read for one student; PATH is an upload, or a class."""
    rubric, out = assignment().rubric, path.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    made = collect.plan([path], out, rubric, TempStore(out / ".uploads"), ROSTER, None)
    assert made.problems == []
    (entry,) = [entry for entry in made.entries if entry.student.name == student]
    (job,) = [job for job in made.works if job.name == entry.work]
    found = read_job(job, GradingOptions()).submission
    # A class's notes say first whose upload they are about.
    return dict(found.files), tuple(note.removeprefix("ana: ") for note in found.notes)


def by_host(folder: Path) -> Read:
    """The grading host."""
    found = intake.read_upload(folder, assignment().rubric, "submission")
    return dict(found.files), found.notes


def canvas(files: Files, number: int, student: str) -> dict[str, bytes]:
    return {
        f"{student}_{number}_{number * 100 + i}_{name}": data for i, (name, data) in enumerate(files.items())
    }


@pytest.mark.parametrize("kind", ODD)
def test_every_door_reads_an_odd_upload_the_same_way(tmp_path: Path, kind: str) -> None:
    odd = ODD[kind]
    (alone,) = odd.files if len(odd.files) == 1 else ("",)
    packed = alone.startswith("ana.")
    path = write(tmp_path / "mine" / "ana", odd.files)
    read: dict[str, Read] = {"host": by_host(path)}
    read["check"] = by_check(path / alone if packed else path)
    read["grade"] = by_grade(path / alone if packed else path)
    if packed and kind in (
        "a zip in a zip",
        "a zip of folders of problems",
        "two attempts",
        "odd names in a zip",
    ):
        with zipfile.ZipFile(path / alone) as archive:  # as Gradescope does
            archive.extractall(tmp_path / "submission")
        read["host, unpacked"] = by_host(tmp_path / "submission")
    shared = inside("ben")
    read["folder of folders"] = by_grade(
        write(tmp_path / "class", inside("ana", odd.files) | shared | {"ana/.x": b""})
    )
    everything: dict[str, bytes] = {"hw/ana/": b"", **inside("hw/ana", odd.files), **inside("hw", shared)}
    read["zip of folders"] = by_grade(pack(tmp_path / "class.zip", everything))
    if packed:
        read["folder of archives"] = by_grade(write(tmp_path / "archives", dict(odd.files) | shared))
    if odd.files and not any("/" in name for name in odd.files):
        both = canvas(odd.files, 1, "arcana") | canvas(MODULES, 2, "boben")
        read["Canvas"] = by_grade(write(tmp_path / "canvas", both))
    files, notes = read["host"]
    assert files == odd.read
    assert len(notes) == len(odd.says), notes
    for text in odd.says:
        assert any(text in note for note in notes), (text, notes)
    for door, found in read.items():
        if door == "check" and not files and packed and len(notes) == 2 and notes[0].startswith(f"{alone}:"):
            assert found == ({}, (f"{path}/{notes[0]}",))  # a path that cannot be used, with exit status 2
        else:
            assert found == (files, notes), door


def test_there_are_enough_odd_uploads() -> None:
    assert len(ODD) >= 40
