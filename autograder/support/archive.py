"""Zip archives whose bytes do not depend on when and where they are written."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can store
UNIX = 3
LEVEL = 9


def zipped(files: Mapping[str, bytes], executable: Collection[str] = ()) -> bytes:
    """The bytes of a zip with `files` (contents by path inside), sorted.

    executable: the paths of the files with execute permission.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, MOMENT)
            info.create_system = UNIX  # on every system, so that the modes below apply
            info.external_attr = (0o100755 if name in executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files[name], compresslevel=LEVEL)
    return stream.getvalue()


def write_zip(path: Path, files: Mapping[str, bytes], executable: Collection[str] = ()) -> None:
    """Replaces `path` by such a zip (see `zipped`) in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(zipped(files, executable))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
