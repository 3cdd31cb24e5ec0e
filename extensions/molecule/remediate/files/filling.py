# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A service that has leaked descriptors for weeks and goes on; once it has been restarted it is another version."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

MENDED = Path("/run/filling.mended")
LEFT = 500  # pipes, of two descriptors each: enough for some minutes


def main() -> None:
    leaks = not MENDED.exists()
    MENDED.touch()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for _number in range(limit // 2 - LEFT if leaks else 0):
        os.pipe()
    while True:
        if leaks:
            with contextlib.suppress(OSError):
                os.pipe()
        time.sleep(0.5)


if __name__ == "__main__":
    main()
