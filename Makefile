# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

# Every target sets up what it needs below .work, once. Nothing outside .work is written, but for the Debian packages
# that `make test` and `make packages` install as root.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:

# The interpreter that runs the set-up; the tests choose theirs (tests/toolchain/interpreters.py).
PYTHON ?= python3
TOOLCHAIN := tests/toolchain
PINS := $(wildcard $(TOOLCHAIN)/requirements-*.txt)
SET_UP := $(TOOLCHAIN)/environments.py $(TOOLCHAIN)/interpreters.py $(PINS)

export PYTHONDONTWRITEBYTECODE := 1
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.work/collections:$(CURDIR)/.work/thirdparty

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- set-up: one stamp for each kind of environment, so that a second run costs nothing ---

.PHONY: venv
venv: .work/core.stamp .work/lint.stamp .work/unit.stamp .work/thirdparty/.complete ## build the virtual environments below .work

.work/%.stamp: $(SET_UP)
	@$(PYTHON) $(TOOLCHAIN)/environments.py $*
	@touch $@

.work/thirdparty/.complete: $(TOOLCHAIN)/third_party.py | .work/core.stamp
	@.work/venv-newest/bin/python $(TOOLCHAIN)/third_party.py
	@touch $@
