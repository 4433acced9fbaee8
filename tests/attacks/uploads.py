"""Uploads other than a plain folder of source text: hostile archives, odd names, wrong encodings, files that shadow ours.

Each builder gets the folder to write into, a name and the modules, and returns the upload's path.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import py_compile
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from autograder.model.assignment import assignment

Files = Mapping[str, bytes]
Builder = Callable[[Path, str, Files], Path]
SHADOWED = (
    "torch",
    "json",
    "otter",
    "conftest",
    "sitecustomize",
    "autograder",
    "probes",
    "autoencoder_data",
    "_wire",
)
MARK = "attack-canary"


def folder(where: Path, name: str, files: Files) -> Path:
    target = where / name
    for file, data in files.items():
        path = target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return target


def archive(where: Path, name: str, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = where / f"{name}.zip"
    with zipfile.ZipFile(path, "w", method) as made:
        for file, data in files.items():
            made.writestr(file, data)
    return path


def _with(where: Path, name: str, files: Files, more: Mapping[str | zipfile.ZipInfo, bytes]) -> Path:
    """A zip of the modules, followed by more members of any kind."""
    path = archive(where, name, files)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as made:
        for member, data in more.items():
            made.writestr(member, data)
    return path


def zip_slip(where: Path, name: str, files: Files) -> Path:
    outside = [f"../{MARK}-open/slip.py", f"..\\{MARK}-open\\slip.py", f"a/../../{MARK}-open/vae.py"]
    return _with(where, name, files, dict.fromkeys(outside, b"raise SystemExit('outside')"))


def absolute_names(where: Path, name: str, files: Files) -> Path:
    names = [f"/tmp/{MARK}-absolute.py", f"C:\\{MARK}.py", "//server/share/vae.py"]
    return _with(where, name, files, dict.fromkeys(names, b"raise SystemExit('absolute')"))


def links_and_devices(where: Path, name: str, files: Files) -> Path:
    members: dict[str | zipfile.ZipInfo, bytes] = {}
    for file, kind, data in (
        ("helper.py", stat.S_IFLNK, b"/proc/self/environ"),
        ("device.py", stat.S_IFCHR, b""),
        ("fifo.py", stat.S_IFIFO, b""),
    ):
        info = zipfile.ZipInfo(file)
        info.external_attr = (kind | 0o777) << 16
        members[info] = data
    return _with(where, name, files, members)


def links_in_a_folder(where: Path, name: str, files: Files) -> Path:
    target = folder(where, name, files)
    (target / "vae.py").unlink()
    (target / "vae.py").symlink_to("/proc/self/environ")
    (target / "round").symlink_to(target)
    os.mkfifo(target / "helper.py")
    return target


def bomb_by_ratio(where: Path, name: str, files: Files) -> Path:
    return _with(where, name, files, {"helper.py": bytes(200 << 20)})


def bomb_that_lies(where: Path, name: str, files: Files) -> Path:
    """A member of 60 MiB whose entry claims 100 bytes."""
    path = archive(where, name, {**files, "helper.py": bytes(60 << 20)})
    data = bytearray(path.read_bytes())
    data = data.replace(struct.pack("<I", 60 << 20), struct.pack("<I", 100))
    path.write_bytes(data)
    return path


def bomb_by_sum(where: Path, name: str, files: Files) -> Path:
    return _with(where, name, files, {f"helper_{i}.py": b"#" * (2 << 20) for i in range(100)})


def overlapping_members(where: Path, name: str, files: Files) -> Path:
    """Fifty entries of the table of contents that share one compressed member, as in a zip bomb."""
    kernel = io.BytesIO()
    with zipfile.ZipFile(kernel, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("kernel_00.py", bytes(2 << 20))
        for file, data in files.items():
            made.writestr(file, data)
    whole = kernel.getvalue()
    end = whole.rfind(b"PK\x05\x06")
    start, size = struct.unpack_from("<I", whole, end + 16)[0], struct.unpack_from("<I", whole, end + 12)[0]
    table = whole[start : start + size]
    first = table[: 46 + len("kernel_00.py")]
    more = b"".join(first[:46] + f"kernel_{i:02d}.py".encode() for i in range(1, 50))
    tail = bytearray(whole[end:])
    count = struct.unpack_from("<H", tail, 10)[0] + 49
    struct.pack_into("<HHI", tail, 8, count, count, size + len(more))
    path = where / f"{name}.zip"
    path.write_bytes(whole[:start] + table + more + bytes(tail))
    return path


def many_files(where: Path, name: str, files: Files) -> Path:
    return archive(where, name, {**files, **{f"x/{i}.py": b"" for i in range(20_000)}}, zipfile.ZIP_STORED)


def contents_behind_zip64(where: Path, name: str, files: Files) -> Path:
    """150,000 files whose real number and table size are only in the 64-bit record; the usual record claims few."""
    path = archive(where, name, {**files, **{f"x/{i}.py": b"" for i in range(150_000)}}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    large = whole.rfind(b"PK\x06\x06")
    tail = bytearray(whole[large:])
    end = tail.rfind(b"PK\x05\x06")
    struct.pack_into("<HHII", tail, end + 8, 4, 4, 400, len(whole) - 500)
    path.write_bytes(whole[:large] + bytes(tail))
    return path


def deep_folders(where: Path, name: str, files: Files) -> Path:
    return archive(where, name, {"/".join(["d"] * 500 + [file]): data for file, data in files.items()})


def damaged(where: Path, name: str, files: Files) -> Path:
    path = archive(where, name, files)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def encrypted(where: Path, name: str, files: Files) -> Path:
    path = archive(where, name, files)
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


def lzma(where: Path, name: str, files: Files) -> Path:
    return archive(where, name, files, zipfile.ZIP_LZMA)


def a_name_twice(where: Path, name: str, files: Files) -> Path:
    path = archive(where, name, files)
    with zipfile.ZipFile(path, "a") as made:
        other = zipfile.ZipInfo("./vae.py")
        made.writestr(other, b"raise SystemExit('the second one')")
    return path


def bad_member_names(where: Path, name: str, files: Files) -> Path:
    names = [
        "-rf.py",
        "=cmd.py",
        "<b>x.py",
        "e\u0301te\u0301.py",
        "\u202evea.py",
        "a\x1b[2Jb.py",
        "con.py",
        "a\nb.py",
    ]
    return _with(where, name, files, dict.fromkeys(names, b"raise SystemExit('imported')"))


def named_as_an_option(where: Path, name: str, files: Files) -> Path:
    return archive(where, "--out=-rf", files)


def named_as_a_formula(where: Path, name: str, files: Files) -> Path:
    return folder(where, "=HYPERLINK('x')", files)


def named_as_markup(where: Path, name: str, files: Files) -> Path:
    return folder(where, "[bold]<script>alert(1)<", files)


def named_in_unicode(where: Path, name: str, files: Files) -> Path:
    return folder(where, "An\u0303a \u202egrade\u202c \u2028 honest-01", files)


def named_in_latin1(where: Path, name: str, files: Files) -> Path:
    return folder(where, os.fsdecode(b"M\xfcller"), files)


def in_capitals(where: Path, name: str, files: Files) -> Path:
    return archive(where, name, {file.upper(): data for file, data in files.items()})


def with_bom_and_crlf(where: Path, name: str, files: Files) -> Path:
    return folder(
        where, name, {f: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n") for f, data in files.items()}
    )


def in_utf16(where: Path, name: str, files: Files) -> Path:
    return folder(where, name, {**files, "vae.py": files["vae.py"].decode().encode("utf-16")})


def in_latin1(where: Path, name: str, files: Files) -> Path:
    return folder(where, name, {**files, "vae.py": "# Müller\n".encode("latin-1") + files["vae.py"]})


def with_null_bytes(where: Path, name: str, files: Files) -> Path:
    return folder(where, name, {**files, "vae.py": files["vae.py"] + b"\0\0"})


def stale_bytecode(where: Path, name: str, files: Files) -> Path:
    """Beside each module, bytecode of another text that claims to belong to the module."""
    target = folder(where, name, files)
    hostile = where / "hostile.py"
    hostile.write_text("raise SystemExit('stale bytecode was run')\n")
    for file in files:
        for place in (target / f"{file}c", Path(importlib.util.cache_from_source(str(target / file)))):
            py_compile.compile(
                str(hostile), str(place), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
            )
    hostile.unlink()
    return target


def shadowing_modules(where: Path, name: str, files: Files) -> Path:
    """Files with the names of the libraries and of the grader's own parts, each of which stops the process when it is imported."""
    hostile = b"import os\nprint('REACHED: a file of the upload shadows a module', flush=True)\nos._exit(3)\n"
    more = {f"{module}.py": hostile for module in SHADOWED}
    more |= {"pytest.ini": b"[pytest]\naddopts = --collect-only\n", "torch/__init__.py": hostile}
    more |= {"probes/__init__.py": hostile, ".OTTER_LOG": b"cos\nsystem\n(S'false'\ntR."}
    return folder(where, name, {**files, **more})


def nothing(where: Path, name: str, files: Files) -> Path:
    target = where / name
    target.mkdir()
    return target


def text_in_a_zip(where: Path, name: str, files: Files) -> Path:
    path = where / f"{name}.zip"
    path.write_bytes(b"PK this is text")
    return path


def forged_probes(where: Path, name: str, files: Files) -> Path:
    """Every module replaces every probe by one that never raises and answers every key with a value that looks good."""
    code = FORGER.replace("KEYS", repr(probe_keys())).encode()
    return folder(where, name, {file: code + b"\n" + data for file, data in files.items()})


def probe_keys() -> dict[str, str]:
    """The keys of all dictionaries in the probes, and what their values look like: "flag", "list", "text" or "tensor"."""
    found: dict[str, str] = {}
    for path in sorted(assignment().probes.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found.setdefault(key.value, _looks(value))
    return found


def _looks(value: ast.expr) -> str:
    text = ast.unparse(value)
    if isinstance(value, (ast.List, ast.ListComp)) or text.startswith(("sorted(", "parameters(")):
        return "list"
    if isinstance(value, (ast.Compare, ast.BoolOp)) or text.startswith(
        ("same(", "all(", "any(", "is", "_reached(")
    ):
        return "flag"
    return "text" if isinstance(value, (ast.JoinedStr, ast.Constant)) else "tensor"


# Faults are denied and every other key has a good value. Tensors are returned as they were sent.
FORGER = """
import sys
import torch
def _forge(**inputs):
    given = [v for v in inputs.values() if isinstance(v, torch.Tensor)] or [torch.rand(3, 1, 28, 28)]
    kinds = {'flag': True, 'list': [], 'text': '', 'tensor': given[0]}
    answer = {key: kinds[kind] for key, kind in KEYS.items()}
    for key in ('collision', 'left', 'graph', 'both_halves', 'only_64', 'amsgrad', 'error', 'elsewhere'):
        answer[key] = None
    answer.update(devices=['cpu'], elsewhere=[], collision=None, can_step={'optimizerG': True, 'optimizerD': True})
    return answer
for _name, _module in list(sys.modules.items()):
    if '.probes.' in _name or _name == 'autograder.sandbox.kit':
        for _key, _value in list(vars(_module).items()):
            if callable(_value) and getattr(_value, '__module__', '') == _name and not isinstance(_value, type):
                setattr(_module, _key, _forge)
"""
