"""The figures of this system, measured on real processes: `python -m bench`."""
