# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a descriptor is, from what the kernel writes for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._descriptors import kinds


@pytest.mark.parametrize(
    "link, kind",
    [
        (b"socket:[123]", "socket"),
        (b"pipe:[123]", "pipe"),
        (b"anon_inode:[eventfd]", "eventfd"),
        (b"anon_inode:[eventpoll]", "epoll"),
        (b"anon_inode:inotify", "inotify"),
        (b"anon_inode:[timerfd]", "timerfd"),
        (b"anon_inode:[signalfd]", "signalfd"),
        (b"anon_inode:[pidfd]", "pidfd"),
        (b"pidfd:[4711]", "pidfd"),
        (b"anon_inode:[io_uring]", "io_uring"),
        (b"anon_inode:[fanotify]", "fanotify"),
        (b"anon_inode:[perf_event]", "perf_event"),
        (b"anon_inode:bpf-map", "bpf-map"),
        (b"anon_inode:kvm-vcpu:3", "kvm-vcpu"),
        (b"net:[4026531840]", "namespace"),
        (b"mnt:[4026531841]", "namespace"),
        (b"/memfd:name (deleted)", "memfd"),
        (b"/memfd:name", "file"),
        (b"/dmabuf:", "dmabuf"),
        (b"/var/log/access.log", "file"),
        (b"/var/log/access.log (deleted)", "deleted"),
        (b"(unreachable)/srv/data", "file"),
        (b"/dev/null", "device"),
        (b"/dev/pts/0", "device"),
        (b"/dev/shm/segment", "file"),
        (b"/dev/mqueue/queue", "file"),
        (b"/proc/1/mem", "file"),
        # names that a user can give a file
        (b"/tmp/a -> b", "file"),
        (b"/tmp/socket:[1]", "file"),
        (b"/tmp/pipe:[1]\nx", "file"),
        (b"/tmp/\xff\xfe", "file"),
        (b"/anon_inode:[eventfd]", "file"),
        (b"\xff:[1]", "other"),
        (b"", "other"),
    ],
)
def test_a_link_has_a_kind(link: bytes, kind: str) -> None:
    assert kinds.kind_of(link) == kind


@given(st.binary(max_size=300))
def test_any_link_has_a_kind_that_can_be_shown(link: bytes) -> None:
    kind = kinds.kind_of(link)
    assert kind
    assert kind.isprintable()
    assert len(kind) <= 32


@pytest.mark.parametrize(
    "link, prefix",
    [
        (b"/a", b"/"),
        (b"/var/log/x", b"/var/log"),
        (b"/var/lib/mysql/db/table.ibd", b"/var/lib/mysql"),
        (b"/a/b/c/d/e/f", b"/a/b/c"),
        (b"(unreachable)/a/b", b"(unreachable)/a"),
    ],
)
def test_files_are_counted_by_directory(link: bytes, prefix: bytes) -> None:
    assert kinds.prefix_of(link) == prefix


def test_the_mark_of_the_kernel_is_taken_off() -> None:
    assert kinds.path_of_deleted(b"/x (deleted) (deleted)") == b"/x (deleted)"
