#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# Remove what the test hosts left on this machine outside .work: containers, their network, their images.
set -eu

CONTAINERS_CONF=$(cd "$(dirname "$0")/../.." && pwd)/.work/testhosts/containers.conf
[ -e "$CONTAINERS_CONF" ] || exit 0
export CONTAINERS_CONF

podman ps --all --quiet --filter 'name=^hostcare-' | xargs -r podman rm --force --time 1
podman network rm --force hostcare >/dev/null 2>&1 || true
podman images --quiet --filter 'reference=localhost/hostcare-testhost' | sort -u | xargs -r podman rmi --force
podman images --quiet --filter 'reference=localhost/hostcare-execution-environment' | sort -u | xargs -r podman rmi --force
podman images --quiet --filter 'reference=localhost/hostcare-base' | sort -u | xargs -r podman rmi --force
rm -rf /tmp/hostcare-cp
