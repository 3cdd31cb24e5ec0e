#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
#
# Build the docs site into .work/docs/html: guides, runbooks, every module, role, filter and callback. A warning fails it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/.work/venv-docs/bin:$PATH
export PATH
rm -rf "$root/.work/docs"
# It takes no directory that others can write.
mkdir -p "$root/.work/docs" && mkdir -m 700 "$root/.work/docs/rst"
antsibull-docs --config-file "$root/tests/toolchain/docsite/antsibull-docs.cfg" collection \
    --use-current --squash-hierarchy --fail-on-error --dest-dir "$root/.work/docs/rst" hostcare.remediation
sphinx-build -q -W --keep-going -c "$root/tests/toolchain/docsite" "$root/.work/docs/rst" "$root/.work/docs/html"
echo "built .work/docs/html/index.html, $(find "$root/.work/docs/html" -name '*.html' | wc -l) pages"
