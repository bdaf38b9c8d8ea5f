"""Errors before any work begins; each text is one sentence that names the remedy.

SetupError
├── SettingsError       a variable holds an invalid value
├── ServerError         the embedded server cannot be found or does not start
├── UnreachableError    nothing answers at the address of the Temporal service
└── StartupError        server or worker did not come up in time
"""


class SetupError(Exception):
    """The process cannot start; its text is shown to the person without a traceback."""


class SettingsError(SetupError):
    """A setting holds an invalid value; the text names the variable."""


class ServerError(SetupError):
    """The embedded Temporal server cannot be found, or ended before it was ready."""


class UnreachableError(SetupError):
    """No Temporal service answers at the address."""


class StartupError(SetupError):
    """Server or worker did not come up in time; the text ends with their last log lines."""
