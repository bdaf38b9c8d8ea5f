"""Commands that answer at once: without the SDK, without the parser, and nothing that these load.

A file of a command's name has a function `command(words, context)`, which returns the exit code, or
None where it cannot do what is asked: then the command of `cli/commands` does it. Both must print
the same.
"""
