"""Lava Processes. Each stands in a folder of its own that holds ``process.py`` and ``models.py`` only: Lava runs every file there."""
