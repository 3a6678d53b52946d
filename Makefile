# Thin on purpose: each target calls one script or one command of .venv. `make setup` makes .venv; the other
# targets call it first, and it does nothing when the lock file that .venv was made from has not changed.

.PHONY: setup demo test check bench docs lock help

help:
	@echo "make demo    install everything, then the main job, offline: agent, record, bake-off, report"
	@echo "make test    install everything, then all tests"
	@echo "make check   lint, format, types, one-way imports, documents"
	@echo "make bench   measure the proxy beside a direct connection and a bare one; writes bench/out/*.json"
	@echo "make docs    write docs/reference from the code"
	@echo "make setup   install only: makes .venv with .venv/bin/ironcage in it"
	@echo "make lock    pin the dependencies anew (needs uv)"

setup:
	@scripts/setup

