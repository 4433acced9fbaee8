"""Uploads other than a plain folder of source text: hostile archives, odd names, wrong encodings, files that shadow ours.

Each builder gets the folder to write into, a name and the modules, and returns the upload's path.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import os
import py_compile
import stat
import struct
import tarfile
import threading
import time
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


def nested_notebook(where: Path, name: str, files: Files) -> Path:
    """Beside the modules, notebooks whose JSON is nested 100,000 levels deep, and two with outputs of 45 and 200 MB."""
    deep = b"[" * 100_000
    start, end = b'{"cells": [{"cell_type": "code", "source": [], "outputs": [{"text": "', b'"}]}]}'
    wide, wider = (start + b"x" * (size << 20) + end for size in (45, 200))
    half = b'{"cells": [{"cell_type": "markdown", "source": ["<!-- BEGIN QUESTION -->'
    return archive(
        where,
        name,
        {
            **files,
            "vae.ipynb": deep,
            "gan.ipynb": wide,
            "wider.ipynb": wider,
            "more.ipynb": half,
            "empty.ipynb": b"",
        },
    )


def notebook_with_a_kernel(where: Path, name: str, files: Files) -> Path:
    """A notebook whose metadata asks for a kernel of its own, with a library to be loaded first."""
    spec = {
        "argv": ["/bin/sh", "-c", f"touch /tmp/{MARK}-kernel"],
        "env": {"LD_PRELOAD": "./evil.so", "PYTHONPATH": "."},
        "name": "evil",
        "language": "python",
    }
    notebook = {
        "cells": [{"cell_type": "code", "source": f"!touch /tmp/{MARK}-cell", "metadata": {}, "outputs": []}],
        "metadata": {"kernelspec": spec, "otter": {"assignment_name": "../../x"}, "widgets": spec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    data = json.dumps(notebook).encode()
    kernels = {"share/jupyter/kernels/python3/kernel.json": json.dumps(spec).encode(), "evil.so": b"\x7fELF"}
    return archive(where, name, {**files, "vae.ipynb": data, **kernels})


def the_hosts_files(where: Path, name: str, files: Files) -> Path:
    """Files with the names of those that a grading host and Otter read and write."""
    script = f"#!/bin/sh\ntouch /tmp/{MARK}-script\n".encode()
    forged = json.dumps({"score": 75, "tests": [{"name": "q1_1", "score": 75, "max_score": 75}]}).encode()
    more = {
        "otter_config.json": b'{"plugins": ["evil.Plugin"], "points_possible": 75, "force_public_test_summary": true}',
        ".OTTER_LOG": b"cos\nsystem\n(S'false'\ntR.",
        "run_autograder": script,
        "setup.sh": script,
        "results.json": forged,
        "results/results.json": forged,
        "submission_metadata.json": b'{"assignment": {"due_date": "2999-01-01"}, "previous_submissions": "x"}',
        "gradescope.toml": b'hidden = "visible"\n',
        "secret": b"guess",
        "verdicts.ipynb": b"{}",
        "tests/q1_1.py": b"OK_FORMAT = True\ntest = {}\n",
        "manifest.json": b"{}",
        "settings.toml": b'[questions]\n"1-1" = "given"\n',
        "adjustments.csv": b"student,question,points\nall,1-1,75\n",
    }
    return archive(where, name, {**files, **more})


def files_that_python_runs(where: Path, name: str, files: Files) -> Path:
    """Files that Python, pytest or pip would run or obey if the upload lay where they look."""
    hostile = b"import os\nprint('REACHED: a file of the upload was run', flush=True)\nos._exit(3)\n"
    more = {
        "evil.pth": b"import os; os._exit(3)\n",
        "usercustomize.py": hostile,
        "__init__.py": hostile,
        "__main__.py": hostile,
        "setup.py": hostile,
        "pyvenv.cfg": b"home = /tmp\n",
        "python311._pth": b".\n",
        "pyproject.toml": b'[tool.pytest.ini_options]\naddopts = "--collect-only"\n',
        "tox.ini": b"[pytest]\naddopts = --collect-only\n",
        "lib/python3.11/site-packages/torch/__init__.py": hostile,
        "dist-packages/torch/__init__.py": hostile,
        ".env": b"PYTHONSTARTUP=__main__.py\n",
    }
    return folder(where, name, {**files, **more})


def packages_beside_modules(where: Path, name: str, files: Files) -> Path:
    """Packages, compiled modules and libraries with the modules' own names, which Python would prefer."""
    hostile = b"import os\nprint('REACHED: another file was run for a module', flush=True)\nos._exit(3)\n"
    more = {f"{m.removesuffix('.py')}/__init__.py": hostile for m in files}
    more |= {m.replace(".py", ".cpython-311-x86_64-linux-gnu.so"): b"\x7fELF" for m in files}
    more |= {m.replace(".py", ".so"): b"\x7fELF" for m in files}
    return folder(where, name, {**files, **more})


def modules_that_are_folders(where: Path, name: str, files: Files) -> Path:
    return folder(where, name, {f"{file}/__init__.py": data for file, data in files.items()})


def modules_that_are_pipes(where: Path, name: str, files: Files) -> Path:
    """Named pipes, which would be read for ever."""
    target = where / name
    target.mkdir()
    for file in files:
        os.mkfifo(target / file)
    return target


def tar_with_links(where: Path, name: str, files: Files) -> Path:
    """A tar whose members point outside, are links, devices and pipes, and carry setuid bits; then the modules."""
    path = where / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        for kind, member, target in (
            (tarfile.SYMTYPE, "vae.py", "/etc/passwd"),
            (tarfile.LNKTYPE, "cvae.py", "/etc/shadow"),
            (tarfile.SYMTYPE, "folder", "/tmp"),
            (tarfile.CHRTYPE, "gan.py", ""),
            (tarfile.FIFOTYPE, "autoencoder.py", ""),
        ):
            odd = tarfile.TarInfo(member)
            odd.type, odd.linkname, odd.mode = kind, target, 0o6777
            made.addfile(odd)
        for member in (f"folder/{MARK}-through-a-link", f"../../{MARK}-slip", f"/tmp/{MARK}-absolute"):
            odd = tarfile.TarInfo(member)
            odd.size = 4
            made.addfile(odd, io.BytesIO(b"evil"))
        for file, data in files.items():
            real = tarfile.TarInfo(f"work/{file}")
            real.size = len(data)
            made.addfile(real, io.BytesIO(data))
    return path


def members_with_markup(where: Path, name: str, files: Files) -> Path:
    """Names that are HTML, Markdown, a formula, an escape sequence, a template and a right-to-left mark."""
    odd = (
        "<script>alert(1)</script>.py",
        "vae<img src=x onerror=alert(1)>.py",
        "[here](javascript:alert(1)).py",
        "=HYPERLINK(vae).py",
        "\x1b[2Jvae.py",
        "{{7*7}}.py",
        "vae\u202eyp.py",
        "a\nb.py",
        "vae.py\x7f",
    )
    return _with(where, name, files, dict.fromkeys(odd, b"x = 1\n"))


def archives_in_archives(where: Path, name: str, files: Files) -> Path:
    """The modules beside a zip that holds a zip, and so on, fifty times, and a tar that claims to be a zip."""
    inner = b"x = 1\n"
    for level in range(50):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(f"level{level}.zip" if level else "vae.py", inner)
        inner = packed.getvalue()
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("vae.py"))
    return _with(where, name, files, {"more.zip": inner, "other.zip": tarred.getvalue()})


def names_of_any_bytes(where: Path, name: str, files: Files) -> Path:
    """File names that are not UTF-8, or as long as a file system allows."""
    target = folder(where, name, files)
    for odd in (b"\xff\xfe.py", b"vae\x80.py", b"x" * 250 + b".py"):
        (target / os.fsdecode(odd)).write_bytes(b"x = 1\n")
    return target


def a_module_that_changes(where: Path, name: str, files: Files) -> Path:
    """As long as it is there, each module is in turn a stub and a link to the solution: the solution must not be read."""
    target = folder(where, name, files)
    solutions = assignment().solutions
    assert solutions is not None

    def swap() -> None:
        while target.is_dir():
            time.sleep(0.0005)
            with contextlib.suppress(OSError):
                for file, data in files.items():
                    spare = target / f".{file}"
                    spare.symlink_to(solutions / file)
                    spare.replace(target / file)
                    spare.write_bytes(data)
                    spare.replace(target / file)

    threading.Thread(target=swap, daemon=True).start()
    return target


def a_sparse_gigabyte(where: Path, name: str, files: Files) -> Path:
    """Beside the modules, files of a gigabyte that take no space, one of them named like a module's copy."""
    target = folder(where, name, files)
    for file in ("data.bin", "vae (1).py", "notebook.ipynb", "work.zip"):
        with (target / file).open("wb") as stream:
            stream.truncate(1 << 30)
    return target
