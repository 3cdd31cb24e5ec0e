# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Run `ansible-test sanity` of one or more ansible-core releases of the matrix: sanity.py [CORE ...], all by default.

ansible-test wants a collection in a real directory .../ansible_collections/NAMESPACE/NAME, so it gets a copy of the
tree; and a bootstrap script for pip from a site that is not a package index, so it finds a substitute in its cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from environments import ROOT, WORK
from interpreters import with_real_directories_first

COPY = WORK / "sanity" / "ansible_collections" / "hostcare" / "remediation"
HOME = WORK / "sanity" / "home"
CACHE = HOME / ".ansible" / "test" / "cache"

# What the real script does, with a wheel beside it in place of one packed inside.
GET_PIP = '''\
"""Install pip from the wheel beside this script."""
import glob, os, sys
wheel, = glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-{version}-*.whl"))
sys.path.insert(0, wheel)
from pip._internal.cli.main import main
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall", "--no-index", "--no-deps", wheel] + [
    argument for argument in arguments if argument.startswith("-")
]))
'''

# What ansible-test and pip say while they set up.
CHATTER = re.compile(
    r"Running sanity|Installing req|Using cached|Processing /|Installing coll|Successfully inst|Collecting |  +\S|$"
)


def copy_tree() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    shutil.rmtree(COPY, ignore_errors=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, COPY / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    # Or ansible-test would find the repository around .work, in which all of this is ignored.
    subprocess.run(["git", "init", "--quiet", COPY], check=True)


def supply_pip(venv: Path) -> None:
    source = next(venv.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")).read_text()
    for version in sorted(set(re.findall(r"\bpip='([0-9.]+)'", source))):
        script = CACHE / f"get_pip_{version.replace('.', '_')}.py"
        if script.exists():
            continue
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                venv / "bin" / "python",
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                CACHE,
                f"pip=={version}",
            ],
            check=True,
        )
        script.write_text(GET_PIP.format(version=version))


def environment(venv: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON", "PYENV_"))}
    kept["PATH"] = os.pathsep.join((str(venv / "bin"), with_real_directories_first()))
    # pip goes on using the settings and the cache of whoever runs this.
    home = Path.home()
    kept.setdefault("PIP_CACHE_DIR", str(home / ".cache" / "pip"))
    settings = home / ".config" / "pip" / "pip.conf"
    if settings.exists():
        kept.setdefault("PIP_CONFIG_FILE", str(settings))
    kept["HOME"] = str(HOME)
    return kept


def run(core: str, venv: Path, more: Sequence[str]) -> bool:
    started = time.monotonic()
    supply_pip(venv)
    log = WORK / "sanity" / f"{core}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [venv / "bin" / "ansible-test", "sanity", "--local", "--color", "no", *more],
            cwd=COPY,
            env=environment(venv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    tests = log.read_text(errors="replace").count("Running sanity test")
    verdict = "passed" if done.returncode == 0 else "FAILED"
    print(f"ansible-core {core}: {tests} sanity tests {verdict} in {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode:
        print("".join(line for line in log.open(errors="replace") if not CHATTER.match(line)), flush=True)
    return done.returncode == 0


def main(wanted: list[str]) -> int:
    ignored = sorted((ROOT / "tests" / "sanity").glob("ignore*"))
    if ignored:
        print(f"no ignore entries: remove {', '.join(str(path.relative_to(ROOT)) for path in ignored)}")
        return 1
    matrix = [line.split() for line in (WORK / "matrix").read_text().splitlines()]
    copy_tree()
    # Its pylint takes half the time and knows little of the core: that of the oldest and of the newest are enough.
    between = ("--skip-test", "pylint")
    results = [
        run(core, ROOT / venv, between if core not in (matrix[0][0], matrix[-1][0]) else ())
        for core, _python, venv in matrix
        if not wanted or core in wanted
    ]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
