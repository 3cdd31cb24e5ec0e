#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# packages.sh python|tests: see to the Debian packages a target needs. As root they are installed;
# otherwise what is missing is named, and that is the end of it.
set -eu

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
case "${1:-}" in
python)
    # Any python3 that can make virtual environments will do; Debian keeps that part in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="python3 python3-venv"
    ;;
tests)
    # To build bombs (gcc libc6-dev), to watch a module (strace), peers to measure against (procps psmisc lsof,
    # lsfd of util-linux-extra),
    # a private sshd, a browser for the page, promtool for the alerting rules, and the test hosts (podman with runc and
    # netavark, their images by mmdebstrap).
    for package in gcc libc6-dev strace procps psmisc lsof util-linux-extra \
        sudo openssh-client openssh-server git shellcheck \
        postgresql \
        chromium fonts-dejavu-core \
        prometheus \
        podman runc netavark aardvark-dns iptables mmdebstrap debian-archive-keyring ca-certificates; do
        installed "$package" || missing="${missing:+$missing }$package"
    done
    # For ansible-rulebook, which takes any Java from 17 on.
    command -v java >/dev/null || missing="${missing:+$missing }default-jre-headless"
    ;;
*)
    echo "usage: $0 python|tests" >&2
    exit 2
    ;;
esac

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: $missing" >&2
    echo "Run 'apt-get install $missing' as root on Debian, or this target as root." >&2
    exit 1
fi

# openssh-server would start a daemon on this machine; the tests start their own, elsewhere.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 0755 $policy
fi

echo "installing Debian packages: $missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "apt-get update failed in part; going on with the lists at hand" >&2
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 $missing >/dev/null
