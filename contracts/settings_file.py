"""The file by which a repository says how it is set up and checked.

Imports nothing: a look at a repository reads it too, and has to start quickly.
"""

from typing import Final

SETTINGS_FILE: Final = ".orchestcode/settings.json"
"""Its path in the repository."""
