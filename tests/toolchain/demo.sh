#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# One disposable host, a real fork bomb, the playbook; before and after on the screen. Removes the host at the end.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
host=hostcare-bookworm
address=10.89.77.12
files=$root/.work/testhosts
PATH=$root/.work/venv-newest/bin:$PATH
CONTAINERS_CONF=$files/containers.conf
TESTHOSTS=$host,bookworm-ssh,localhost
ANSIBLE_STDOUT_CALLBACK=hostcare.remediation.plain
ANSIBLE_HOST_KEY_CHECKING=false
ANSIBLE_SSH_ARGS='-o ControlMaster=auto -o ControlPersist=15m'
export PATH CONTAINERS_CONF TESTHOSTS ANSIBLE_STDOUT_CALLBACK ANSIBLE_HOST_KEY_CHECKING ANSIBLE_SSH_ARGS

if podman container exists $host; then
    echo "there is a test host $host already, so another run may be at work: wait for its end, or make testhosts-clean"
    exit 1
fi

say() {
    printf '\n=== %s\n' "$*"
}

shell() {
    ssh -F none -i "$files/id_ed25519" -o UserKnownHostsFile="$files/known_hosts" -o StrictHostKeyChecking=accept-new \
        -o BatchMode=yes -o ConnectTimeout=10 -o LogLevel=ERROR root@$address "$@" 2>&1 | head -n 3
}

play() {
    echo "\$ ansible-playbook $*"
    ansible-playbook --inventory extensions/molecule/inventory "$@"
}

cleanup() {
    podman rm --force --time 0 $host >/dev/null 2>&1 || true
    podman network rm --force hostcare >/dev/null 2>&1 || true
    rm -rf /tmp/hostcare-cp
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

say "a disposable host: Debian bookworm with systemd and sshd"
ANSIBLE_STDOUT_CALLBACK=ansible.builtin.default molecule --base-config extensions/molecule/config.yml create >"$files/demo.log" 2>&1 ||
    { tail -n 20 "$files/demo.log"; exit 1; }
echo "$host is up"

say "an operator's connection, opened before the trouble, as a nightly triage leaves one"
play hostcare.remediation.triage -e hostcare_hosts=bookworm-ssh -e triage_directory="$files/before" -e triage_report_top=3

say "a fork bomb goes off in a service of bob's"
podman exec $host cp /bin/bash /usr/local/bin/rogue
podman exec $host systemd-run --quiet --unit=storm --uid=bob --property=TasksMax=infinity \
    --property=RemainAfterExit=yes /usr/local/bin/rogue -c 'bomb() { bomb | bomb & }; bomb'
sleep 5
echo '$ podman exec host ls'
podman exec $host ls 2>&1 | head -n 2 || true
echo '$ ssh root@host ls'
shell ls || true

say "the playbook, told nothing: it names its suspect and changes nothing"
play hostcare.remediation.process_storm -e hostcare_hosts=bookworm-ssh -e hostcare_session_timeout=5m ||
    echo "(it stops here, as it should: nobody said whom to end)"

say "the same, told whom: freeze all, prove it, end them"
play hostcare.remediation.process_storm -e hostcare_hosts=bookworm-ssh -e hostcare_session_timeout=5m \
    -e '{"process_storm_selector": {"name": ["rogue"], "user": ["bob"]}, "process_storm_max_victims": 2000}'

say "after it"
echo '$ ssh root@host uptime'
shell uptime
say "done; the host is removed"
