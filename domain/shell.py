"""Command lines on paper: what a line runs first, as far as that can be said without running it."""

import re
import shlex

_ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
_OPENERS = frozenset("({<>&|;!$`")
BUILTINS = frozenset(
    """
    . : [ [[ alias bg bind break builtin caller case cd command compgen complete continue declare
    dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function
    getopts hash help history if jobs kill let local logout mapfile popd printf pushd pwd read
    readarray readonly return select set shift shopt source suspend test then time times trap true
    type typeset ulimit umask unalias unset until wait while
    """.split()  # noqa: SIM905 - a list of words reads better as words
)


def first_word(line: str) -> str | None:
    """Return the program that a command line starts with, None when only a shell can tell.

    Leading assignments are passed over; a builtin or keyword gives None too.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    for word in words:
        if _ASSIGNMENT.match(word):
            continue
        if word[0] in _OPENERS or any(sign in word for sign in "$`*?") or word in BUILTINS:
            return None
        return word.rstrip(";&|") or None
    return None
