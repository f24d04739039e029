# The commands of this project; `make help` lists them.
SONG ?=
ONCE ?=
ARGS ?=
FAULTS ?= 30
SEED ?= 1
export BUILDER BUILD_OPTIONS REGISTRY TAG TARGETS ARCHIVES SBOM
PYTHON := .venv/bin/python
PYTEST := -m pytest -n 2 --durations 20
export PYTHONDONTWRITEBYTECODE := 1
export PYTHONPATH := $(CURDIR):$(CURDIR)/minio-events

MAKEFLAGS += --no-print-directory
.PHONY: help run stop logs requests dead-letters deadletters webhooks test test-unit test-integration test-system test-cluster test-images faults faults-report lint format bench-bridge bench-latency bench-webhooks bench-page bench-upload bench-separate bench-knative models images lock schemas clean setup setup-models setup-torch setup-test setup-bench

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## ?/\1\t/' | expand -t 18

run: export MODEL := $(MODEL)
run:  ## set up, fetch the model, start the stack, separate a song (SONG=path; MODEL=name; ONCE=1 stops it afterwards)
	@python3 -m local.setup run --model
	@$(PYTHON) -m local.run $(if $(SONG),"$(SONG)") $(if $(ONCE),--once)

stop:  ## stop this clone's stack
	@$(PYTHON) -m local.stack

logs:  ## follow the logs of all components (JOB=id, or any text, filters)
	@$(PYTHON) -m local.logs $(if $(JOB),--job "$(JOB)")

requests:  ## call every REST route of the running stack
	@$(PYTHON) samples/sample_requests.py $$(sed -n 's/^PUBLIC_URL=//p' .run/env)

dead-letters:  ## list, show or replay dead letters (ARGS=list, "show 3", "replay 3", "drop all")
	@$(PYTHON) -m local.as_component events $(PYTHON) -m minio_events deadletters $(ARGS)

deadletters: dead-letters

webhooks:  ## save or restore registered webhooks (ARGS="export hooks.json", "import hooks.json")
	@$(PYTHON) -m local.as_component upload $(PYTHON) -m functions.upload.webhooks_backup $(ARGS)

test: setup-test lint  ## run linters, type checks and all tests but cluster and images (ARGS="-k name" selects)
	@rm -rf out/coverage
	@$(PYTHON) -m coverage run $(PYTEST) --ignore tests/cluster --ignore tests/images $(ARGS) \
	  || { $(MAKE) coverage-report; exit 1; }
	@$(MAKE) coverage-report

test-unit: setup-test  ## run the unit tests, which take seconds
	@$(PYTHON) -m pytest tests/unit $(ARGS)

test-integration: setup-test  ## run the tests of one component with real stores, buses and models
	@$(PYTHON) $(PYTEST) tests/integration $(ARGS)

test-system: setup-test  ## run the tests of all components together
	@$(PYTHON) $(PYTEST) tests/system $(ARGS)

test-cluster: setup-test  ## test the service on the Knative cluster that KUBECONFIG names
	@$(PYTHON) -m pytest --durations 20 tests/cluster $(ARGS)

test-images: setup-test  ## test the images that `make images SBOM=1` saved in ARCHIVES (default: out/images)
	@$(PYTHON) -m pytest --durations 20 tests/images $(ARGS)

.PHONY: coverage-report
coverage-report:
	@$(PYTHON) -m coverage combine -q && $(PYTHON) -m coverage report --sort cover >out/coverage/report.txt
	@echo "coverage: the least covered modules and the total; all of them in out/coverage/report.txt"
	@head -n 12 out/coverage/report.txt; tail -n 1 out/coverage/report.txt

lint: setup-test  ## run ruff and mypy
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy

format: setup-test  ## fix what ruff can fix
	@$(PYTHON) -m ruff check --fix . ; $(PYTHON) -m ruff format .

faults: setup-test  ## kill, pause, cut, slow and fill components while songs arrive (FAULTS=1000 SEED=1)
	@$(PYTHON) -m testing.faults run --faults $(FAULTS) --seed $(SEED) $(ARGS)

faults-report: setup-test  ## print the table of the last campaign (ARGS="--picture out/faults.svg" draws it)
	@$(PYTHON) -m testing.faults report $(ARGS)

bench-bridge: setup-test  ## measure how many events per second the bridge forwards
	@$(PYTHON) -m benchmarks.bridge $(ARGS)

bench-latency: setup-test  ## measure the time from a finished upload to the call of the function
	@$(PYTHON) -m benchmarks.latency $(ARGS)

bench-webhooks: setup-test  ## measure how soon a healthy receiver is told while others are dead or hang
	@$(PYTHON) -m benchmarks.webhooks $(ARGS)

bench-page: setup-test  ## measure how soon the page sounds and answers
	@$(PYTHON) -m benchmarks.page $(ARGS)

bench-upload: setup-test  ## measure the memory of the upload function during an upload of 200 MB
	@$(PYTHON) -m benchmarks.upload_memory $(ARGS)

bench-separate: setup-bench  ## compare separation with demucs and demucs-onnx (ARGS=--quick, --hour)
	@$(PYTHON) -m benchmarks.separate $(ARGS)

bench-knative: setup-test  ## measure the service on the Knative cluster that KUBECONFIG names (ARGS=cold, warm, …)
	@$(PYTHON) -m benchmarks.knative $(ARGS)

models: setup-models  ## fetch a model into models/ and prepare it (MODEL=htdemucs; default: the bundled one)
	@$(PYTHON) models/prepare.py $(MODEL)

images: $(if $(SBOM),setup)  ## build the images (BUILDER=docker|podman|buildah REGISTRY= TAG= TARGETS= ARCHIVES= SBOM=1)
	@python3 -m local.images

lock: setup-test  ## resolve pyproject.toml into requirements/*.txt (needs uv)
	@$(PYTHON) -m local.lock

schemas:  ## regenerate the schemas for the tests of the manifests (needs go)
	@$(PYTHON) tests/integration/knative/make_schemas.py

clean:  ## remove everything that make created in this clone; the shared cache stays
	@rm -rf .venv .run out .pytest_cache .mypy_cache .ruff_cache

setup:  ## install what `make run` needs
	@python3 -m local.setup run

setup-models:  ## install what fetching and preparing models need
	@python3 -m local.setup models

setup-torch:  ## install what pickles and a GPU need
	@python3 -m local.setup torch

setup-test:  ## install what the tests need
	@python3 -m local.setup test

setup-bench:  ## install what the benchmarks need
	@python3 -m local.setup bench
