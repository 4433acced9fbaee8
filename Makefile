# Thin wrappers around `python -m autograder`; `make help` lists them. The environment is made once, in .venv.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  PY := $(VENV)/Scripts/python.exe
else
  PY := $(VENV)/bin/python
endif
READY := $(VENV)/.ready
# Many containers set this. Without bytecode, every process that grades compiles hundreds of modules: tests take half as long again.
unexport PYTHONDONTWRITEBYTECODE
# The folder of another assignment, for every target below that works on an assignment.
ASSIGNMENT_DIR ?=
ifneq ($(ASSIGNMENT_DIR),)
  export AUTOGRADER_ASSIGNMENT := $(ASSIGNMENT_DIR)
  SUBMISSIONS ?= $(ASSIGNMENT_DIR)/solutions $(ASSIGNMENT_DIR)/assignment
  PATH_TO_CHECK ?= $(ASSIGNMENT_DIR)/assignment
endif
SUBMISSIONS ?= solutions assignment tests/submissions/problem-1-done
OUT ?= grades
JOBS ?=
Q ?=
PATH_TO_CHECK ?= assignment
PARTIAL ?=
DIST ?= dist
DATA ?=
OFFLINE ?=
QUICK ?=

.DEFAULT_GOAL := help
.PHONY: help env check watch grade stubs test test-fast lint types clean corpora adequacy mutants metamorphic feedback forgeries fuzz stability kills cost attacks \
  submit lab release release-check gradescope host parity class figures sweep bench gpu

help:  ## list the targets
	@echo "make check          run the public checks on assignment/ (Q=1-4: one question)"
	@echo "make watch          the same, again whenever a file is saved"
	@echo "make submit         one zip of everything that is handed in (PARTIAL=1: even if something is missing)"
	@echo "make grade          all checks; SUBMISSIONS='a b' or a folder of them, OUT=grades, JOBS=2"
	@echo "make stubs          generate assignment/ from solutions/"
	@echo "make release        what students get, as a folder and a zip, in dist/"
	@echo "make release-check  unzip the release, install it and follow its README (about 5 GB, minutes)"
	@echo "make gradescope     the zip to upload to Gradescope, dist/autograder.zip"
	@echo "make test           lint, types, import contracts and all tests"
	@echo "make test-fast      lint, types and the quick half of the tests, before a commit"
	@echo "make corpora        grade every wheat and chaff, and compare with what each must lose"
	@echo "make adequacy       the same as a matrix of checks by chaffs and a report in adequacy/"
	@echo "make mutants        mutation testing of the solutions: what the checks let through, and why"
	@echo "make stability      correct submissions under 200 course secrets, 60 faulty ones under 20: no false alarm, no escape"
	@echo "make metamorphic    rewrite correct programs 500 times at random, 300 times with one fault inside, and grade them"
	@echo "make kills          kill the grader at thirty moments: valid results, and a next run that continues"
	@echo "make cost           what isolation costs: grade the solutions at every level, in turn"
	@echo "make feedback       what students read about each single fault: caught, named, how long, told twice"
	@echo "make forgeries      what made-up answers earn, check by check, and whether an odd answer makes a check fail itself"
	@echo "make fuzz           200 mutated answers to each check: a verdict every time, within 5 s and 1 GB"
	@echo "make attacks        grade hostile and broken submissions at every isolation level (Linux)"
	@echo "make host           simulate Gradescope: setup.sh and run_autograder in containers (Linux, root)"
	@echo "make parity         compare the scores of grade, otter run, results.json and grader.check"
	@echo "make class          grade a class of 300 made from the corpora: time, memory, Otter's time, kills"
	@echo "make lab            the release's notebooks in JupyterLab and Chromium: pictures in lab/"
	@echo "make figures        train the solutions: figures and a table of losses, in figures/ (DATA=folder, OFFLINE=1, QUICK=1)"
	@echo "make sweep          the study of beta that the accepted interval is based on, in figures/ (DATA=folder, OFFLINE=1)"
	@echo "make bench          the cost of checking, grading, a sandbox and training, as ratios (DATA=folder)"
	@echo "make gpu            on a GPU, 8 minutes: check, grade, wheats, device chaffs, notebooks, an epoch of each training (DATA=folder)"
	@echo "ASSIGNMENT_DIR=DIR  use the assignment in DIR (check, submit, grade, stubs, release, gradescope, corpora)"
	@echo "make clean          remove the environment and build outputs"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || \
	  { echo "Python 3.10 or newer is needed; choose one with: make PYTHON=python3.11 ..."; exit 1; }
	@echo "Making the environment in $(VENV), once (with a GPU, PyTorch is large: about 5 GB on Linux) ..."
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) autograder/support/install.py -c constraints.txt -e ".[dev]"
	@touch $(READY)

env: $(READY)  ## make the environment

check: $(READY)
	@$(PY) -m autograder check $(PATH_TO_CHECK) $(addprefix -q ,$(Q))

watch: $(READY)
	@$(PY) -m autograder check $(PATH_TO_CHECK) $(addprefix -q ,$(Q)) --watch

submit: $(READY)
	@$(PY) -m autograder submit $(PATH_TO_CHECK) $(if $(PARTIAL),--partial)

release: $(READY)
	@$(PY) -m autograder release --out $(DIST)

release-check: $(READY)
	@$(PY) -m tests.experiments.fresh_release

grade: $(READY)
	@$(PY) -m autograder grade $(SUBMISSIONS) --out $(OUT) $(if $(JOBS),--jobs $(JOBS))

stubs: $(READY)
	@$(PY) -m autograder.build.stubs

lint: $(READY)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(dir $(PY))lint-imports --no-logo --no-cache

types: $(READY)
	@$(PY) -m mypy

# What starts no judge, or few: half a minute on two cores.
FAST := adequacy analysis architecture bounds box catalogue doors exceptions expected exports feedback gradebook linear made_up_answers \
  markup mistakes posing properties roster rubric settings_of_a_run similarity solutions submit wire written

test-fast: lint types
	@$(PY) -m pytest -n 2 -q $(FAST:%=tests/test_%.py)

test: lint
	@$(PY) -m pytest -n 2 --dist worksteal

corpora: $(READY)
	@$(PY) -m tests.corpus

adequacy: $(READY)
	@$(PY) -m tests.experiments.adequacy

mutants: $(READY)
	@$(PY) -m tests.experiments.mutation

metamorphic: $(READY)
	@$(PY) -m tests.experiments.metamorphic

feedback: $(READY)
	@$(PY) -m tests.experiments.feedback

forgeries: $(READY)
	@$(PY) -m tests.experiments.forgeries

fuzz: $(READY)
	@$(PY) -m tests.experiments.fuzz

cost: $(READY)
	@$(PY) -m tests.experiments.cost

kills: $(READY)
	@KILLS=30 $(PY) -m pytest tests/test_kills.py -n 2 -q

stability: $(READY)
	@$(PY) -m tests.experiments.stability

lab: $(READY)
	@$(PY) -m tests.experiments.lab

gradescope: $(READY)
	@$(PY) -m autograder gradescope --out $(DIST)

host: $(READY)
	@$(PY) -m tests.experiments.host

class: $(READY)
	@$(PY) -m tests.experiments.big_class

parity: $(READY)
	@$(PY) -m tests.experiments.parity

attacks: $(READY)
	@$(PY) -m tests.experiments.attack --level all

figures: $(READY)
	@$(PY) -m autograder figures $(if $(DATA),--data $(DATA)) $(if $(OFFLINE),--offline) $(if $(QUICK),--quick)

sweep: $(READY)
	@$(PY) -m autograder sweep $(if $(DATA),--data $(DATA)) $(if $(OFFLINE),--offline)

bench: $(READY)
	@$(PY) -m tests.experiments.bench $(if $(DATA),--data $(DATA))

gpu: $(READY)
	@$(PY) -m tests.experiments.gpu $(if $(DATA),--data $(DATA))

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
