"""Compares the results in two folders, check by check: `python -m tests.experiments.compare BEFORE AFTER`.

For changes to the grader that must change no verdict: grade the same submissions before and after, then compare. Verdicts
are equal if status and score are; the feedback may differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The results (`grade`'s JSON files) in a folder, by file name."""
    paths = sorted(set(folder.glob("*.json")) - {folder / "manifest.json"})
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """One line for each check whose verdict differs, or that only one of the two results has."""
    old, new = ({check["id"]: check for check in result["checks"]} for result in (before, after))
    for id in sorted(old.keys() | new.keys()):
        if id not in old or id not in new:
            yield f"{id}: only {'after' if id in new else 'before'}"
            continue
        verdicts = [(result[id]["status"], result[id]["score"]) for result in (old, new)]
        if verdicts[0] != verdicts[1]:
            (status, score), (now, points) = verdicts
            yield f"{id}: {status} ({score:g} points) before, {now} ({points:g} points) after"
    if before["score"] != after["score"]:
        yield f"total: {before['score']:g} before, {after['score']:g} after"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.experiments.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    folders = parser.parse_args()
    before, after = results(folders.before), results(folders.after)
    checks = differing = 0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            print(f"{name}: only {'after' if name in after else 'before'}")
            differing += 1
            continue
        lines = list(differences(before[name], after[name]))
        checks += len(before[name]["checks"])
        differing += bool(lines)
        for line in lines:
            print(f"{name}: {line}")
    print(f"{len(before.keys() & after.keys())} submissions, {checks} checks: {differing} submissions differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
