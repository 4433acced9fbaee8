"""Submissions as they arrive in practice: folders, zips, nested, partial, broken. Each is read or refused in one clear line."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.model.assignment import assignment
from autograder.model.rubric import Rubric
from autograder.submissions import intake, modules
from autograder.submissions.files import in_folder
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
def test_folders_and_zips_are_the_same_submission_at_any_depth(
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


@pytest.mark.parametrize("packed", [False, True])
def test_an_inner_zip_is_opened_if_there_is_no_module_outside_it(
    tmp_path: Path, rubric: Rubric, packed: bool
) -> None:
    inner = archive(
        tmp_path / "inner.zip", {f"hw/{name}": data for name, data in MODULES.items()}
    ).read_bytes()
    less = archive(tmp_path / "less.zip", {"vae.py": b"old"}).read_bytes()
    files = {"hw/old.zip": less, "hw/work.ZIP": inner, "broken.zip": b"PK\x03\x04", "notes.txt": b""}
    path = archive(tmp_path / "ana.zip", files) if packed else folder(tmp_path / "ana", files)
    submission = intake.read(path, rubric)
    assert (submission.name, submission.files) == ("ana", MODULES)
    assert "modules are taken from hw/work.ZIP/hw" in submission.notes
    assert "vae.py in hw/old.zip is ignored; the one in hw/work.ZIP/hw is graded" in submission.notes
    assert any(note.startswith("broken.zip: not a zip archive") for note in submission.notes)
    files = (
        {name: data for name, data in files.items() if name != "broken.zip"} | MODULES | {"gan.py": b"mine"}
    )
    path = archive(tmp_path / "ben.zip", files) if packed else folder(tmp_path / "ben", files)
    packed_too = ("hw/old.zip", "hw/work.ZIP")
    assert (intake.read(path, rubric).files, intake.read(path, rubric).notes) == (
        MODULES | {"gan.py": b"mine"},
        tuple(f"the modules in {name} are ignored; those beside it are graded" for name in packed_too),
    )


def test_an_upload_always_becomes_a_submission(tmp_path: Path, rubric: Rubric) -> None:
    assert "The upload is empty" in intake.read_upload(tmp_path, rubric, "ana").notes[-1]
    folder(tmp_path, {"work.zip": b"PK\x03\x04 not one"})
    for path in (tmp_path, tmp_path / "work.zip", tmp_path / "nowhere"):
        submission = intake.read_upload(path, rubric, "ana")
        assert (submission.name, submission.files) == ("ana", {})
        assert submission.notes


def test_the_digest_distinguishes_contents_and_names() -> None:
    assert intake.digest({"a.py": b"bc"}) != intake.digest({"ab.py": b"c"})
    assert intake.digest({"a.py": b"1", "b.py": b"2"}) == intake.digest({"b.py": b"2", "a.py": b"1"})


def test_a_missing_path_is_refused(tmp_path: Path, rubric: Rubric) -> None:
    with pytest.raises(intake.UnusableSubmission, match=r"nowhere: there is no such file or folder"):
        intake.read(tmp_path / "nowhere", rubric)


def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path, rubric: Rubric) -> None:
    path = folder(tmp_path, {"ben.zip": b"this is text"}) / "ben.zip"
    with pytest.raises(intake.UnusableSubmission, match=r"ben\.zip: not a zip archive"):
        intake.read(path, rubric)


def test_a_damaged_member_costs_only_itself(tmp_path: Path, rubric: Rubric) -> None:
    files = {"vae.py": os.urandom(5000), "gan.py": b"g"}
    data = bytearray(archive(tmp_path / "good.zip", files).read_bytes())
    data[60:4000] = b"\0" * 3940
    path = folder(tmp_path, {"bad.zip": bytes(data)}) / "bad.zip"
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert submission.notes[0].startswith("vae.py cannot be read (")


def test_a_damaged_table_of_contents_is_refused(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "good.zip", {"vae.py": b"v" * 500}).read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place : place + 30] = b"\xff" * 30
    path = folder(tmp_path, {"bad.zip": bytes(data)}) / "bad.zip"
    with pytest.raises(intake.UnusableSubmission, match=r"bad\.zip: the zip archive cannot be read"):
        intake.read(path, rubric)


def test_an_empty_folder_is_an_empty_submission_with_a_note(tmp_path: Path, rubric: Rubric) -> None:
    submission = intake.read(tmp_path, rubric)
    assert submission.files == {}
    (note,) = submission.notes
    assert "holds none of autoencoder.py, vae.py, cvae.py, gan.py" in note


def test_of_two_folders_the_one_with_more_modules_is_graded_and_the_other_reported(
    tmp_path: Path, rubric: Rubric
) -> None:
    folder(
        tmp_path, {f"final/{n}": d for n, d in MODULES.items()} | {"old/vae.py": b"old", "old/gan.py": b"old"}
    )
    submission = intake.read(tmp_path, rubric)
    assert submission.files == MODULES
    assert "gan.py, vae.py in old are ignored; the ones in final are graded" in submission.notes[0]


def test_helper_modules_are_kept_unless_they_hide_a_package(tmp_path: Path, rubric: Rubric) -> None:
    helpers = {"my_layers.py": b"h", "torch.py": b"t", "json.py": b"j", "numpy.py": b"n", "otter.py": b"o"}
    package = {"regression.py": b"r"}  # as if this were the name of the assignment's package
    folder(
        tmp_path,
        MODULES | helpers | package | {"conftest.py": b"c", "sitecustomize.py": b"s", "data.py": b"theirs"},
    )
    submission = intake.read(tmp_path, replace(rubric, package="regression"))
    assert submission.files == MODULES | {"my_layers.py": b"h"}
    for name in ("torch", "json", "numpy", "conftest", "sitecustomize", "regression"):
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
    assert "3 files whose names point outside the archive are left out" in submission.notes
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


@pytest.mark.skipif(
    os.open not in os.supports_dir_fd, reason="this system opens no file relative to a folder"
)
@pytest.mark.parametrize("other", ["link", "pipe", "folder"])
def test_a_file_that_becomes_a_link_while_it_is_read_is_not_followed(tmp_path: Path, other: str) -> None:
    secret = folder(tmp_path / "secret", {"vae.py": b"secret"})
    work = folder(tmp_path / "ana" / "work", {"vae.py": b"v"})
    (entry,) = in_folder(tmp_path / "ana", [])
    assert entry.read(10) == b"v"
    if other == "folder":
        work.rename(tmp_path / "ana" / "moved")
        work.symlink_to(secret)
    else:
        (work / "vae.py").unlink()
        (work / "vae.py").symlink_to(secret / "vae.py") if other == "link" else os.mkfifo(work / "vae.py")
    with pytest.raises(OSError, match=r"vae\.py|work"):
        entry.read(10)


def test_large_archives_beside_the_one_with_the_modules_do_not_keep_it_closed(
    tmp_path: Path, rubric: Rubric
) -> None:
    """Only archives inside archives are held in memory; those in a folder are read from the disk."""
    mine = tmp_path / "ana"
    (mine / "a").mkdir(parents=True)
    archive(mine / "a" / "modules.zip", MODULES)
    os.utime(mine / "a" / "modules.zip", (1, 1))  # the oldest, so that it is opened last
    for number in range(6):
        large = archive(mine / f"data-{number}.zip", {"notes.txt": b"x"})
        with zipfile.ZipFile(large, "a") as more, more.open("zeros.bin", "w") as member:
            for _ in range(70):
                member.write(bytes(1 << 20))
    assert intake.read(mine, rubric).files == MODULES


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_module_is_left_out_with_a_note(tmp_path: Path, rubric: Rubric, packed: bool) -> None:
    files = {"vae.py": b"#" * (intake.MAX_FILE + 1), "gan.py": b"g"}
    path = archive(tmp_path / "big.zip", files) if packed else folder(tmp_path / "big", files)
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert "vae.py is left out: it is larger than 2 MiB" in submission.notes[0]


def test_a_name_in_utf8_without_its_flag_is_read(tmp_path: Path, rubric: Rubric) -> None:
    """Some programs write UTF-8 names into zips without marking them; a helper module must keep its name."""
    data = archive(tmp_path / "a.zip", {"gan.py": b"g", "gr__e.py": b"h"}).read_bytes()
    path = folder(tmp_path, {"b.zip": data.replace(b"gr__e.py", "gröe.py".encode())}) / "b.zip"
    assert intake.read(path, rubric).files == {"gan.py": b"g", "gröe.py": b"h"}


def test_a_member_with_a_password_is_reported(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "locked.zip", {"vae.py": b"x" * 50}).read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # the "encrypted" flag
    path = folder(tmp_path, {"locked.zip": bytes(data)}) / "locked.zip"
    assert "vae.py is locked; make the zip again without a password" in intake.read(path, rubric).notes


def test_an_unusual_compression_is_reported(tmp_path: Path, rubric: Rubric) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as target:
        target.writestr("vae.py", b"v")
        target.writestr("gan.py", b"g", zipfile.ZIP_DEFLATED)
    submission = intake.read(path, rubric)
    assert submission.files == {"gan.py": b"g"}
    assert "vae.py uses an unusual compression" in submission.notes[0]


def test_an_enormous_table_of_contents_is_refused_unread(tmp_path: Path, rubric: Rubric) -> None:
    data = bytearray(archive(tmp_path / "good.zip", {"vae.py": b"v"}).read_bytes())
    place = data.rindex(b"PK\x05\x06")
    data[place + 12 : place + 16] = (1 << 30).to_bytes(4, "little")
    path = folder(tmp_path, {"long.zip": bytes(data)}) / "long.zip"
    with pytest.raises(intake.UnusableSubmission, match="lists far too many files"):
        intake.read(path, rubric)


def test_a_table_of_contents_cannot_hide_behind_a_64_bit_record(tmp_path: Path, rubric: Rubric) -> None:
    path = uploads.contents_behind_zip64(tmp_path, "many", MODULES)
    with pytest.raises(intake.UnusableSubmission, match="lists far too many files"):
        intake.read(path, rubric)


@pytest.mark.parametrize("packed", [False, True])
def test_of_twenty_thousand_files_those_nearest_the_top_are_read(
    tmp_path: Path, rubric: Rubric, packed: bool
) -> None:
    many = {f"notes/{i}.py": b"" for i in range(20_000)} | {f"{i}.png": b"" for i in range(20_000)}
    files = {"vae.py": b"v", **many}
    path = archive(tmp_path / "many.zip", files) if packed else folder(tmp_path / "many", files)
    submission = intake.read(path, rubric)
    assert submission.files == {"vae.py": b"v"}
    assert any("more than 5000 files" in note for note in submission.notes)


def test_very_deep_nesting_is_not_followed(tmp_path: Path, rubric: Rubric) -> None:
    files = {"/".join(["d"] * 40) + "/gan.py": b"deep", "hw/vae.py": b"v"}
    for path in (archive(tmp_path / "deep.zip", files), folder(tmp_path / "deep", files)):
        submission = intake.read(path, rubric)
        assert submission.files == {"vae.py": b"v"}
        assert any("deep are" in note for note in submission.notes)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("x = 'ä'\n".encode("latin-1"), "not UTF-8 text; save it as UTF-8 text"),
        ("x = 1\n".encode("utf-16"), "UTF-16 text; save it as UTF-8 text"),
        (b"x = 1\0\n", "holds null bytes"),
    ],
)
def test_a_module_that_is_not_utf8_is_reported(
    tmp_path: Path, rubric: Rubric, data: bytes, text: str
) -> None:
    submission = intake.read(folder(tmp_path, {"vae.py": data}), rubric)
    assert text in submission.notes[0]


def test_byte_order_marks_and_line_ends_of_other_systems_are_accepted(tmp_path: Path, rubric: Rubric) -> None:
    data = b"\xef\xbb\xbfx = 1\r\ny = 2\r\n"
    assert intake.read(folder(tmp_path, {"vae.py": data}), rubric).notes == ()


def test_a_module_name_in_capitals_is_read_and_reported(tmp_path: Path, rubric: Rubric) -> None:
    submission = intake.read(folder(tmp_path, {"VAE.py": b"v", "gan.py": b"g"}), rubric)
    assert submission.files == {"vae.py": b"v", "gan.py": b"g"}
    assert "VAE.py is read as vae.py; rename it to vae.py" in submission.notes[0]


def test_notes_are_printable_and_limited_in_number(tmp_path: Path, rubric: Rubric) -> None:
    names = {f"\u202ejson\x1b[2J{i}.py": b"" for i in range(30)}
    notes = intake.read(folder(tmp_path, {"vae.py": b"v", **names}), rubric).notes
    assert all(note.isprintable() for note in notes)
    assert len(notes) == intake.MAX_NOTES + 1


def test_a_helper_module_may_not_hide_a_package_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian installs its own packages into dist-packages."""
    (tmp_path / "dist-packages").mkdir()
    (tmp_path / "dist-packages" / "systemwide.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "dist-packages"))
    assert modules._taken("systemwide", "tiny")
    assert not modules._taken("somewhere_else", "tiny")


@pytest.mark.parametrize("packed", [False, True])
def test_a_helper_module_whose_name_macos_has_decomposed_is_found_by_python(
    tmp_path: Path, rubric: Rubric, packed: bool
) -> None:
    files = {**MODULES, "he\u0301lper.py": b"PAIRS = ()\n"}
    path = archive(tmp_path / "ana.zip", files) if packed else folder(tmp_path / "ana", files)
    found = intake.read(path, rubric)
    assert ("h\u00e9lper.py" in found.files, found.notes) == (True, ())


GRADER = ("autograder/generative/probes", "autograder/model", "autograder/submissions")


@pytest.mark.parametrize("around", ["", "hw/", "autograder/"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_graders_files_in_an_upload_are_not_the_students(
    tmp_path: Path, rubric: Rubric, packed: bool, around: str
) -> None:
    """Those who hand in all that they were given hand in files of the grader that are named like modules."""
    own = {"problem1/vae.py": b"mine", "problem2/gan.py": b"mine too"}
    theirs = {f"{place}/{name}": b"the grader's" for place in GRADER for name in MODULES}
    files = {f"{around}{name}": data for name, data in {**own, **theirs}.items()}
    path = archive(tmp_path / "ana.zip", files) if packed else folder(tmp_path / "ana", files)
    assert intake.read(path, rubric).files == {"vae.py": b"mine", "gan.py": b"mine too"}


def test_a_link_to_a_folder_is_reported(tmp_path: Path, rubric: Rubric) -> None:
    work = folder(tmp_path / "work", dict(MODULES))
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "linked").symlink_to(work)
    notes = intake.read(tmp_path / "ana", rubric).notes
    assert "linked is a link to a folder, which is not followed; send the folder itself" in notes


def test_a_students_own_folder_may_have_the_graders_name(tmp_path: Path, rubric: Rubric) -> None:
    files = {f"autograder/model/{name}": data for name, data in MODULES.items()}
    assert intake.read(folder(tmp_path / "ana", files | {"notes.txt": b""}), rubric).files == MODULES
