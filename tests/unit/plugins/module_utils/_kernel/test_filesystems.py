# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real files in a real directory: found without being led astray, rewritten with all that belongs to them."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel import filesystems
from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.filesystems import (
    DRAFT,
    IN_PLACE,
    REPLACED,
    Changed,
    Found,
    Spot,
    Unsafe,
    locate,
    obstacle,
    read,
    rewrite,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "cron.d").mkdir(parents=True)
    (tmp_path / "etc" / "cron.d" / "app").write_bytes(b"old\n")
    return tmp_path


def found_at(path: str, root: Path) -> tuple[Spot, Found]:
    spot = locate(path, str(root))
    return spot, read(spot, 1000)


def entries(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


class TestLocate:
    def test_a_plain_path(self, tree: Path) -> None:
        with locate("/etc//./cron.d/app", str(tree)) as spot:
            assert (spot.path, spot.name, spot.through_link) == ("/etc/cron.d/app", "app", False)
            assert read(spot, 100).raw == b"old\n"

    @pytest.mark.parametrize("target", ["/srv/app", "../../srv/app", "../../../../srv/app"])
    def test_a_link_at_the_end(self, tree: Path, target: str) -> None:
        (tree / "srv").mkdir()
        (tree / "srv" / "app").write_bytes(b"elsewhere\n")
        (tree / "etc" / "cron.d" / "link").symlink_to(target)
        with locate("/etc/cron.d/link", str(tree)) as spot:
            assert (spot.path, spot.through_link) == ("/srv/app", True)
            assert read(spot, 100).raw == b"elsewhere\n"

    def test_a_link_to_a_link_and_one_on_the_way(self, tree: Path) -> None:
        (tree / "conf").symlink_to("etc")
        (tree / "etc" / "cron.d" / "one").symlink_to("two")
        (tree / "etc" / "cron.d" / "two").symlink_to("/conf/cron.d/app")
        with locate("/conf/cron.d/one", str(tree)) as spot:
            assert (spot.path, spot.through_link) == ("/etc/cron.d/app", True)
        with locate("/conf/cron.d/app", str(tree)) as spot:
            assert not spot.through_link

    def test_no_way_leads_out_of_the_root(self, tree: Path) -> None:
        (tree / "etc" / "cron.d" / "out").symlink_to("../../../../../../etc/passwd")
        with locate("/etc/cron.d/out", str(tree)) as spot:
            assert spot.path == "/etc/passwd"
            with pytest.raises(FileNotFoundError):
                read(spot, 100)

    def test_a_loop_and_a_link_to_nowhere(self, tree: Path) -> None:
        (tree / "etc" / "cron.d" / "loop").symlink_to("loop")
        (tree / "etc" / "cron.d" / "nowhere").symlink_to("/not/there")
        with pytest.raises(OSError, match="symbolic links"):
            locate("/etc/cron.d/loop", str(tree))
        with pytest.raises(FileNotFoundError):
            locate("/etc/cron.d/nowhere", str(tree))

    def test_what_is_not_there(self, tree: Path) -> None:
        with pytest.raises(FileNotFoundError):
            locate("/not/there", str(tree))
        with pytest.raises(NotADirectoryError):
            locate("/etc/cron.d/app/x", str(tree))
        with pytest.raises(Unsafe, match="directory"):
            locate("/", str(tree))

    def test_a_directory_that_others_may_write_to(self, tree: Path) -> None:
        (tree / "etc" / "cron.d").chmod(0o777)
        with pytest.raises(Unsafe, match=r"others than its owner may write to the directory /etc/cron.d \(mode 0777\)"):
            locate("/etc/cron.d/app", str(tree))
        (tree / "etc" / "cron.d").chmod(0o1777)
        locate("/etc/cron.d/app", str(tree)).__exit__()

    @needs_root
    def test_a_directory_or_a_link_of_somebody_else(self, tree: Path) -> None:
        (tree / "etc" / "cron.d" / "link").symlink_to("app")
        os.lchown(tree / "etc" / "cron.d" / "link", 1234, 0)
        with pytest.raises(Unsafe, match=r"the symbolic link /etc/cron.d/link belongs to uid 1234"):
            locate("/etc/cron.d/link", str(tree))
        os.chown(tree / "etc" / "cron.d", 1234, 0)
        with pytest.raises(Unsafe, match=r"the directory /etc/cron.d belongs to uid 1234"):
            locate("/etc/cron.d/app", str(tree))


class TestRead:
    def test_what_is_no_regular_file(self, tree: Path) -> None:
        directory = tree / "etc" / "cron.d"
        os.mkfifo(directory / "fifo")
        (directory / "directory").mkdir()
        (directory / "link").symlink_to("app")
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.getcwd()
            os.chdir(directory)  # the path of a socket must be short
            listener.bind("socket")
            os.chdir(here)
            for name, kind in (("fifo", "a FIFO"), ("directory", "a directory"), ("socket", "a socket")):
                with locate(f"/etc/cron.d/{name}", str(tree)) as spot, pytest.raises(Unsafe, match=f"it is {kind}"):
                    read(spot, 100)

    @needs_root
    def test_a_device_is_not_even_opened(self, tree: Path) -> None:
        os.mknod(tree / "etc" / "cron.d" / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        with locate("/etc/cron.d/device", str(tree)) as spot, pytest.raises(Unsafe, match="it is a device"):
            read(spot, 100)

    def test_one_that_is_too_large(self, tree: Path) -> None:
        with locate("/etc/cron.d/app", str(tree)) as spot:
            assert read(spot, 4).raw == b"old\n"
            with pytest.raises(Unsafe, match="larger than 3 bytes"):
                read(spot, 3)


class TestObstacle:
    def test_none(self, tree: Path) -> None:
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            assert obstacle(spot, found.facts, {os.geteuid()}) is None
            assert "belongs to uid" in str(obstacle(spot, found.facts, set()))

    def test_a_second_name(self, tree: Path) -> None:
        os.link(tree / "etc" / "cron.d" / "app", tree / "precious")
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            assert "2 names (hard links)" in str(obstacle(spot, found.facts, {os.geteuid()}))

    def test_one_that_others_may_write_to(self, tree: Path) -> None:
        (tree / "etc" / "cron.d" / "app").chmod(0o664)
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            assert "(mode 0664)" in str(obstacle(spot, found.facts, {os.geteuid()}))


def acl(*entries: tuple[int, int, int]) -> bytes:
    """The extended attribute of an access list: version 2, then tag, permissions and id of each entry (acl(5))."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 0xFFFFFFFF
ACL = acl((1, 6, NO_ID), (2, 4, 4321), (4, 4, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID))


class TestRewrite:
    def test_it_is_a_new_file_with_the_new_content(self, tree: Path) -> None:
        path = tree / "etc" / "cron.d" / "app"
        before = path.stat()
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            assert rewrite(spot, found, b"new\n", None) == REPLACED
        after = path.stat()
        assert path.read_bytes() == b"new\n"
        assert after.st_ino != before.st_ino
        assert entries(path.parent) == {"app"}

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o4755])
    def test_the_mode_stays(self, tree: Path, mode: int) -> None:
        path = tree / "etc" / "cron.d" / "app"
        path.chmod(mode)
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert stat.S_IMODE(path.stat().st_mode) == mode

    @needs_root
    def test_the_owner_stays(self, tree: Path) -> None:
        path = tree / "etc" / "cron.d" / "app"
        os.chown(path, 1234, 4321)
        path.chmod(0o4600)  # chown takes the first digit away
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        after = path.stat()
        assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (1234, 4321, 0o4600)

    def test_attributes_and_the_access_list_stay(self, tree: Path) -> None:
        path = tree / "etc" / "cron.d" / "app"
        wanted = {"user.note": b"\0bytes\xff", "system.posix_acl_access": ACL}
        if os.geteuid() == 0:  # what SELinux keeps its label in, whether it runs or not
            wanted["security.selinux"] = b"system_u:object_r:system_cron_spool_t:s0\0"
        for name, value in wanted.items():
            try:
                os.setxattr(path, name, value)
            except OSError as error:
                pytest.skip(f"the file system of the temp directory keeps no {name}: {error.strerror}")
        mode = path.stat().st_mode
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == wanted
        assert path.stat().st_mode == mode

    def test_a_default_access_list_of_the_directory_is_not_taken_on(self, tree: Path) -> None:
        path = tree / "etc" / "cron.d" / "app"
        try:
            os.setxattr(path.parent, "system.posix_acl_default", ACL)
        except OSError as error:
            pytest.skip(f"the file system of the temp directory keeps no access lists: {error.strerror}")
        mode = path.stat().st_mode
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert os.listxattr(path) == []
        assert path.stat().st_mode == mode

    @pytest.mark.parametrize("ahead", [0, 3600])
    def test_the_time_of_change_differs_in_whole_seconds(self, tree: Path, ahead: int) -> None:
        """Daemons compare those: two edits in one second, or a clock that was set back, must not hide one."""
        path = tree / "etc" / "cron.d" / "app"
        for _round in range(3):
            now = int(time.time()) + ahead
            os.utime(path, (now, now))
            spot, found = found_at("/etc/cron.d/app", tree)
            with spot:
                rewrite(spot, found, path.read_bytes() + b"x\n", None)
            assert int(path.stat().st_mtime) > now

    def test_so_does_that_of_the_directory(self, tree: Path) -> None:
        directory = tree / "etc" / "cron.d"
        spot, found = found_at("/etc/cron.d/app", tree)
        os.utime(directory)
        before = int(directory.stat().st_mtime)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert int(directory.stat().st_mtime) != before

    def test_through_a_link_the_link_stays(self, tree: Path) -> None:
        (tree / "srv").mkdir()
        (tree / "srv" / "app").write_bytes(b"old\n")
        link = tree / "etc" / "cron.d" / "link"
        link.symlink_to("/srv/app")
        spot, found = found_at("/etc/cron.d/link", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert link.is_symlink()
        assert (tree / "srv" / "app").read_bytes() == b"new\n"

    @pytest.mark.parametrize("how", ["edited", "appended", "replaced", "kept its time"])
    def test_an_edit_by_somebody_else_is_not_lost(self, tree: Path, how: str) -> None:
        path = tree / "etc" / "cron.d" / "app"
        spot, found = found_at("/etc/cron.d/app", tree)
        if how == "edited":
            path.write_bytes(b"two\n")
        elif how == "appended":
            with path.open("ab") as file:
                file.write(b"more\n")
        elif how == "replaced":
            (path.parent / "next").write_bytes(b"old\n")
            os.rename(path.parent / "next", path)
        else:
            path.write_bytes(b"two\n")
            os.utime(path, ns=(found.facts.st_atime_ns, found.facts.st_mtime_ns))
        content = path.read_bytes()
        with spot, pytest.raises(Changed):
            rewrite(spot, found, b"new\n", b"new\n")
        assert path.read_bytes() == content
        assert entries(path.parent) == {"app"}

    def test_an_edit_at_the_last_moment_is_not_lost(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the last look and the exchange of the two files."""
        path = tree / "etc" / "cron.d" / "app"
        spot, found = found_at("/etc/cron.d/app", tree)
        exchange = filesystems._rename2
        calls = []

        def edit_first(*arguments: t.Any) -> None:
            if not calls:
                path.write_bytes(b"two\n")
                os.utime(path, ns=(found.facts.st_atime_ns, found.facts.st_mtime_ns))
            calls.append(arguments)
            exchange(*arguments)

        monkeypatch.setattr(filesystems, "_rename2", edit_first)
        with spot, pytest.raises(Changed):
            rewrite(spot, found, b"new\n", None)
        assert len(calls) == 2
        assert path.read_bytes() == b"two\n"
        assert entries(path.parent) == {"app"}

    def test_a_kernel_without_an_exchange(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(*_arguments: t.Any) -> t.NoReturn:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(filesystems, "_rename2", missing)
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            assert rewrite(spot, found, b"new\n", None) == REPLACED
        assert (tree / "etc" / "cron.d" / "app").read_bytes() == b"new\n"
        assert entries(tree / "etc" / "cron.d") == {"app"}

    def test_a_draft_that_was_left_behind(self, tree: Path) -> None:
        directory = tree / "etc" / "cron.d"
        (directory / DRAFT).write_bytes(b"half of")
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            rewrite(spot, found, b"new\n", None)
        assert entries(directory) == {"app"}

    def test_a_draft_that_is_none_of_ours(self, tree: Path) -> None:
        directory = tree / "etc" / "cron.d"
        (directory / DRAFT).mkdir()
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot, pytest.raises(OSError, match=r"directory|permitted"):
            rewrite(spot, found, b"new\n", None)
        assert (directory / "app").read_bytes() == b"old\n"

    def test_two_runs_take_turns(self, tree: Path) -> None:
        spot, found = found_at("/etc/cron.d/app", tree)
        other, _found = found_at("/etc/cron.d/app", tree)
        with spot, other, filesystems._alone(spot):
            started = time.monotonic()
            with pytest.raises(Unsafe, match="locked by another process"):
                rewrite(other, found, b"new\n", None)
            assert time.monotonic() - started > 4


class TestInPlace:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(old=st.binary(max_size=64), new=st.binary(max_size=64))
    def test_any_content_becomes_any_other(self, tmp_path: Path, old: bytes, new: bytes) -> None:
        path = tmp_path / "app"
        path.write_bytes(old)
        before = path.stat()
        spot, found = found_at("/app", tmp_path)
        with spot:
            filesystems._write_in_place(spot, found, new)
        assert path.read_bytes() == new
        after = path.stat()
        assert after.st_ino == before.st_ino
        assert int(after.st_mtime) > int(before.st_mtime)

    def test_what_was_edited_meanwhile_is_left(self, tree: Path) -> None:
        path = tree / "etc" / "cron.d" / "app"
        spot, found = found_at("/etc/cron.d/app", tree)
        path.write_bytes(b"other\n")
        with spot, pytest.raises(Changed):
            filesystems._write_in_place(spot, found, b"new\n")
        assert path.read_bytes() == b"other\n"

    @needs_root
    def test_a_directory_in_which_nothing_can_be_made(self, tree: Path) -> None:
        """As with one that is immutable; the file in it may be written all the same."""
        directory = tree / "etc" / "cron.d"
        spot, found = found_at("/etc/cron.d/app", tree)
        with spot:
            flags = filesystems._FS_IMMUTABLE
            try:
                set_flags(directory, flags)
            except OSError as error:
                pytest.skip(f"the file system of the temp directory keeps no flags: {error.strerror}")
            try:
                assert rewrite(spot, found, b"new\n", b"new in place\n") == IN_PLACE
            finally:
                set_flags(directory, 0)
        assert (directory / "app").read_bytes() == b"new in place\n"

    @needs_root
    @pytest.mark.parametrize("flag,word", [(0x10, "immutable"), (0x20, "append-only")])
    def test_an_immutable_file_is_left(self, tree: Path, flag: int, word: str) -> None:
        path = tree / "etc" / "cron.d" / "app"
        try:
            set_flags(path, flag)
        except OSError as error:
            pytest.skip(f"the file system of the temp directory keeps no flags: {error.strerror}")
        try:
            spot, found = found_at("/etc/cron.d/app", tree)
            with spot:
                assert word in str(obstacle(spot, found.facts, {0}))
                with pytest.raises(OSError, match="permitted"):
                    rewrite(spot, found, b"new\n", b"new\n")
            assert path.read_bytes() == b"old\n"
            assert entries(path.parent) == {"app"}
        finally:
            set_flags(path, 0)


def set_flags(path: Path, flags: int) -> None:
    """FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, see ioctl_iflags(2)."""
    fd = os.open(path, os.O_RDONLY)
    try:
        others = struct.unpack("l", fcntl.ioctl(fd, filesystems._FS_IOC_GETFLAGS, struct.pack("l", 0)))[0] & ~0x30
        fcntl.ioctl(fd, 0x40006602 | (struct.calcsize("l") << 16), struct.pack("l", others | flags))
    finally:
        os.close(fd)
