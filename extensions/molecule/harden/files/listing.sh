#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# All of /etc: kind, mode, owner, target and content of everything, but for what podman writes at each start.
cd /etc || exit
find . ! -name hosts ! -name resolv.conf ! -name hostname -printf '%p %y %m %U:%G %l\n' | sort
find . -type f ! -name hosts ! -name resolv.conf ! -name hostname -exec sha256sum {} + | sort -k 2
