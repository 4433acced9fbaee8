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
from tests.attacks import uploads

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


def test_a_damaged_member_costs_itself_alone(tmp_path: Path, rubric: Rubric) -> None:
    files = {"vae.py": os.urandom(5000), "gan.py": b"g"}
    data = bytearray(archive(tmp_path / "good.zip", files).read_bytes())
    data[60:4000] = b"\0" * 3940
    path = folder(tmp_path, {"bad.zip": bytes(data)}) / "bad.zip"
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert submission.notes[0].startswith("bad.zip: vae.py cannot be read (")


def test_a_damaged_table_of_contents(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "good.zip", {"vae.py": b"v" * 500}).read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place : place + 30] = b"\xff" * 30
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


def test_members_of_a_zip_that_point_outside_are_left_out(tmp_path: Path, rubric: Rubric) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    outside = {"../../vae.py": b"x", "/etc/gan.py": b"y", "C:\\hw\\cvae.py": b"z"}
    path = archive(inside / "slip.zip", {**outside, "HW: 3/gan.py": b"g"})
    before = sorted(tmp_path.rglob("*"))
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert "slip.zip: 3 files whose names point outside the archive are left out" in submission.notes
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


def test_a_member_with_a_password_is_named(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "locked.zip", {"vae.py": b"x" * 50}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # the "encrypted" flag
    path = folder(tmp_path, {"locked.zip": bytes(data)}) / "locked.zip"
    assert (
        "locked.zip: vae.py is locked; make the zip again without a password"
        in intake.read(path, rubric).notes
    )


def test_a_zip_of_unusual_compression_is_told(tmp_path: Path, rubric: Rubric) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as target:
        target.writestr("vae.py", b"v")
        target.writestr("gan.py", b"g", zipfile.ZIP_DEFLATED)
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert "vae.py is packed in an unusual way" in submission.notes[0]


def test_a_table_of_contents_without_end_is_refused_unread(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "good.zip", {"vae.py": b"v"}).read_bytes())
    place = data.rindex(b"PK\x05\x06")
    data[place + 12 : place + 16] = (1 << 30).to_bytes(4, "little")
    path = folder(tmp_path, {"long.zip": bytes(data)}) / "long.zip"
    with pytest.raises(intake.UnusableSubmission, match="lists far too many files"):
        intake.read(path, rubric)


def test_a_table_of_contents_is_not_hidden_behind_a_64_bit_record(tmp_path: Path, rubric: Rubric) -> None:
    path = uploads.contents_behind_zip64(tmp_path, "many", MODULES)
    with pytest.raises(intake.UnusableSubmission, match="lists far too many files"):
        intake.read(path, rubric)


@pytest.mark.parametrize("packed", [False, True])
def test_of_twenty_thousand_files_the_nearest_are_looked_at(
    tmp_path: Path, rubric: Rubric, packed: bool
) -> None:
    many = {f"notes/{i}.txt": b"" for i in range(20_000)}
    files = {"vae.py": b"v", **many}
    path = archive(tmp_path / "many.zip", files) if packed else folder(tmp_path / "many", files)
    submission = intake.read(path, rubric)
    assert submission.files == {"vae.py": b"v"}
    assert any("more than 5000 files" in note for note in submission.notes)


def test_absurd_nesting_ends(tmp_path: Path, rubric: Rubric) -> None:
    files = {"/".join(["d"] * 40) + "/gan.py": b"deep", "hw/vae.py": b"v"}
    for path in (archive(tmp_path / "deep.zip", files), folder(tmp_path / "deep", files)):
        submission = intake.read(path, rubric)
        assert submission.files == {"vae.py": b"v"}
        assert any("deep are" in note for note in submission.notes)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("x = 'ä'\n".encode("latin-1"), "not UTF-8 text; save it as UTF-8 text"),
        ("x = 1\n".encode("utf-16"), "UTF-16 text; save it as UTF-8 text"),
        (b"x = 1\0\n", "holds null bytes"),
    ],
)
def test_a_module_that_is_no_utf8_is_told(tmp_path: Path, rubric: Rubric, data: bytes, says: str) -> None:
    submission = intake.read(folder(tmp_path, {"vae.py": data}), rubric)
    assert says in submission.notes[0]


def test_marks_and_line_ends_of_other_systems_are_no_fault(tmp_path: Path, rubric: Rubric) -> None:
    data = b"\xef\xbb\xbfx = 1\r\ny = 2\r\n"
    assert intake.read(folder(tmp_path, {"vae.py": data}), rubric).notes == ()


def test_a_name_in_other_letters_is_told(tmp_path: Path, rubric: Rubric) -> None:
    submission = intake.read(folder(tmp_path, {"VAE.py": b"v", "gan.py": b"g"}), rubric)
    assert "its name must be vae.py, in small letters" in submission.notes[0]


def test_remarks_can_be_shown_anywhere(tmp_path: Path, rubric: Rubric) -> None:
    names = {f"\u202ejson\x1b[2J{i}.py": b"" for i in range(30)}
    notes = intake.read(folder(tmp_path, {"vae.py": b"v", **names}), rubric).notes
    assert all(note.isprintable() for note in notes)
    assert len(notes) == intake.MAX_NOTES + 1
