# Everything a person runs here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
export PYTHON
# Hundreds of processes are started here: without files of bytecode each would compile all of it for itself.
unexport PYTHONDONTWRITEBYTECODE
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq

.PHONY: help run test test-postgresql install install-dev check bench bench-growth soak lock image-check

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install ## set everything up, load the Telegram 2017 sample on first start, serve on 127.0.0.1
	@.venv/bin/pulih upgrade
	@.venv/bin/pulih sample telegram-2017 --if-empty
	@.venv/bin/pulih tour
	@exec .venv/bin/pulih serve

# Where the two databases differ: locks, clocks, triggers, order of text, bulk inserts, and who publishes.
ON_POSTGRESQL := tests/test_db.py tests/migrations tests/auth/test_four_eyes.py tests/auth/test_forgeries.py \
	tests/auth/test_idempotency.py \
	tests/orders/test_races.py tests/orders/test_linearizable.py tests/orders/test_direct_sql.py \
	tests/orders/test_sops.py::test_nobody_gets_round_it_by_direct_sql tests/orders/test_sops.py::test_two_confirmations_at_once_have_one_effect \
	tests/orders/test_evidence.py::test_the_seal_holds_against_direct_sql \
	tests/publication/test_lease.py tests/publication/test_loop.py tests/publication/test_publishers.py \
	tests/publication/test_histories.py tests/publication/test_restored.py tests/publication/test_follower.py \
	tests/backup/test_restore.py tests/disk/test_safety.py \
	tests/backup/test_backup.py::test_a_backup_taken_while_others_write_is_of_one_moment \
	tests/journal/test_tree.py tests/audit/test_signing.py \
	tests/test_unwritable_journal.py tests/fsck/test_altered.py \
	tests/rigs/test_faults.py

test: install-dev ## set everything up, install the servers it tests against, run all tests, and on PostgreSQL what differs there
	@scripts/test-deps
	@scripts/idna-vectors
	@$(MAKE) --no-print-directory check
	@rm -f .coverage .coverage.*
	$(PY) -m pytest -n 3 --dist loadgroup -m 'long and not alone' $(PYTEST_ARGS)
	$(PY) -m coverage run -m pytest -n 3 --dist loadgroup -m 'not long and not alone' $(PYTEST_ARGS)
	$(PY) -m pytest -m alone $(PYTEST_ARGS)
	PULIH_TEST_DATABASE=postgresql $(PY) -m pytest -n 2 --dist loadgroup -m 'database and not alone' $(ON_POSTGRESQL) $(PYTEST_ARGS)
	@scripts/coverage-floors

test-postgresql: install-dev ## run everything that has a database below it on PostgreSQL
	@scripts/test-deps
	@scripts/idna-vectors
	PULIH_TEST_DATABASE=postgresql $(PY) -m pytest -n 2 --dist loadgroup -m 'database and not alone' $(PYTEST_ARGS)

install: .venv/.installed ## .venv with the locked dependencies and the command `pulih`
	@:

.venv/.installed: requirements.lock pyproject.toml
	@scripts/venv
	@echo 'install: what requirements.lock names'
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

install-dev: .venv/.installed-dev
	@:

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	@echo 'install: what requirements-dev.lock names'
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

check: install-dev ## format, lint, types, import order
	@$(PY) -m ruff format --check --quiet . || { echo 'check: `.venv/bin/ruff format` would change files (above)'; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo --no-cache

bench: install-dev ## the targets for speed beside other servers; N=10000000 for a long list, ROW=axfr for one row
	@scripts/test-deps
	@$(PY) -m bench $(ROW) $(if $(N),--names $(N)) $(BENCH_ARGS)

bench-growth: install-dev ## how cost grows from 10 thousand to 10 million names, drawn to docs/growth.svg
	@scripts/test-deps
	@$(PY) -m bench.growth $(if $(N),--up-to $(N))

soak: install-dev ## what is promised in full counts, then all tests with fresh seeds for SOAK_MINUTES (60); hours
	@scripts/test-deps
	@scripts/idna-vectors
	@scripts/soak

lock: install-dev ## make the lock files anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	@scripts/lock $(LOCK_ARGS)

image-check: install-dev ## build the container image on a Debian stand-in and start it; needs root, takes minutes
	@scripts/image-check
