"""
What can go wrong before any work begins, each told in one sentence with its remedy.

    SetupError
    ├── SettingsError       a variable holds a value that cannot be meant
    ├── ServerError         the embedded server cannot be found or does not start
    ├── UnreachableError    nothing answers at the address of the Temporal service
    └── BringUpError        server or worker did not come up in time
"""


class SetupError(Exception):
    """The process cannot begin; the text is for the person who started it, without a traceback."""


class SettingsError(SetupError):
    """A setting holds a value that cannot be meant; the text names the variable."""


class ServerError(SetupError):
    """The embedded Temporal server cannot be found, or ended before it was ready."""


class UnreachableError(SetupError):
    """No Temporal service answers at the address."""


class BringUpError(SetupError):
    """Server or worker did not come up in time; the text ends with their last log lines."""
