"""Words out of a stream of text: each once it is whole, without secrets and control characters."""

import re
from collections.abc import Sequence

from domain.text import Redact, for_people

_END_OF_WORD = re.compile(r"\s|[^\x00-\x7f]")
"""After it no secret goes on: a key has neither blanks nor characters outside of ASCII."""
_LONGEST_WORD = 8_000
_CONTEXT = 4_000
"""Characters before a word that decide whether it is a secret, as those before a key's body."""


class WordStream:
    """Takes the parts of one text and gives out what may be shown of it so far.

    A part may end within a secret, so what follows the last blank waits for the next one.

    Args:
        secrets: those that `redact` knows; of one with blanks no beginning is given out.
    """

    def __init__(self, redact: Redact, secrets: Sequence[str] = ()) -> None:
        self._redact = redact
        self._spaced = [secret for secret in secrets if _END_OF_WORD.search(secret)]
        self._context = self._seen = ""
        self._waiting = ""
        self._skipping = False

    def take(self, part: str) -> str:
        """Return the words that this part makes whole."""
        self._waiting += part
        ends = [found.end() for found in _END_OF_WORD.finditer(self._waiting)]
        if not ends:
            return self._without_end()
        end = self._before_secret(ends[-1])
        ready, self._waiting = self._waiting[:end], self._waiting[end:]
        if self._skipping:
            self._skipping = False
            ready = ready[max(ends[0] - 1, 0) :]
        return self._shown(ready)

    def _before_secret(self, end: int) -> int:
        """Return where a secret with blanks begins that is not whole yet, else `end`."""
        for secret in self._spaced:
            for length in range(min(len(secret) - 1, end), 0, -1):
                if self._waiting[:end].endswith(secret[:length]):
                    end -= length
                    break
        return end

    def rest(self) -> str:
        """Return the last word, once the text is over."""
        ready, self._waiting = "" if self._skipping else self._waiting, ""
        return self._shown(ready)

    def _without_end(self) -> str:
        """Leave out a word that is too long to be looked through, up to its end."""
        if not self._skipping and len(self._waiting) <= _LONGEST_WORD:
            return ""
        first, self._skipping, self._waiting = not self._skipping, True, ""
        return "[a long word]" if first else ""

    def _shown(self, ready: str) -> str:
        self._context += ready
        whole = self._redact(self._context)
        fresh = whole[_common(self._seen, whole) :]
        self._seen = whole
        if len(self._context) > 2 * _CONTEXT:
            self._context = self._context[-_CONTEXT:]
            self._seen = self._redact(self._context)
        return for_people(fresh, len(fresh))


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    if other.startswith(one):
        return len(one)
    differ = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
