#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# shell_loop.sh NAME: the loop that circulates for hosts on which nothing can be started: five passes of SIGSTOP over
# /proc, one of SIGKILL, builtins only. It goes by name: another user's process of that name is no exception.

signal_all() {
    for directory in /proc/[0-9]*; do
        read -r pid name _ <"$directory/stat" || continue
        [ "$name" = "($2)" ] && kill "$1" "$pid"
    done
}

exec 2>/dev/null
for _ in 1 2 3 4 5; do
    signal_all -STOP "$1"
done
signal_all -KILL "$1"
