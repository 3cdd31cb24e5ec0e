# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that hangs, as one whose server has gone: hanging.py DIRECTORY.

It is mounted through FUSE, has one file, ``log``, can open and unlink it, and says "ready". From its first line of
input on it answers nothing at all, so whoever asks it for anything waits until the mount or this process ends.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading

# include/uapi/linux/fuse.h
_IN_HEADER, _OUT_HEADER = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
_LOOKUP, _GETATTR, _UNLINK, _OPEN, _INIT, _FLUSH, _RELEASE = 1, 3, 10, 14, 26, 25, 18
_ROOT, _FILE = 1, 2
_ENOENT, _ENOSYS = 2, 38


def _attributes(node: int) -> bytes:
    mode, size = (0o40755, 0) if node == _ROOT else (0o100644, 4096)
    return struct.pack("=QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)


def _answer(opcode: int, node: int, body: bytes) -> tuple[int, bytes]:
    """An errno, and what follows the header."""
    if opcode == _INIT:
        return 0, struct.pack("=IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)
    if opcode == _LOOKUP:
        if body.rstrip(b"\0") != b"log":
            return _ENOENT, b""
        return 0, struct.pack("=QQQQII", _FILE, 0, 0, 0, 0, 0) + _attributes(_FILE)
    if opcode == _GETATTR:
        return 0, struct.pack("=QII", 0, 0, 0) + _attributes(node)
    if opcode == _OPEN:
        return 0, struct.pack("=QII", 1, 0, 0)
    return (0, b"") if opcode in (_UNLINK, _FLUSH, _RELEASE) else (_ENOSYS, b"")


def main(directory: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hang", directory.encode(), b"fuse", 0, options.encode()) != 0:
        sys.exit(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    hangs = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), hangs.set()), daemon=True).start()
    print("ready", flush=True)
    while True:
        request = os.read(device, 1 << 17)
        _length, opcode, unique, node, *_rest = _IN_HEADER.unpack(request[: _IN_HEADER.size])
        if hangs.is_set():
            continue
        error, body = _answer(opcode, node, request[_IN_HEADER.size :])
        os.write(device, _OUT_HEADER.pack(_OUT_HEADER.size + len(body), -error, unique) + body)


if __name__ == "__main__":
    main(sys.argv[1])
