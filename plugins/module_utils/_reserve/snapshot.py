# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the host: its size, its pools, what is configured. Reads files only.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from .._kernel import cgroups, rlimits, sysv_ipc
from .._kernel.errors import Refused
from .._kernel.processes import ProcessTable, text
from . import host as at
from .arithmetic import Size
from .host import File, Host, Pool
from .options import IPC_NAMES
from .store import MAX_BYTES, parse
from .syntax import Text

_MOST_BYTES = 4 << 20
_UNIT_DIRECTORIES = (
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/etc/systemd/system",
    "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
)  # fmt: skip
_CONF_DIRECTORIES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_SSHD_UNITS = ("ssh.service", "sshd.service")
_PAM_MODULES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
_CAP_SYS_NICE, _CAP_SYS_RESOURCE = 23, 24
_LARGEST_SERVICES = 10
# Of the first namespaces of a machine, include/linux/proc_ns.h
_INITIAL_PIDS, _INITIAL_USERS = f"pid:[{0xEFFFFFFC}]", f"user:[{0xEFFFFFFD}]"


def take(root: str, proc_root: str, store_path: str, container_slices: t.Sequence[str]) -> Host:
    """``root`` is where the files are. Raises Refused where there is no /proc, or the originals are damaged."""
    return _Look(root.rstrip("/"), ProcessTable(proc_root), store_path).host(container_slices)


class _Look:
    def __init__(self, root: str, table: ProcessTable, store_path: str) -> None:
        self._root, self._table, self._store_path = root, table, store_path
        self._unread: list[str] = []

    def host(self, container_slices: t.Sequence[str]) -> Host:
        self._table.check()
        systemd = os.path.isdir(self._root + "/run/systemd/system")
        top = self._top("pids")
        of_processors = self._top("cpu")
        services = sorted(self._children(top, "system.slice", ".service"), key=lambda pool: -pool.tasks)
        store = self._store()
        sshd_unit = next((unit for unit in _SSHD_UNITS if self._unit_file(unit)), "")
        largest = [pool.name for pool in services[:_LARGEST_SERVICES]]
        units = ["user.slice", "user-.slice", "system.slice", at.PROTECTED_SLICE, *container_slices, *largest]
        users, loose, sshd, open_files = self._processes(systemd)
        capabilities = self._capabilities()
        held = {name: self._held(name) for name in ("nofile", "nproc")}
        found = Host(
            size=self._size(top),
            systemd=systemd,
            pids=bool(top),
            pools=tuple(self._children(top, "", "")),
            units=(*services, *self._children(top, "user.slice", ".slice")),
            cpu=bool(of_processors),
            weights=self._weights(of_processors),
            kernel_threads=self._kernel_threads,
            loose=loose,
            users=users,
            accounts=self._accounts(),
            sysctls=self._sysctls(),
            semaphores=self._semaphores(),
            nofile_hard=held["nofile"],
            nproc_hard=held["nproc"],
            may_raise=capabilities is None or bool(capabilities >> _CAP_SYS_RESOURCE & 1),
            may_nice=bool((capabilities or 0) >> _CAP_SYS_NICE & 1) and self._namespace("user") == _INITIAL_USERS,
            shares_users=self._shares_users(),
            nr_open=self._table.number("sys", "fs", "nr_open") or 1048576,
            open_files=open_files,
            files=self._files([*self._managed(sshd_unit, container_slices), *store.files]),
            directories=self._directories([*self._managed(sshd_unit, container_slices), *store.files]),
            unit_files={unit: self._unit_texts(unit) for unit in dict.fromkeys([*units, sshd_unit]) if unit},
            manager_files=self._texts(self._conf("systemd/system.conf")),
            journal_files=self._texts(self._conf("systemd/journald.conf")),
            limit_files=self._texts(["/etc/security/limits.conf", *self._listed("/etc/security/limits.d", ".conf")]),
            sysctl_files=self._texts([*self._named("sysctl.d"), "/etc/sysctl.conf"]),
            sshd_files=self._texts([*self._listed("/etc/ssh/sshd_config.d", ".conf"), "/etc/ssh/sshd_config"]),
            sshd_unit=sshd_unit,
            sshd_cgroup=sshd,
            sshd_nice=self._nice(self._listener()),
            pam_systemd=self._has_pam("pam_systemd.so"),
            pam_limits=self._has_pam("pam_limits.so"),
            store=store,
        )
        return found._replace(unread=tuple(dict.fromkeys(self._unread)))

    # --- the kernel ---

    def _size(self, top: str) -> Size:
        table = self._table
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        limits = {name: table.number("sys", "kernel", name) for name in ("pid_max", "threads-max")}
        for name, value in limits.items():
            if value is None:
                raise Refused(f"{table.root}/sys/kernel/{name} cannot be read, so there is nothing to reckon with.")
        return Size(
            limits["pid_max"] or 0,
            limits["threads-max"] or 0,
            os.cpu_count() or 1,
            (pages * page) >> 26 << 26,  # a kernel update shifts it by a few MiB
            cgroups.number(top, "pids.max") if top else None,
        )

    def _top(self, wanted: str) -> str:
        """The cgroup of the host in the tree of a controller; empty where its service manager does not have that."""
        mounts = cgroups.Hierarchies(self._table.root).mounts
        of_pid_1 = self._table.cgroups(1) or {}
        for controller in (wanted, ""):
            mount = mounts.get(controller)
            if mount is None or (controller == "cpu" and "cpuacct" not in mounts):
                continue  # systemd takes those two as one, and drops CPUWeight= where it does not have both
            path = of_pid_1.get(controller, "/")
            path = path[: -len("/init.scope")] if path.endswith("/init.scope") else path
            directory = mount.directory(path or "/")
            if directory is None:
                continue
            if controller == wanted or wanted in (cgroups.read(directory, "cgroup.controllers") or "").split():
                return directory
        return ""

    def _weights(self, top: str) -> dict[str, int]:
        """As systemd counts them, in both trees: 100 is 1024 shares (systemd.resource-control(5), CPUShares=)."""
        found = {}
        for name in os.listdir(top) if top else []:
            weight = cgroups.number(os.path.join(top, name), "cpu.weight")
            shares = cgroups.number(os.path.join(top, name), "cpu.shares")
            if weight is not None or shares is not None:
                found[text(name)] = weight if weight is not None else round((shares or 0) * 100 / 1024)
        return found

    def _children(self, top: str, parent: str, ending: str) -> list[Pool]:
        directory = os.path.join(top, parent) if parent else top
        found = []
        for name in sorted(os.listdir(directory)) if top and os.path.isdir(directory) else []:
            tasks = cgroups.number(os.path.join(directory, name), "pids.current")
            if name.endswith(ending) and tasks is not None:
                found.append(Pool(text(name), tasks, cgroups.number(os.path.join(directory, name), "pids.max")))
        return found

    def _processes(self, systemd: bool) -> tuple[dict[str, int], int, str, int]:
        """Threads of each user but root, processes in no unit, the cgroup of sshd's listener, the most open files."""
        users: dict[str, int] = {}
        loose, sshd, most = 0, "", 0
        listener = self._listener()
        self._kernel_threads = 0
        for process in self._table.scan():
            if process.is_kernel_thread:
                self._kernel_threads += 1
                continue
            status = self._table.status(process.pid)
            if status is not None and status.real_uid:
                user = str(status.real_uid)
                users[user] = users.get(user, 0) + process.threads
            path = self._table.unit_path(process.pid) if systemd else "/"
            loose += path == "/" and process.pid != 1
            if process.pid == listener:
                sshd = text(path)
            most = max(most, self._open_files(process.pid))
        return users, loose, sshd, most

    def _listener(self) -> int:
        """The main process of sshd, by the file it writes (sshd_config(5), PidFile)."""
        found = self._text("/run/sshd.pid")
        return int(found) if found and found.strip().isdigit() else 0

    def _open_files(self, pid: int) -> int:
        """Linux 6.2 and later; 0 before, where counting costs too much to ask of everybody."""
        try:
            return os.stat(f"{self._table.root}/{pid}/fd").st_size
        except OSError:
            return 0

    def _held(self, name: str) -> int | None:
        limits = rlimits.Rlimits(self._table.root).get(1, name)
        return limits.hard if limits else None

    def _capabilities(self) -> int | None:
        """What PID 1 may have at most (capabilities(7))."""
        try:
            with open(f"{self._table.root}/1/status", encoding="ascii", errors="replace") as file:
                line = next((line for line in file if line.startswith("CapBnd:")), "")
        except OSError:
            return None
        return int(line.split()[1], 16) if line else None

    def _nice(self, pid: int) -> int:
        """proc_pid_stat(5), field 19; what stands before the last parenthesis are the first two."""
        fields = (self._proc(f"{pid}/stat") or "").rpartition(")")[2].split()
        return int(fields[16]) if len(fields) > 16 else 0

    def _namespace(self, name: str) -> str:
        try:
            return os.readlink(f"{self._table.root}/self/ns/{name}")
        except OSError:
            return ""

    def _shares_users(self) -> bool:
        """A container that has processes of its own, and no users of its own (user_namespaces(7))."""
        pids, users = self._namespace("pid"), self._namespace("user")
        return users == _INITIAL_USERS and pids not in ("", _INITIAL_PIDS)

    def _sysctls(self) -> dict[str, str]:
        found = {}
        for name in ("kernel.pid_max", *IPC_NAMES):
            value = self._proc("sys/" + name.replace(".", "/"))
            if value is not None:
                found[name] = " ".join(value.split())
        return found

    def _semaphores(self) -> tuple[int, int, int]:
        arrays = sysv_ipc.Tables(self._table.root).read(sysv_ipc.SEMAPHORES) or []
        counts = [one.facts.nsems for one in arrays]
        return max(counts, default=0), sum(counts), len(counts)

    def _proc(self, path: str) -> str | None:
        try:
            with open(f"{self._table.root}/{path}", encoding="ascii") as file:
                return file.read()
        except (OSError, ValueError):
            return None

    # --- files ---

    def _managed(self, sshd_unit: str, container_slices: t.Sequence[str]) -> list[str]:
        slices = ["user.slice", "user-.slice", "system.slice", *container_slices]
        return [
            *(f"{at.SYSTEM}/{unit}.d/{at.NAME}" for unit in [*slices, *([sshd_unit] if sshd_unit else [])]),
            f"{at.SYSTEM}/{at.PROTECTED_SLICE}", at.MANAGER_TASKS, at.MANAGER_LIMITS, at.LIMITS, at.JOURNAL,
            at.SYSCTL_PID_MAX, at.SYSCTL_IPC, at.PAM_SSHD, at.PAM_OURS, at.PAM_NICE, at.MAIN_CF, at.MASTER_CF,
            *(f"{directory}/{at.APACHE_NAME}" for directory in at.APACHE_DIRECTORIES),
        ]  # fmt: skip

    def _files(self, paths: t.Iterable[str]) -> dict[str, File]:
        found = {path: self._file(path) for path in dict.fromkeys(paths)}
        return {path: file for path, file in found.items() if file is not None}

    def _file(self, path: str) -> File | None:
        try:
            fd = os.open(self._root + path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._unread.append(f"{path} cannot be read ({error.strerror})")
            return File(None, 0, 0, 0)
        try:
            facts = os.fstat(fd)
            content = None
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= _MOST_BYTES and not os.path.islink(self._root + path):
                with contextlib.suppress(UnicodeDecodeError):
                    content = _whole(fd).decode("utf-8")
            return File(content, stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid)
        finally:
            os.close(fd)

    def _directories(self, paths: t.Iterable[str]) -> frozenset[str]:
        found = set()
        for path in paths:
            above = os.path.dirname(path)
            while above != "/":
                if os.path.isdir(self._root + above):
                    found.add(above)
                above = os.path.dirname(above)
        return frozenset(found)

    def _text(self, path: str) -> str | None:
        """What does not decode is of no account here: names and numbers do."""
        try:
            with open(self._root + path, "rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8", "backslashreplace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            self._unread.append(f"{path} cannot be read ({error.strerror}): run as root")
            return None

    def _texts(self, paths: t.Iterable[str]) -> tuple[Text, ...]:
        found = [(path, self._text(path)) for path in paths]
        return tuple(Text(text(path), content) for path, content in found if content is not None)

    def _listed(self, directory: str, ending: str) -> list[str]:
        try:
            names = sorted(os.listdir(self._root + directory))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._unread.append(f"{directory} cannot be read ({error.strerror}): run as root")
            return []
        return [f"{directory}/{name}" for name in names if name.endswith(ending)]

    def _named(self, name: str) -> list[str]:
        """The files of all places, of one name the first (sysctl.d(5))."""
        by_name: dict[str, str] = {}
        for place in _CONF_DIRECTORIES:
            for path in self._listed(f"{place}/{name}", ".conf"):
                by_name.setdefault(os.path.basename(path), path)
        return [by_name[one] for one in sorted(by_name)]

    def _conf(self, name: str) -> list[str]:
        return [f"/etc/{name}", *self._named(name + ".d")]

    def _unit_file(self, unit: str) -> str:
        """Its own file; empty where there is none, or where it is an alias of another one."""
        for place in _UNIT_DIRECTORIES:
            path = f"{place}/{unit}"
            if os.path.isfile(self._root + path):
                return "" if os.path.basename(os.path.realpath(self._root + path)) != unit else path
        return ""

    def _unit_texts(self, unit: str) -> tuple[Text, ...]:
        by_name: dict[str, str] = {}
        for place in _UNIT_DIRECTORIES:
            for path in self._listed(f"{place}/{unit}.d", ".conf"):
                by_name.setdefault(os.path.basename(path), path)
        own = self._unit_file(unit)
        return self._texts([*([own] if own else []), *(by_name[name] for name in sorted(by_name))])

    def _accounts(self) -> frozenset[str]:
        found = self._text("/etc/passwd") or ""
        return frozenset(line.split(":")[0] for line in found.splitlines() if ":" in line)

    def _has_pam(self, module: str) -> bool:
        places = [place + "/security" for place in _PAM_MODULES]
        for place in _PAM_MODULES[:2]:  # Debian: one directory for each architecture
            names = os.listdir(self._root + place) if os.path.isdir(self._root + place) else []
            places += [f"{place}/{name}/security" for name in names if "-linux-" in name]
        return any(os.path.exists(f"{self._root}{place}/{module}") for place in places)

    def _store(self) -> at.Store:
        try:
            with open(self._root + self._store_path, "rb") as file:
                raw = file.read(MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return at.EMPTY_STORE
        except OSError as error:
            raise Refused(
                f"{self._store_path} cannot be read ({error.strerror}), and it keeps the files as they were: run as "
                f"root."
            ) from None
        return parse(raw, self._store_path)


def _whole(fd: int) -> bytes:
    parts: list[bytes] = []
    while True:
        part = os.read(fd, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
