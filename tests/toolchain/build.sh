#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# Build the collection into .work/build and let the importer of Ansible Galaxy judge it: it fails on what Galaxy refuses.
# Then install it where there is nothing else, neither a home nor a setting nor another collection, and run it with what
# a machine needs of it: meta, plugins, roles, playbooks.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/.work/venv-importer/bin
PATH=$bin:$PATH
export PATH
rm -rf "$root/.work/build"
mkdir -p "$root/.work/build"
ansible-galaxy collection build "$root" --output-path "$root/.work/build"
cd "$root/.work/build"
python -m galaxy_importer.main ./*.tar.gz
tar -tzf ./*.tar.gz | sort

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
mkdir "$clean/home" "$clean/here"
cp ./*.tar.gz "$clean"
cd "$clean/here"
alone() {
    env -i HOME="$clean/home" PATH="$bin:/usr/bin:/bin" LC_ALL=C.UTF-8 ANSIBLE_COLLECTIONS_PATH="$clean/collections" "$@"
}
alone ansible-galaxy collection install --offline --no-deps --collections-path "$clean/collections" "$clean"/*.tar.gz
installed=$clean/collections/ansible_collections/hostcare/remediation
for entry in "$installed"/* "$installed"/.[!.]*; do
    case ${entry##*/} in
    meta | plugins | roles | playbooks | MANIFEST.json | FILES.json) ;;
    *) rm -rf "$entry" ;;
    esac
done
play() {
    alone ANSIBLE_STDOUT_CALLBACK=hostcare.remediation.plain ansible-playbook --inventory localhost, --connection local \
        --extra-vars ansible_python_interpreter=/usr/bin/python3 "$@" >said || { cat said; exit 1; }
    cat said
}
play hostcare.remediation.triage
grep -q '^TRIAGE  1 host' said
grep -q '<title>Triage: ' triage/triage.html
play hostcare.remediation.process_storm --check
grep -q '^PROCESS SLOTS' said
echo "runs from the tarball alone: triage wrote its table and its page, process_storm assessed"
