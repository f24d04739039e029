# Chores, one line each: `make help`.
SONG ?=
ONCE ?=
ARGS ?=
export BUILDER BUILD_OPTIONS REGISTRY TAG TARGETS ARCHIVES SBOM
PYTHON := .venv/bin/python
export PYTHONDONTWRITEBYTECODE := 1
export PYTHONPATH := $(CURDIR):$(CURDIR)/minio-events

MAKEFLAGS += --no-print-directory
.PHONY: help run stop logs test test-cluster test-images deadletters webhooks lint format lock schemas models images requests clean bench-bridge bench-latency bench-upload bench-separate bench-knative setup setup-torch setup-test setup-bench

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## ?/\1\t/' | expand -t 16

run: setup  ## set up, start the stack, separate a song (SONG=path, ONCE=1 stops at the end)
	@$(PYTHON) -m local.run $(if $(SONG),"$(SONG)") $(if $(ONCE),--once)

stop:  ## stop this clone's stack, wherever it was started
	@$(PYTHON) -m local.stack

logs:  ## follow what every part says (JOB=id or part of a song's key filters)
	@$(PYTHON) -m local.follow $(if $(JOB),--job "$(JOB)")

test: setup-test lint  ## lint, types and the whole suite (ARGS="-k name" chooses)
	@$(PYTHON) -m pytest -n 2 --ignore tests/cluster --ignore tests/images $(ARGS)

test-cluster: setup-test  ## the service on the Knative that KUBECONFIG names, with its images there
	@$(PYTHON) -m pytest tests/cluster $(ARGS)

test-images: setup-test  ## what make images SBOM=1 has written to ARCHIVES (none: out/images)
	@$(PYTHON) -m pytest tests/images $(ARGS)

lint: setup-test  ## ruff and mypy
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy

format: setup-test  ## let ruff mend what it can
	@$(PYTHON) -m ruff check --fix . ; $(PYTHON) -m ruff format .

requests:  ## try every REST route against the running stack
	@$(PYTHON) samples/sample_requests.py $$(sed -n 's/^PUBLIC_URL=//p' .run/env)

deadletters:  ## what was given up: ARGS=list, "show 3", "replay 3", "drop all"
	@$(PYTHON) -m local.as_component events $(PYTHON) -m minio_events deadletters $(ARGS)

webhooks:  ## registrations as a file: ARGS="export hooks.json" or "import hooks.json"
	@$(PYTHON) -m local.as_component upload $(PYTHON) -m functions.upload.webhooks_backup $(ARGS)

models: setup-torch  ## fetch and export a model into models/ (MODEL=htdemucs; none: the bundled one)
	@$(PYTHON) models/prepare.py $(MODEL)

images: $(if $(SBOM),setup)  ## build the images (BUILDER=docker|podman|buildah REGISTRY= TAG= TARGETS= ARCHIVES= SBOM=1)
	@python3 -m local.images

bench-bridge: setup-test  ## events a second through the bridge
	@$(PYTHON) -m benchmarks.bridge $(ARGS)

bench-latency: setup-test  ## from a finished PUT to the call of the function
	@$(PYTHON) -m benchmarks.latency $(ARGS)

bench-upload: setup-test  ## memory of the upload function under a 200 MB body
	@$(PYTHON) -m benchmarks.upload_memory $(ARGS)

bench-separate: setup-bench  ## a song to stems: demucs, demucs-onnx and ours (ARGS=--quick, --hour)
	@$(PYTHON) -m benchmarks.separate $(ARGS)

bench-knative: setup-test  ## the service on the Knative that KUBECONFIG names (ARGS=cold, warm, …)
	@$(PYTHON) -m benchmarks.knative $(ARGS)

lock: setup-test  ## resolve requirements/*.txt anew from pyproject.toml (needs uv)
	@$(PYTHON) -m local.lock

schemas:  ## the schemas that the manifests are tested against, anew (needs go)
	@$(PYTHON) tests/integration/knative/make_schemas.py

clean:  ## remove what make made here; the shared cache stays
	@rm -rf .venv .run out .pytest_cache .mypy_cache .ruff_cache

setup:
	@python3 -m local.setup run

setup-torch:
	@python3 -m local.setup torch

setup-test:
	@python3 -m local.setup test

setup-bench:
	@python3 -m local.setup bench
