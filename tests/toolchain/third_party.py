# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Put the collections the tests use into .work/thirdparty, taken from releases of the `ansible` package.

The package index serves where Ansible Galaxy cannot be reached. Of its hundred collections only what is used is kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

WORK = Path(__file__).resolve().parent.parent.parent / ".work"
KEPT = {
    "ansible==14.5.0": (
        # its connection can pipeline
        "containers/podman/",
        # a peer to compare with; it imports nothing of its collection
        "community/general/MANIFEST.json",
        "community/general/meta/runtime.yml",
        "community/general/plugins/modules/cronvar.py",
    ),
    # the last one with what awx_setup works with
    "ansible==12.3.0": ("awx/awx/MANIFEST.json", "awx/awx/meta/", "awx/awx/plugins/"),
}


def main() -> None:
    target = WORK / "thirdparty"
    stamp = target / ".complete"
    wanted = repr(KEPT)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    with tempfile.TemporaryDirectory(dir=str(WORK)) as directory:
        for release, names in KEPT.items():
            fetch(release, names, Path(directory))
        shutil.rmtree(target, ignore_errors=True)
        Path(directory, "kept").rename(target)
    stamp.write_text(wanted)


def fetch(release: str, names: Sequence[str], directory: Path) -> None:
    print(f"fetching {', '.join(names)} from {release}", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Collections run on any Python; the package's own lower bound need not be met here.
    anywhere = ["--python-version", "3.13", "--only-binary", ":all:"]
    subprocess.run([*pip, *anywhere, "--dest", str(directory), release], check=True, stdin=subprocess.DEVNULL)
    (packed,) = directory.glob("*.whl")
    with zipfile.ZipFile(packed) as wheel:
        kept = tuple(f"ansible_collections/{name}" for name in names)
        wheel.extractall(directory / "kept", [name for name in wheel.namelist() if name.startswith(kept)])
    packed.unlink()


if __name__ == "__main__":
    main()
