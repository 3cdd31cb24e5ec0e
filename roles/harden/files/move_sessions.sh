#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
# All processes of a unit but its main one go to a scope of their own: move_sessions.sh UNIT
# Only builtins between looking and moving: what has ended meanwhile cannot be moved.
set -u
cgroup=$(systemctl show --property=ControlGroup --value "$1") && main=$(systemctl show --property=MainPID --value "$1") || exit
for top in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
    [ -e "$top$cgroup/cgroup.procs" ] && break
done
[ -n "$cgroup" ] && [ -e "$top$cgroup/cgroup.procs" ] || exit 0
count=0 pids=
while read -r pid; do
    [ "$pid" = "$main" ] || { pids="$pids $pid" count=$((count + 1)); }
done <"$top$cgroup/cgroup.procs"
[ "$count" = 0 ] && exit 0
# shellcheck disable=SC2086  # each number is a word of its own
busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit \
    'ssa(sv)a(sa(sv))' "hostcare-sessions-$$.scope" fail 3 PIDs au "$count" $pids \
    Slice s user.slice CollectMode s inactive-or-failed 0 >/dev/null || exit
# It has queued that.
tries=50
while [ "$tries" -gt 0 ]; do
    count=0
    while read -r pid; do
        [ "$pid" = "$main" ] || count=$((count + 1))
    done <"$top$cgroup/cgroup.procs"
    [ "$count" = 0 ] && exit 0
    sleep 0.1
    tries=$((tries - 1))
done
echo "$count processes are still in $cgroup" >&2
exit 1
