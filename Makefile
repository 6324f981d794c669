# The two commands of the README: `make demo` and `make test`. Each sets up .venv first, once.
PYTHON = .venv/bin/python
ARGS =
# Modules of clusters set them: packages of another Python would be found before those of .venv.
unexport PYTHONPATH PYTHONHOME

.PHONY: demo test test-slow lint docs venv clean

venv:
	@./make_venv.sh

demo: venv
	$(PYTHON) -m lava_1m1t1r demo $(ARGS)

test: venv
	$(PYTHON) -m pytest $(ARGS)

# What takes minutes, and nothing else: about a quarter of an hour on two cores.
test-slow: venv
	$(PYTHON) -m pytest --slow -m slow $(ARGS)

lint: venv
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# The reference from the docstrings and the tutorials as pages, in build/docs; a warning is an error. ARGS=--run runs the tutorials first.
docs: venv
	$(PYTHON) docs/build.py $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info
