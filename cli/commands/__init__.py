"""One request in, one planned, reviewed, tested and merged branch out.

Each file here is a command, named after its verb (`dry_run.py` is `dry-run`); a folder is a group
of commands. To add one, write its file and nothing else:

- The docstring of the module is its help page: a first line that says what it does, then more,
  with examples. `starter.py --help` shows the first line.
- `async def command(...)` executes it and returns the exit code. What a person types becomes its
  arguments: positional-only ones are words, keyword-only ones are options. The Args of its
  docstring describe them; `cli/parameters.py` has the types that commands share.
- `context: Context` gives it environment, clock and streams.
- Errors are UsageError or ServiceUnavailable, with one sentence.
"""
