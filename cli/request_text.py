"""The words of a request: from the command line, standard input, a file or the person's editor."""

import shlex
import shutil
import subprocess
from pathlib import Path

from cli.context import CliContext
from cli.exit_codes import UsageError
from cli.formatting import clean
from domain.text import NO_TEXT
from runtime.settings import Settings

LONGEST_BYTES = 200_000
"""More is no request that a person has written; the contract's limit is in characters."""
_CUT = "# ------------------------ >8 ------------------------"
_TEMPLATE = f"""

{_CUT}
Write above this line what is to be done. This line and all below are left out;
with nothing above it, nothing is started.
"""


def request_text(typed: str | None, settings: Settings, context: CliContext) -> str:
    """Return what is to be done: `-` reads standard input, `@FILE` a file, nothing opens an editor.

    A text that begins with @ and holds a blank is a request, unless a file has that name.

    Raises:
        UsageError: there is no such file, it is no text, or nothing was written.
    """
    match typed:
        case None:
            return _edited(settings, context)
        case "-":
            return _decoded(context.stdin.buffer.read(LONGEST_BYTES + 1), "Standard input")
        case str() if typed.startswith("@"):
            return _of_file(typed, context)
        case _:
            return _decoded(typed.encode(), "REQUEST")


def _of_file(typed: str, context: CliContext) -> str:
    file = context.folder / Path(typed[1:]).expanduser()
    if not file.is_file():
        if len(typed.split()) > 1:
            return typed.strip()
        raise UsageError(
            f"There is no file {clean(str(file))}; a request that begins with @ names one."
        )
    try:
        with file.open("rb") as opened:
            return _decoded(opened.read(LONGEST_BYTES + 1), clean(str(file)))
    except OSError as error:
        raise UsageError(f"{clean(str(file))} cannot be read: {error.strerror}.") from error


def _decoded(content: bytes, source: str) -> str:
    """Return a source's text; refuse one that is empty, too long or no text."""
    if len(content) > LONGEST_BYTES:
        raise UsageError(f"{source} holds more than {LONGEST_BYTES} bytes, which is no request.")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} {NO_TEXT}.") from error
    if not text:
        raise UsageError(f"{source} is empty: it has to say what is to be done.")
    return text


def _edited(settings: Settings, context: CliContext) -> str:
    """Have the person write in an editor, and return what stands above the line; it is kept."""
    if not (context.stdin.isatty() and context.stdout.isatty()):
        raise UsageError(
            "REQUEST is missing: say what is to be done, or give - for standard input or @FILE "
            f"(see {context.name} run --help)"
        )
    file = settings.ensure_home() / "request.md"
    file.write_text(_TEMPLATE, encoding="utf-8")
    _edit(file, context)
    written = file.read_bytes().partition(_CUT.encode())[0]
    text = _decoded(written, "The request")
    file.write_text(f"{text}\n", encoding="utf-8")
    context.print_err(f"orchestcode: your words are kept, until the next time, in {file}")
    return text


def editor_command(file: Path, context: CliContext) -> str:
    """Return the shell's command that edits a file, as git chooses it of the environment."""
    environ = context.environ
    found = (shutil.which(name, path=environ.get("PATH")) for name in ("editor", "vi", "nano"))
    editor = environ.get("VISUAL") or environ.get("EDITOR") or next(filter(None, found), "")
    if not editor:
        raise UsageError("No editor was found: set EDITOR, or give the text as a word.")
    return f"{editor} {shlex.quote(str(file))}"


def _edit(file: Path, context: CliContext) -> None:
    """Open the editor and wait until it is closed."""
    editor = editor_command(file, context)
    ended = subprocess.run(  # noqa: S602 - the person's own command line
        editor,
        shell=True,
        env=dict(context.environ),
        cwd=context.folder,
        check=False,
    )
    if ended.returncode:
        raise UsageError(
            f"The editor `{clean(editor, 80)}` ended with exit code {ended.returncode}; "
            "nothing was started."
        )
