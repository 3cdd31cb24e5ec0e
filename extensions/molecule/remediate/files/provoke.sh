#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# provoke.sh HOST BOMB: let this host of the fleet run out of what it is named after, for real.
set -e
scenarios=$(cd "$(dirname "$0")/../.." && pwd)

# Its limits on semaphores are the host's own, but nothing else below /proc/sys is.
leak_arrays() {
    mount --bind /proc/sys/kernel/sem /proc/sys/kernel/sem
    mount -o remount,bind,rw /proc/sys/kernel/sem
    echo 250 32000 32 8 >/proc/sys/kernel/sem
    systemctl stop apache2
    cp "$scenarios/semaphore_leak/files/mutex.conf" /etc/apache2/conf-available/
    a2dismod -q mpm_event
    a2enmod -q mpm_prefork ssl
    a2enconf -q mutex
    python3 "$scenarios/semaphore_leak/files/arrays.py" innocent 0
    python3 "$scenarios/semaphore_leak/files/arrays.py" leak
}

case $1 in
    storm)
        cp /bin/bash /usr/local/bin/rogue
        systemd-run --unit=storm --uid=bob --property=TasksMax=infinity --property=RemainAfterExit=yes \
            /usr/local/bin/rogue -c "$2"
        ;;
    spawn)
        systemd-run --unit=crashing --property=Restart=always --property=StartLimitIntervalSec=0 \
            sh -c 'echo >>/run/starts; exit 1'
        ;;
    apache) leak_arrays ;;
    mail) python3 "$scenarios/cron_mail_storm/files/storm.py" provoke inodes 100 ;;
    files)
        systemd-run --unit=filling --property=LimitNOFILE=20000 --property=Restart=always \
            python3 "$scenarios/remediate/files/filling.py"
        ;;
    well | fine) python3 "$scenarios/remediate/files/well.py" remember ;;
    gone) ;;
    *)
        echo "no such incident: $1" >&2
        exit 1
        ;;
esac
