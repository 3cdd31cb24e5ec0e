# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Put the collections the tests use into .work/thirdparty, taken from the `ansible` package.

The package index serves where Ansible Galaxy cannot be reached. Of its hundred collections only what is used is kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WORK = Path(__file__).resolve().parent.parent.parent / ".work"
RELEASE = "ansible==12.3.0"
KEPT = (
    "containers/podman/",
    # what awx_setup works with
    "awx/awx/MANIFEST.json",
    "awx/awx/meta/",
    "awx/awx/plugins/",
    # a peer to compare with; it imports nothing of its collection
    "community/general/MANIFEST.json",
    "community/general/meta/runtime.yml",
    "community/general/plugins/modules/cronvar.py",
)


def main() -> None:
    target = WORK / "thirdparty"
    stamp = target / ".complete"
    wanted = "\n".join((RELEASE, *KEPT))
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"fetching {', '.join(KEPT)} from {RELEASE}", flush=True)
    with tempfile.TemporaryDirectory(dir=str(WORK)) as download:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Collections run on any Python; the package's own lower bound need not be met here.
        anywhere = ["--python-version", "3.13", "--only-binary", ":all:"]
        subprocess.run([*pip, *anywhere, "--dest", download, RELEASE], check=True, stdin=subprocess.DEVNULL)
        with zipfile.ZipFile(next(Path(download).glob("*.whl"))) as wheel:
            kept = tuple(f"ansible_collections/{name}" for name in KEPT)
            wheel.extractall(f"{download}/kept", [name for name in wheel.namelist() if name.startswith(kept)])
        shutil.rmtree(target, ignore_errors=True)
        Path(download, "kept").rename(target)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
