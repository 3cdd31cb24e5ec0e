# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What contradicts itself is refused before the host is looked at."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.tests.unit.support.hosts import asked


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"waivers": {"slots": ""}}, "slots is waived without a reason"),
        ({"waivers": {"slots": None}}, "slots is waived without a reason"),
        ({"waivers": {"slots": "two\nlines"}}, "slots is waived without a reason"),
        ({"waivers": {"slot": "x"}}, "'slot' is no control"),
        ({"operators": []}, "nobody could log in"),
        ({"operators": ["root", "root"]}, "names one of them twice"),
        ({"operators": ["root:x"]}, "not the name of an account"),
        ({"container_slices": ["docker"]}, "is not a slice"),
        ({"container_slices": ["user.slice"]}, "pools of their own"),
        ({"container_slices": ["a-b.slice"]}, "part of another one"),
        ({"shares": {"users": "many"}}, "shares: users: 'many' is no whole number"),
        ({"memory_per_task": "much"}, "memory_per_task: 'much' is no size"),
        ({"nofile": "1024"}, "nofile: '1024' is no soft and hard limit"),
        ({"nofile": "2048:1024"}, "no soft and hard limit"),
        ({"nproc": 3}, "nproc: 3 is too little"),
        ({"pid_max": 300}, "pid_max: 300 is not 1024 to 4194304"),
        ({"protected_weight": 0}, "protected_weight"),
        ({"log_interval": "30s"}, "go together"),
        ({"log_interval": "soon", "log_burst": 5, "log_most": "1G"}, "go together"),
        ({"log_interval": "30s", "log_burst": 5, "log_most": "1M"}, "the least is 8M"),
        ({"ipc": {"kernel.sen": "1"}}, "'kernel.sen' is none of"),
        ({"ipc": {"kernel.sem": "25032000 32 512"}}, "takes 4 whole numbers"),
        ({"ipc": {"kernel.sem": "250 100 32 512"}}, "Is a blank missing"),
        ({"ipc": {"kernel.sem": "250 32000 0 512"}}, "with a 0 nobody"),
        ({"ipc": {"kernel.msgmni": "-1"}}, "takes 1 whole"),
        ({"postfix": {"a b": "1"}}, "no parameter of postconf"),
        ({"postfix": {"a": "1\nb = 2"}}, "no parameter of postconf"),
        ({"postfix_services": {"smtp": 2}}, "no service by its first two columns"),
        ({"postfix_services": {"smtp/inet": "x"}}, "no whole number"),
        ({"apache_mutex": "sysvsem"}, "none of"),
    ],
)
def test_refused(changes: dict[str, t.Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        asked(**changes)


def test_taken_as_it_is_meant() -> None:
    options = asked(
        waivers={"ipc": " later "}, shares={"users": "30", "services": 40, "containers": 30}, memory_per_task="1M",
        nofile="1024:4096", ipc={"kernel.sem": "250\t32000 32  512"}, postfix={"a": 5},
    )  # fmt: skip
    assert options.waivers == {"ipc": "later"}
    assert options.wish.shares["users"] == 30
    assert options.wish.memory_per_task == 1 << 20
    assert options.nofile == (1024, 4096)
    assert options.ipc == {"kernel.sem": "250 32000 32 512"}
    assert options.postfix == {"a": "5"}
