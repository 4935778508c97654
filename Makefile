# make demo: everything from set-up to matrices, on toy archives. make test: set-up, lint and all tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup installed demo test test-slurm test-debian lint lock docs site bench rulegraph clean

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)
DEMO ?= demo
CORES ?= all
SUITE ?= trixie
SITE ?= site

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: installed ## install what is missing: system tools and Python packages, and say what is ready
	@python -m scripts check --offline || true

installed:
	@envs/setup.sh

demo: installed ## the whole workflow on toy archives, into the folder DEMO
	@python -m tests.toy.demo --directory $(DEMO) --cores $(CORES)

lint: installed ## formats, lints, types, the direction of imports, links between pages
	ruff check
	ruff format --check
	snakefmt --check Snakefile rules
	mypy
	lint-imports
	snakemake --lint --configfile tests/toy/config.yaml
	@site=$$(mktemp -d) && trap 'rm -rf "$$site"' EXIT && $(MAKE) -s site SITE="$$site"

test: lint ## lint and all tests, on up to four cores
	python -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slurm: ## the workflow on a Slurm of its own, which is installed where that is allowed (needs root)
	@envs/setup.sh slurm
	SLURM_TESTS=all python -m pytest -q tests/workflow/test_slurm.py

test-debian: ## the demo on a bare Debian SUITE, with FULL=1 all tests too (needs root and debootstrap)
	@tests/debian.sh $(SUITE) demo $(if $(FULL),test)

lock: ## pin the Python packages of pyproject.toml anew, for every Python from 3.11 on (needs uv)
	uv pip compile pyproject.toml --extra test --extra slurm --universal --python-version 3.11 --generate-hashes \
		--no-header --annotation-style line --output-file envs/requirements.lock

docs: installed ## make the pages that are made from code: docs/reasons.md, config/README.md
	@python -m scripts.plan.reasons >docs/reasons.md
	@python -m scripts.plan.configuration >config/README.md

site: installed ## the pages as a website, into the folder SITE; a link without a target is an error
	@tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && site=$$(realpath -m "$(SITE)") && \
		cp -r *.md LICENSE CITATION.cff docs config benchmarks scripts rules tests envs profiles "$$tree" && \
		mkdocs build --strict -f "$$tree/docs/mkdocs.yml" -d "$$site"

bench: installed ## every benchmark, quickly
	@for script in benchmarks/*.py; do python -m benchmarks.$$(basename $$script .py) --quick; done

rulegraph: demo ## draw rules/rulegraph.svg anew (needs graphviz)
	snakemake --directory $(DEMO) --rulegraph | tred | dot -Tsvg >rules/rulegraph.svg

clean: ## remove the demo, the toy archives, the website and the virtual environment
	rm -rf $(DEMO) $(SITE) $${XDG_CACHE_HOME:-$$HOME/.cache}/sra2matrix .venv .tools .snakemake
