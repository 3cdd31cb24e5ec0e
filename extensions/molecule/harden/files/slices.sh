#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# The tasks and the limit of each slice, by builtins of the shell. "limits" shows those that have a limit, and no tasks;
# "full SLICE..." tells whether these have as many tasks as they may.
for top in /sys/fs/cgroup/pids /sys/fs/cgroup; do
    [ -e "$top/user.slice/pids.current" ] && break
done
if [ "${1:-}" = full ]; then
    shift
    for slice in "$@"; do
        read -r tasks <"$top/$slice/pids.current" && read -r limit <"$top/$slice/pids.max" || exit 2
        echo "$slice $tasks of $limit"
        [ "$tasks" -ge "$limit" ] || exit 1
    done
    exit 0
fi
for slice in user.slice system.slice machine.slice hostcare.slice; do
    [ -e "$top/$slice/pids.max" ] || continue
    read -r tasks <"$top/$slice/pids.current"
    read -r limit <"$top/$slice/pids.max"
    if [ "${1:-}" != limits ]; then
        echo "$slice $tasks of $limit"
    elif [ "$limit" != max ]; then
        echo "$slice $limit"
    fi
done
[ "${1:-}" = limits ] || { read -r load </proc/loadavg && echo "load $load"; }
