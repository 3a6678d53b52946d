# Thin on purpose: each target calls one script or one command of .venv. `make setup` makes .venv; the other targets
# call it first, and it does nothing while the lock file that .venv was made from stays the same.

# Compiled modules are kept, also where the environment says otherwise (as many images do): a demo and the tests start
# hundreds of processes, and each would compile what it loads.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check bench docs lock

help:
	@echo "make demo    install everything, then the main job, offline: agent, record, bake-off, report"
	@echo "make test    install everything, then all tests"
	@echo "make check   lint, format, types, one-way imports, documents"
	@echo "make bench   measure the proxy beside a bare one, the replay engine and shadowing; writes bench/out/*.json"
	@echo "make docs    write docs/reference from the code"
	@echo "make setup   install only: .venv, with .venv/bin/ironcage in it"
	@echo "make lock    pin the dependencies anew (needs uv)"

setup:
	@scripts/setup

demo: setup
	@.venv/bin/python examples/support_desk/run_demo.py

test: setup
	.venv/bin/pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python scripts/docs.py --check

bench: setup
	.venv/bin/python bench/run.py $(ARGS)
	.venv/bin/python bench/engine.py
	.venv/bin/python bench/shadow.py

docs: setup
	.venv/bin/python scripts/docs.py

lock:
	@scripts/lock $(ARGS)
