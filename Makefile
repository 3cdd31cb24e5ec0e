# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors

# Every target sets up what it needs below .work, once. Nothing else on this machine is changed, but for the Debian
# packages that some targets install when they are run as root.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:

# The interpreter that runs the set-up; the tests choose theirs (tests/toolchain/interpreters.py).
PYTHON ?= python3
# Tries for each scenario of the benchmark.
TRIES ?= 100
# More arguments for what a target runs: make integration ARGS="-k hidepid", make triage ARGS=-vvv
ARGS ?=
# Narrows the matrix: make molecule CORES=2.19
CORES ?=
export CORES

TOOLCHAIN := tests/toolchain
SET_UP := $(TOOLCHAIN)/environments.py $(TOOLCHAIN)/interpreters.py $(wildcard $(TOOLCHAIN)/requirements-*.txt)
LINT := .work/venv-lint/bin
NEWEST := .work/venv-newest/bin

# What runs on managed nodes, and the tests of it that run on its oldest Python; then what runs on the controller.
TARGET_CODE := $(wildcard plugins/modules plugins/module_utils plugins/doc_fragments tests/unit)
CONTROLLER_CODE := $(wildcard plugins/action plugins/callback plugins/filter plugins/test plugins/plugin_utils tests/integration tests/support \
	tests/benchmark tests/toolchain extensions)

# Compiled once: without, each of the many starts of ansible takes three times as long. Empty means that it may be written.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.work/pycache
export PYTHONDONTWRITEBYTECODE :=
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.work/hypothesis
export ANSIBLE_HOME := $(CURDIR)/.work/ansible
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.work/collections:$(CURDIR)/.work/thirdparty

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- the two that a newcomer needs ---

.PHONY: triage
triage: .work/triage.stamp ## what this machine is running out of, as a table and a page; changes nothing
	@ANSIBLE_STDOUT_CALLBACK=hostcare.remediation.plain ANSIBLE_LOCALHOST_WARNING=false \
		.work/venv-triage/bin/ansible-playbook playbooks/triage.yml \
		--inventory localhost, --connection local \
		--extra-vars ansible_python_interpreter=$(CURDIR)/.work/venv-triage/bin/python \
		--extra-vars triage_directory=$(CURDIR)/.work/triage $(ARGS)

.PHONY: demo
demo: .work/core.stamp .work/thirdparty/.complete testhosts-images ## a disposable host, a fork bomb, the playbook: before and after; root
	@$(TOOLCHAIN)/demo.sh

.PHONY: test
test: .work/python.stamp ## every test there is, with progress and a summary
	@$(PYTHON) $(TOOLCHAIN)/every_step.py $(MAKE)

# --- pieces, from seconds to minutes ---

.PHONY: unit
unit: .work/unit.stamp ## unit tests on the oldest and the newest Python at hand
	@failed=; \
	for python in .work/venv-unit-*/bin/python; do \
		$$python -m pytest -q tests/unit $(ARGS); code=$$?; \
		if [ $$code = 1 ]; then \
			echo "failed, on a busy machine perhaps for want of time, and tried once more:"; \
			$$python -m pytest -q tests/unit $(ARGS) --last-failed; code=$$?; \
		fi; \
		[ $$code = 0 ] || failed=1; \
	done; \
	test -z "$$failed"

.PHONY: types
types: .work/lint.stamp ## mypy, strict, on the plugins and on the toolchain
	@failed=; \
	$(LINT)/mypy -p ansible_collections.hostcare.remediation.plugins || failed=1; \
	$(LINT)/mypy $(TOOLCHAIN) || failed=1; \
	test -z "$$failed"

.PHONY: lint
lint: export NO_COLOR := 1
lint: export PATH := $(CURDIR)/$(LINT):$(PATH)
lint: .work/lint.stamp .work/thirdparty/.complete ## ruff for target and controller code, yamllint, ansible-lint, changelog
	@failed=; \
	ruff check --config ruff-target.toml $(TARGET_CODE) || failed=1; \
	ruff check --config ruff-controller.toml $(CONTROLLER_CODE) || failed=1; \
	ruff format --diff --config ruff-target.toml $(TARGET_CODE) || failed=1; \
	ruff format --diff --config ruff-controller.toml $(CONTROLLER_CODE) || failed=1; \
	yamllint --strict . || failed=1; \
	ansible-lint --offline || failed=1; \
	antsibull-changelog lint || failed=1; \
	python tests/toolchain/role_readmes.py --check || failed=1; \
	test -z "$$failed"

.PHONY: readmes
readmes: .work/lint.stamp ## write the variables of the roles, as their argument specs have them, into their READMEs
	@$(LINT)/python tests/toolchain/role_readmes.py

.PHONY: format
format: .work/lint.stamp ## let ruff mend what it can, and lay out the code
	@$(LINT)/ruff check --fix --config ruff-target.toml $(TARGET_CODE)
	@$(LINT)/ruff check --fix --config ruff-controller.toml $(CONTROLLER_CODE)
	@$(LINT)/ruff format --config ruff-target.toml $(TARGET_CODE)
	@$(LINT)/ruff format --config ruff-controller.toml $(CONTROLLER_CODE)

.PHONY: sanity
sanity: .work/core.stamp .work/tests.stamp ## ansible-test sanity with each ansible-core, without one ignore entry
	@$(PYTHON) $(TOOLCHAIN)/sanity.py $(CORES)

.PHONY: build
build: .work/importer.stamp ## build the collection, put it through the importer of Ansible Galaxy, run it from the tarball alone
	@$(TOOLCHAIN)/build.sh

.PHONY: docs
docs: .work/docs.stamp ## build the docs site, with warnings as errors
	@$(TOOLCHAIN)/docs.sh

.PHONY: integration
integration: .work/core.stamp .work/automation.stamp .work/tests.stamp .work/thirdparty/.complete ## integration tests with each ansible-core; root
	@$(PYTHON) $(TOOLCHAIN)/each_core.py integration $(ARGS)

.PHONY: molecule
molecule: .work/core.stamp .work/automation.stamp .work/thirdparty/.complete testhosts-images ## Molecule on real hosts with each ansible-core; root
	@$(PYTHON) $(TOOLCHAIN)/each_core.py molecule $(ARGS)

.PHONY: benchmark
benchmark: .work/core.stamp .work/tests.stamp ## measure against peers and a C program, TRIES=100 a scenario; root
	@$(NEWEST)/python tests/benchmark/run.py --tries $(TRIES) $(ARGS)

.PHONY: changelog
changelog: export PATH := $(CURDIR)/$(LINT):$(PATH)
changelog: .work/lint.stamp ## fold the changelog's fragments into the release of galaxy.yml and renew its plugin list
	@antsibull-changelog release --update-existing --reload-plugins --refresh-plugins

# --- set-up ---

.PHONY: packages
packages: .work/python.stamp .work/tests.stamp ## install the Debian packages the tests use; root

.PHONY: venv
venv: .work/core.stamp .work/lint.stamp .work/unit.stamp .work/automation.stamp .work/thirdparty/.complete ## build the virtual environments

.PHONY: testhosts-images
testhosts-images: .work/tests.stamp ## make the base images of the test hosts, a key, and settings for podman; root
	@$(PYTHON) $(TOOLCHAIN)/testhosts.py

.PHONY: testhosts-clean
testhosts-clean: ## remove the test hosts and their images
	@$(TOOLCHAIN)/testhosts_clean.sh

.PHONY: clean
clean: ## remove everything below .work
	rm -rf .work

# Debian packages: python (python3-venv) for any environment at all, tests for what leaves Python.
.work/python.stamp .work/tests.stamp: .work/%.stamp: $(TOOLCHAIN)/packages.sh
	@$(TOOLCHAIN)/packages.sh $*
	@mkdir -p .work && touch $@

.work/%.stamp: $(SET_UP) | .work/python.stamp
	@$(PYTHON) $(TOOLCHAIN)/environments.py $*
	@touch $@

.work/thirdparty/.complete: $(TOOLCHAIN)/third_party.py | .work/core.stamp
	@$(NEWEST)/python $(TOOLCHAIN)/third_party.py
	@touch $@
