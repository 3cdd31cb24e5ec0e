# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Which failures of a session are refusals that may pass, and how the controller waits. The texts are as met."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.hostcare.remediation.plugins.plugin_utils import _session

SSH = 'Data could not be sent to remote host "192.0.2.7". Make sure this host can be reached over ssh: '

NO_SLOT_OVER_SSH = {
    "the listener cannot fork": "kex_exchange_identification: Connection closed by remote host\n"
    "Connection closed by 192.0.2.7 port 22",
    "reset": "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 192.0.2.7 port 22",
    "the unprivileged child cannot be forked": "Connection reset by 192.0.2.7 port 22",
    "the command cannot be forked": "Warning: Permanently added '192.0.2.7' (ED25519) to the list of known hosts.\n"
    "exec request failed on channel 0",
    "the same through a live connection": "",
    "the same, talkative": "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17\ndebug1: Reading configuration data\n"
    "debug1: Connection refused by nobody: permission denied\n",
    "the same below a banner": "Permission denied to all who have no business here.\nexec request failed on channel 0",
    "a live connection takes no more": "mux_client_request_session: session request failed: Session open refused by "
    "peer\nkex_exchange_identification: Connection closed by remote host",
    "a host too busy to greet": "Connection timed out during banner exchange\n"
    "Connection to 192.0.2.7 port 22 timed out",
    "shut out for asking too often": "kex_exchange_identification: banner line 0: Not allowed at this time",
    "a busy sudo": "Timeout (12s) waiting for privilege escalation prompt: ",
}

LASTING_OVER_SSH = {
    "login": "root@192.0.2.7: Permission denied (publickey,password).",
    "name": "ssh: Could not resolve hostname nowhere: Name or service not known",
    "resolver": "ssh: Could not resolve hostname nowhere: Temporary failure in name resolution",
    "port": "ssh: connect to host 192.0.2.7 port 22: Connection refused",
    "route": "ssh: connect to host 192.0.2.7 port 22: No route to host",
    "network": "ssh: connect to host 192.0.2.7 port 22: Network is unreachable",
    "silence": "ssh: connect to host 192.0.2.7 port 22: Connection timed out",
    "host key": "No ED25519 host key is known for 192.0.2.7 and you have requested strict checking.\n"
    "Host key verification failed.",
    "algorithms": "Unable to negotiate with 192.0.2.7 port 22: no matching host key type found. Their offer: ssh-dss",
    "keys": "Received disconnect from 192.0.2.7 port 22:2: Too many authentication failures",
    "option": "command-line: line 0: Bad configuration option: controlperist",
    "jump host": "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n"
    "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535",
    "started": f"{_session.STARTED}\n",
    "started, then broken": f"{_session.STARTED}\nConnection to 192.0.2.7 closed by remote host.",
    "started, and what it said": f"{_session.STARTED}\nfork: Resource temporarily unavailable",
}

NO_SLOT = {
    "dash": "sh: 0: Cannot fork",
    "bash": "bash: fork: retry: Resource temporarily unavailable\nbash: fork: Resource temporarily unavailable",
    "sudo": "sudo: unable to fork: Resource temporarily unavailable",
    "memory": "-bash: fork: Cannot allocate memory",
    "runc": "Error: runc: exec failed: unable to start container process: read init-p: connection reset by peer: "
    "OCI runtime error",
    "crun": "Error: crun: clone: Resource temporarily unavailable: OCI runtime error",
    "controller": "Unable to execute ssh command line on a controller.\n"
    "[Errno 11] Resource temporarily unavailable: 'ssh'",
}

OTHER_FAILURES = {
    "nothing": "",
    "password": "sudo: a password is required",
    "sudoers": "operator is not in the sudoers file.",
    "shell": "sh: 1: env: not found",
    "login": "This account is currently not available.",
    "container": "Container 'nowhere' not found",
    "python": "env: '/usr/bin/python3': No such file or directory",
    "started": f"{_session.STARTED}\nBlockingIOError: [Errno 11] Resource temporarily unavailable",
}


@pytest.mark.parametrize("said", NO_SLOT_OVER_SSH.values(), ids=NO_SLOT_OVER_SSH)
def test_ssh_is_refused(said: str) -> None:
    assert _session.refused(SSH + said, ssh_failed=True)


@pytest.mark.parametrize("said", LASTING_OVER_SSH.values(), ids=LASTING_OVER_SSH)
def test_ssh_fails_for_good(said: str) -> None:
    assert not _session.refused(SSH + said, ssh_failed=True)


@pytest.mark.parametrize("ssh_failed", [True, False])
@pytest.mark.parametrize("said", NO_SLOT.values(), ids=NO_SLOT)
def test_a_failed_fork_is_a_refusal(said: str, ssh_failed: bool) -> None:
    assert _session.refused(said, ssh_failed)


@pytest.mark.parametrize("said", OTHER_FAILURES.values(), ids=OTHER_FAILURES)
def test_any_other_failure_is_not(said: str) -> None:
    assert not _session.refused(said, ssh_failed=False)


@pytest.mark.parametrize(
    "said, shown",
    [
        (SSH, "the session ended without a word"),
        (f"{SSH}kex_exchange_identification: no\r\nConnection reset by 192.0.2.7 port 22\r\n", "Connection reset by"),
        (f"{SSH}OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19\ndebug1: a", "the session ended without a word"),
        (f"{SSH}Warning: Permanently added '192.0.2.7' (ED25519) to the list of known hosts.", "the session ended"),
        (f"{SSH}debug1: a\nexec request failed on channel 0\ndebug1: b", "exec request failed on channel 0"),
        (f"{_session.STARTED}\nsudo: no", "sudo: no"),
    ],
)
def test_the_reason_is_one_line(said: str, shown: str) -> None:
    assert _session.reason(said).startswith(shown)
    assert "\n" not in _session.reason(said)


@pytest.mark.parametrize(
    "said, expected",
    [
        ("sudo: sorry, you must have a tty to run sudo", True),
        ("sudo: a terminal is required to read the password", True),
        (f"{_session.STARTED}\nyou must have a tty", False),
        ("sudo: a password is required", False),
    ],
)
def test_needs_terminal(said: str, expected: bool) -> None:
    assert _session.needs_terminal(said) is expected


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("-tt", True),
        ("-C -t -o ControlMaster=auto", True),
        ("-o RequestTTY=force", True),
        ("-o 'RequestTTY yes'", True),
        ("-oRequestTTY=yes", True),
        ("-o RequestTTY=no", False),
        ("-T -C -o ControlPersist=60s", False),
        ("-lroot -i /etc/ssh/-t", False),
        ("", False),
    ],
)
def test_asks_for_terminal(arguments: str, expected: bool) -> None:
    assert _session.asks_for_terminal(arguments) is expected


def test_pauses_grow_and_never_make_sshd_shut_the_client_out() -> None:
    pauses = list(itertools.islice(_session.pauses(), 2000))
    assert max(pauses[:5]) < 0.5
    assert max(pauses) < 1.5
    # a second of penalty for each attempt, less the time that has passed: at 15 sshd refuses all
    penalty = highest = 0.0
    for pause in pauses:
        penalty = max(0.0, penalty + 1 - pause)
        highest = max(highest, penalty)
    assert highest < 15


WRAPPER_2_16 = b"""
def _ansiballz_main():
    import os
    try:
        temp_path = tempfile.mkdtemp(prefix='ansible_' + 'm' + '_payload_')
        zipped_mod = os.path.join(temp_path, 'ansible_' + 'm' + '_payload.zip')
        with open(zipped_mod, 'wb') as modlib:
            pass
"""
WRAPPER_2_19 = b"""
def _ansiballz_main(ansible_module):
    import os
    temp_path = os.path.realpath(tempfile.mkdtemp(prefix='ansible_' + ansible_module + '_payload_'))
    try:
        zipped_mod = os.path.join(temp_path, 'ansible_' + ansible_module + '_payload.zip')
    finally:
        pass
"""


@pytest.mark.parametrize(
    "wrapper", [WRAPPER_2_16 + b"    finally:\n        pass\n", WRAPPER_2_19], ids=["2.16", "2.19"]
)
def test_the_zip_file_goes_to_memory_or_where_it_went_before(wrapper: bytes) -> None:
    changed = _session.in_memory(wrapper)
    compile(changed, "wrapper", "exec")
    assert b"os.memfd_create(" in changed
    for line in wrapper.splitlines():
        assert line.strip() in changed


@pytest.mark.parametrize(
    "wrapper", [b"", b"import os\n", WRAPPER_2_19.replace(b"zipped_mod", b"payload"), WRAPPER_2_19 + WRAPPER_2_19]
)
def test_an_unknown_wrapper_stays_as_it_is(wrapper: bytes) -> None:
    assert _session.in_memory(wrapper) == wrapper
