"""Submissions as they really come: folders, zips, nested, partial, broken. Each is read or refused in one clear line."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from autograder import intake
from autograder.rubric import Rubric, assignment

MODULES = {f"{m}.py": f"# {m}\n".encode() for m in ("autoencoder", "vae", "cvae", "gan")}


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return assignment().rubric


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return path


@pytest.mark.parametrize("prefix", ["", "hw3/", "Ana Müller/hw3/submission/"])
@pytest.mark.parametrize("packed", [False, True])
def test_folders_and_zips_nested_or_not_are_the_same_submission(
    tmp_path: Path, rubric: Rubric, prefix: str, packed: bool
) -> None:
    files = {prefix + name: data for name, data in MODULES.items()}
    path = archive(tmp_path / "ana.zip", files) if packed else folder(tmp_path / "ana", files)
    submission = intake.read(path, rubric)
    assert (submission.name, submission.files, submission.notes) == ("ana", MODULES, ())
    assert submission.sha256 == intake.digest(MODULES)


def test_a_single_module_is_a_submission(tmp_path: Path, rubric: Rubric) -> None:
    path = folder(tmp_path, {"vae.py": b"x"}) / "vae.py"
    assert intake.read(path, rubric).files == {"vae.py": b"x"}


def test_the_digest_tells_contents_and_names_apart() -> None:
    assert intake.digest({"a.py": b"bc"}) != intake.digest({"ab.py": b"c"})
    assert intake.digest({"a.py": b"1", "b.py": b"2"}) == intake.digest({"b.py": b"2", "a.py": b"1"})


def test_a_path_that_is_not_there(tmp_path: Path, rubric: Rubric) -> None:
    with pytest.raises(intake.UnusableSubmission, match=r"nowhere: there is no such file or folder"):
        intake.read(tmp_path / "nowhere", rubric)


def test_a_zip_that_is_none(tmp_path: Path, rubric: Rubric) -> None:
    path = folder(tmp_path, {"ben.zip": b"this is text"}) / "ben.zip"
    with pytest.raises(intake.UnusableSubmission, match=r"ben\.zip: not a zip archive"):
        intake.read(path, rubric)


def test_a_damaged_zip(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "good.zip", {"vae.py": os.urandom(5000)}).read_bytes())
    data[60:4000] = b"\0" * 3940
    path = folder(tmp_path, {"bad.zip": bytes(data)}) / "bad.zip"
    with pytest.raises(intake.UnusableSubmission, match=r"bad\.zip: the zip archive cannot be read"):
        intake.read(path, rubric)


def test_an_empty_folder_is_a_submission_of_nothing_with_a_note(tmp_path: Path, rubric: Rubric) -> None:
    submission = intake.read(tmp_path, rubric)
    assert submission.files == {}
    (note,) = submission.notes
    assert "holds none of autoencoder.py, vae.py, cvae.py, gan.py" in note


def test_of_two_folders_with_modules_the_fuller_one_is_graded_and_the_other_named(
    tmp_path: Path, rubric: Rubric
) -> None:
    folder(
        tmp_path, {f"final/{n}": d for n, d in MODULES.items()} | {"old/vae.py": b"old", "old/gan.py": b"old"}
    )
    submission = intake.read(tmp_path, rubric)
    assert submission.files == MODULES
    assert "modules in old are ignored; the ones in final are graded" in submission.notes[0]


def test_helper_modules_come_along_unless_they_hide_a_package(tmp_path: Path, rubric: Rubric) -> None:
    helpers = {"my_layers.py": b"h", "torch.py": b"t", "json.py": b"j", "numpy.py": b"n", "otter.py": b"o"}
    folder(
        tmp_path, MODULES | helpers | {"conftest.py": b"c", "sitecustomize.py": b"s", "data.py": b"theirs"}
    )
    submission = intake.read(tmp_path, rubric)
    assert submission.files == MODULES | {"my_layers.py": b"h"}
    for name in ("torch", "json", "numpy", "conftest", "sitecustomize"):
        assert any(
            f"{name}.py is left out: its name hides a Python package" in note for note in submission.notes
        )


def test_members_of_a_zip_that_point_outside_name_no_place_on_disk(tmp_path: Path, rubric: Rubric) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    path = archive(inside / "slip.zip", {"../../vae.py": b"x", "/etc/gan.py": b"y"})
    before = sorted(tmp_path.rglob("*"))
    submission = intake.read(path, rubric)
    assert set(submission.files.values()) <= {b"x", b"y"}
    assert sorted(tmp_path.rglob("*")) == before


def test_links_are_not_followed(tmp_path: Path, rubric: Rubric) -> None:
    secret = folder(tmp_path / "secret", {"vae.py": b"secret"})
    mine = folder(tmp_path / "mine", {"gan.py": b"g"})
    (mine / "vae.py").symlink_to(secret / "vae.py")
    (mine / "more").symlink_to(secret)
    assert intake.read(mine, rubric).files == {"gan.py": b"g"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        link = zipfile.ZipInfo("vae.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(link, "/etc/passwd")
        target.writestr("gan.py", b"g")
    path = folder(tmp_path, {"link.zip": packed.getvalue()}) / "link.zip"
    assert intake.read(path, rubric).files == {"gan.py": b"g"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_module_is_left_out_with_a_note(tmp_path: Path, rubric: Rubric, packed: bool) -> None:
    files = {"vae.py": b"#" * (intake.MAX_FILE + 1), "gan.py": b"g"}
    path = archive(tmp_path / "big.zip", files) if packed else folder(tmp_path / "big", files)
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert "vae.py is left out: it is larger than 2 MiB" in submission.notes[0]


def test_a_zip_with_a_password_is_refused_in_one_line(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "locked.zip", {"vae.py": b"x" * 50}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # the "encrypted" flag
    path = folder(tmp_path, {"locked.zip": bytes(data)}) / "locked.zip"
    with pytest.raises(intake.UnusableSubmission, match="without a password") as caught:
        intake.read(path, rubric)
    assert "\n" not in str(caught.value)


def test_a_folder_of_submissions_is_told_from_a_submission(tmp_path: Path, rubric: Rubric) -> None:
    folder(tmp_path, {f"ana/{n}": d for n, d in MODULES.items()} | {"ben/hw/vae.py": b"b", "notes.txt": b""})
    archive(tmp_path / "cleo.zip", MODULES)
    (tmp_path / "dora").mkdir()
    names = [p.name for p in intake.submissions_in(tmp_path, rubric)]
    assert names == ["ana", "ben", "cleo.zip", "dora"]
    assert intake.submissions_in(tmp_path / "ana", rubric) == [tmp_path / "ana"]
    assert intake.submissions_in(tmp_path / "cleo.zip", rubric) == [tmp_path / "cleo.zip"]
