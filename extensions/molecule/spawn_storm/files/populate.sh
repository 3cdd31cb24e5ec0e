#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# populate.sh SERVICE_THROTTLE_TIME: services that fail, services that work, and a Postfix whose own throttle takes so long.
set -e
lib=/usr/local/lib/spawn
mkdir -p /run/spawn
cd /run/spawn
touch crash bare postfix twin bob operator
chown bob bob
chown operator operator

# Where systemd limits no processes in here, the services get cgroups of the same names in a hierarchy that does.
pids=''
made=''
for at in /sys/fs/cgroup/pids /sys/fs/cgroup; do
    [ -z "$pids" ] && [ -e "$at/system.slice/cron.service/pids.max" ] && pids=$at
done
[ -n "$pids" ] || made=/run/pids
echo "${pids:-$made}" >pids
if [ -n "$made" ]; then
    mkdir -p "$made"
    mount -t cgroup -o pids pids "$made"
fi
chmod 755 $lib/*
cp $lib/*.service /run/systemd/system/
cp $lib/failing /usr/lib/postfix/sbin/failing

# cron: a job that forks without end, with a child that is stopped and one that is deaf, beside a job that works.
mkdir -p /run/systemd/system/cron.service.d
cat >/run/systemd/system/cron.service.d/spawn.conf <<'UNIT'
[Service]
ExecStart=
ExecStart=/bin/sh -c '/usr/local/lib/spawn/join; exec /usr/sbin/cron -f'
TasksMax=400
UNIT
cat >/etc/cron.d/spawn <<'JOBS'
@reboot root /usr/local/lib/spawn/forks
@reboot root /usr/local/lib/spawn/job
JOBS
rm -f /run/crond.reboot

# Postfix: five services that fail at their first job, which is there once somebody connects.
for port in 10991 10992 10993 10994 10995; do
    postconf -M "127.0.0.1:$port/inet=127.0.0.1:$port inet n - n - 1 failing postfix"
done
postconf -e "service_throttle_time = $1" inet_protocols=ipv4
systemctl daemon-reload
systemctl restart cron postfix twin.service probe.service
if [ -n "$made" ]; then
    for unit in postfix@-.service postfix.service; do
        from=$(find /sys/fs/cgroup -type d -name "$unit" -path '*system.slice*' | head -n 1)
        [ -n "$from" ] || continue
        while read -r pid; do
            mkdir -p "$made/system.slice/$unit"
            echo "$pid" >"$made/system.slice/$unit/cgroup.procs" || :
        done <"$from/cgroup.procs"
    done
    echo 400 >"$made/system.slice/cron.service/pids.max"
fi
python3 $lib/spawn.py remember
