# Everything a newcomer needs: `make demo` and `make test`.
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.DEFAULT_GOAL := help
