# Everything this project does, each target with all that it needs below .venv/. Needs Python >= 3.11 with venv, and make.

# The system's own first: distributions build it with profile-guided optimization, pyenv by default does not, which takes half as long again
PYTHON ?= $(shell for python in /usr/bin/python3 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check
export PATH := $(CURDIR)/.venv/bin:$(PATH)

QUICK := unit nginx doctor django_layer
SCENARIOS := $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))

.PHONY: help demo demo-stop check lint docs $(QUICK) programs test django cores coverage mutants browser images e2e $(SCENARIOS:%=molecule-%) faults unreachable soak bench clean
.PHONY: changelog package release-check sanity
.DELETE_ON_ERROR:

help:
	@echo 'make demo       deploy a shop to two nodes on this machine, the second time under load'
	@echo 'make demo-stop  end the demo'
	@echo 'make check      lint, types, unit and template tests: under two minutes'
	@echo 'make FOLDER     the tests of one folder of tests/ alone, FOLDER is one of: $(QUICK)'
	@echo 'make programs   those unit tests that start Ansible, pip or manage.py: two minutes more'
	@echo 'make test       all of check, programs, package, browser and django, the end-to-end tests on the demo, and the scenarios on real systemd hosts'
	@echo 'make docs       write into the READMEs what stands elsewhere: variables of roles, and what make bench found'
	@echo 'make django     the Django app over every Django that it supports, as far as there is a Python for it'
	@echo 'make cores      the unit tests with each newer ansible-core, where a Python 3.12 or later is there'
	@echo 'make coverage   how many branches of plugins/ the tests that need no host reach, of which it wants 95%; ten minutes'
	@echo 'make mutants    change the Django app in small ways and list what its tests do not notice; a quarter of an hour'
	@echo 'make browser    the pages in a real browser, which is installed where root may do so'
	@echo 'make package    the artifact that is published: built, installed in an empty directory, and used there'
	@echo 'make sanity     the linters of Ansible itself on that artifact: ansible-test sanity and antsibull-docs; five minutes'
	@echo 'make molecule-S one scenario alone, S is one of: $(SCENARIOS)'
	@echo 'make faults     the kill matrix: a deploy whose controller is killed at each of its tasks and stages, under load; unreachable; and other faults. Hours'
	@echo 'make unreachable  a deploy to real systemd hosts that loses the sshd of one, at tasks that a seed chooses (UNREACHABLE_POINTS=, FAULTS_SEED=)'
	@echo 'make soak       a hundred deploys in a row under load, with faults that a seed chooses (SOAK_DEPLOYS=, FAULTS_SEED=)'
	@echo 'make bench      speed, as ratios measured in one run'
	@echo 'make changelog  CHANGELOG.md, of the fragments in changelogs/, for the version in galaxy.yml; they end with that'
	@echo 'make release-check VERSION=x.y.z  all that has to be so before a release: a list, each with ok or FAILED'
	@echo 'make clean      end the demo and remove what the targets made'

demo: .venv/demo.stamp
	python demo/demo.py run

demo-stop: .venv/demo.stamp
	python demo/demo.py stop

# What takes longest first, so that two at a time end together
check: .venv/check.stamp
	$(MAKE) --jobs=2 --keep-going --output-sync=target unit nginx lint doctor django_layer

lint: .venv/check.stamp
	ruff check .
	ruff format --check .
	mypy plugins demo/*.py docs/*.py tests benchmarks release molecule/*.py molecule/*/*.py molecule/*/tests roles/django_release/files/*/django_intermission
	yamllint --strict .
	ansible-lint
	antsibull-changelog lint

docs: .venv/check.stamp
	python docs/roles.py
	python docs/figures.py

# One process for each folder, not two that import everything for all of them
$(QUICK): .venv/check.stamp
	pytest -m 'not programs' tests/$@

# Prometheus's own tool, out of Debian's package, which is not installed. Where it cannot be had, what needs it is skipped
unit: .venv/bin/promtool
.venv/bin/promtool: | .venv/check.stamp
	@cd .venv && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; } >/dev/null 2>&1 \
		&& dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --to-stdout ./usr/bin/promtool >promtool \
		&& chmod 755 promtool && mv promtool bin/; rm -f prometheus_*.deb promtool
	@test -x $@ || echo 'promtool is not here, nor in a package of this system: what needs it is skipped' >&2

programs: .venv/check.stamp
	pytest -m programs tests/unit

# Three jobs at a time share the cores, those that take longest first. Of check's parts, django runs django_layer. Logs: .logs/
LONGEST := e2e:2 images molecule-default molecule-deploy molecule-fleet molecule-window programs molecule-published molecule-mariadb molecule-alternative molecule-existing
test: .venv/check.stamp .venv/hosts.stamp .venv/browser.stamp
	python tests/everything.py $(LONGEST) $(filter-out $(LONGEST),$(SCENARIOS:%=molecule-%)) unit django nginx lint browser doctor package

django: .venv/check.stamp
	python tests/django_versions.py

cores: .venv/check.stamp
	python tests/core_versions.py

coverage: .venv/check.stamp
	python tests/plugin_branches.py

mutants: .venv/mutants.stamp
	python tests/mutants.py $(SHOW)

# Chromium, and fonts for each language of the page. What visitors would see is in .logs/screenshots/
CHROMIUM := apt-get install -y --no-install-recommends chromium fonts-noto-core fonts-noto-cjk
browser: .venv/browser.stamp
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q \
		&& DEBIAN_FRONTEND=noninteractive $(CHROMIUM) -q -o DPkg::Lock::Timeout=300; } \
		|| { echo 'Chromium is not here. On Debian, as root: $(CHROMIUM)' >&2; exit 1; }
	pytest --durations=5 tests/browser

package: .venv/package.stamp
	pytest --durations=5 tests/package

sanity: .venv/sanity.stamp
	python tests/ansible_sanity.py

# Each worker makes a demo for itself. In the order of the files, so that what test_demo.py looks at is as the demo left it.
e2e: .venv/hosts.stamp
	pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=25 tests/e2e

# The matrix goes on where it was interrupted. Its table is .logs/kill-matrix.md; POINTS names points to be tried alone
faults: .venv/check.stamp
	pytest --durations=25 tests/faults
	PYTHONPATH=tests:collections python -m faults.matrix $(POINTS)
	$(MAKE) unreachable

# Hosts that an interrupted run has left may have no sshd
unreachable: export MOLECULE_GLOB := molecule/*/molecule.yml
unreachable: .venv/hosts.stamp
	molecule destroy --scenario-name deploy
	molecule converge --scenario-name deploy && PYTHONPATH=tests:collections python -m faults.unreachable; \
		status=$$?; molecule destroy --scenario-name deploy && exit $$status

soak: .venv/check.stamp
	PYTHONPATH=tests:collections python -m faults.soak

images: .venv/hosts.stamp
	python molecule/lab/lab.py bookworm
	python molecule/lab/lab.py trixie

$(SCENARIOS:%=molecule-%): molecule-%: .venv/hosts.stamp
	COLUMNS=160 MOLECULE_GLOB='molecule/*/molecule.yml' molecule test --scenario-name $*

bench: .venv/bench.stamp .venv/hosts.stamp
	python -m benchmarks

changelog: .venv/check.stamp
	antsibull-changelog release

release-check: .venv/check.stamp
	python release/check.py "$(VERSION)"

clean:
	if [ -x .venv/bin/python ]; then .venv/bin/python demo/demo.py stop; fi
	rm -rf .venv .demo .lab .logs maintenance-preview .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# A stamp stands for a dependency group of pyproject.toml, installed as constraints.txt pins it.
.venv/%.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'No Python >= 3.11 with venv is here. On Debian: apt install python3 python3-venv' >&2; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt pip
	$(PIP) install --constraint constraints.txt --group $*
	touch $@
