#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# Build the collection into .work/build and let the importer of Ansible Galaxy judge it: it fails on what Galaxy refuses.
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
