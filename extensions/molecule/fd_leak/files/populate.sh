#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# populate.sh UID: start those who leak and those who do not, and remember those who must not be touched. UID leaks
# instances of inotify.
set -e
here=$(cd "$(dirname "$0")" && pwd)
cp "$here"/leaky@.service "$here"/door@.service "$here"/door@.socket /etc/systemd/system/

run() {
    unit=$1
    shift
    systemd-run --quiet --unit="$unit" --property=LimitNOFILE=8000 python3 "$here/leaky.py" "$@"
}

systemctl daemon-reload
systemctl start leaky@pipe leaky@eventfd door@7001.socket door@7002.socket door@7001 door@7002 apache2
run crowd crowd
run forgetful forget
run rotator leak deleted
run client call
run innocent innocent
run load load
run asker ask 7001
run watcher leak inotify "$1"
python3 "$here/leaky.py" remember innocent client load asker apache2 ssh door@7002 crowd forgetful rotator watcher
