"""Side-by-side measurements against other tools: `make bench`, or `python -m bench --help`."""
