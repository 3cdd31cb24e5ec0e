# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files as they shall be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail.main_cf import parameters
from ansible_collections.hostcare.remediation.plugins.module_utils._reserve import wanted

DEBIAN = "auth x\n@include common-session\nsession required pam_limits.so\n"
RED_HAT = "session    include      password-auth\nsession    include      postlogin\n"
MASTER = """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
  -o x=y
pickup    unix  n       -       y       60      1       pickup
"""


def test_sessions_of_sshd_take_our_way() -> None:
    assert wanted.pam_of_sshd(DEBIAN) == (
        "auth x\nsession    substack     hostcare-sshd\nsession required pam_limits.so\n",
        "@include common-session",
    )
    edited, included = wanted.pam_of_sshd(RED_HAT)
    assert edited == "session    substack     hostcare-sshd\nsession    include      postlogin\n"
    assert included == "session    include      password-auth"


@pytest.mark.parametrize(
    "text, told",
    [("session required pam_unix.so\n", "no stack of sessions"), ("session    substack     hostcare-sshd\n", "not as")],
)
def test_a_pam_file_of_another_form_is_refused(text: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        wanted.pam_of_sshd(text)


def test_operators_stay_and_others_are_moved_or_refused() -> None:
    files = wanted.protected(264, 64 << 20, 1000, "ssh.service", ["root", "operator"], DEBIAN)
    ours = next(one.content for one in files if one.path == "/etc/pam.d/hostcare-sshd")
    lines = [line.split() for line in ours.splitlines() if not line.startswith("#")]
    stays, moved = (next(at for at, line in enumerate(lines) if word in line) for word in ("root:operator", "required"))
    assert lines[stays][1:3] == ["[success=done", "default=ignore]"]
    assert lines[moved] == ["session", "required", "pam_systemd.so"]
    assert stays < moved < lines.index(["@include", "common-session"])
    assert "TasksMax=264\nCPUWeight=1000\nMemoryMin=67108864\n" in files[0].content


@pytest.mark.parametrize(
    "before",
    [
        "",
        "a = 1\n",
        "a = 1",
        "x = 1\n  2\n\n# c\nb = 3\n",
        "default_process_limit = 100\n  # c\nb = 2\n",
        "#hostcare\n",
    ],
)
def test_main_cf(before: str) -> None:
    values = {"default_process_limit": "20", "x": "y"}
    once = wanted.main_cf(before, values).content
    assert wanted.main_cf(once, values).content == once
    kept = {name: value for name, value in parameters(before).items() if name not in values}
    assert parameters(once) == {**kept, **values}
    assert sum(line.startswith("default_process_limit") for line in once.splitlines()) == 1
    assert wanted.without_ours(once) == before + ("" if before.endswith("\n") or not before else "\n")


@given(st.text(alphabet="ax= \t\n#$"))
def test_main_cf_of_any_form(before: str) -> None:
    once = wanted.main_cf(before, {"a": "1"}).content
    assert wanted.main_cf(once, {"a": "1"}).content == once
    assert parameters(once)["a"] == "1"


def test_master_cf() -> None:
    after = wanted.master_cf(MASTER, {"smtp/inet": 20}).content
    assert after == MASTER.replace("-       -       smtpd", "-       20       smtpd")
    with pytest.raises(Refused, match="no service lmtp/unix"):
        wanted.master_cf(MASTER, {"lmtp/unix": 3})
