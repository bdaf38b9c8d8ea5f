"""Every key by which git runs a program or leads elsewhere, set in the person's repository.

A request is opened, worked on and delivered; nothing that the configuration names runs.
"""

import subprocess
from pathlib import Path

import pytest

from infra.store.served import ALLOWED
from tests.activities.test_repository import delivered
from tests.infra.bench import ActivityEnv, person
from tests.local_deployment import git

PROGRAMS = (
    *("core.alternateRefsCommand", "core.askPass", "core.editor", "core.fsmonitor"),
    *("core.gitProxy", "core.pager", "core.sshCommand", "core.hooksPath"),
    *("alias.upload-pack", "alias.receive-pack", "alias.fetch", "alias.push"),
    *("browser.x.cmd", "browser.x.path", "credential.helper", "credential.x.helper"),
    *("diff.external", "diff.evil.command", "diff.evil.textconv", "difftool.x.cmd"),
    *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "gc.recentObjectsHook"),
    *("gpg.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand", "gpg.x509.program"),
    *(
        "guitool.x.cmd",
        "help.browser",
        "hook.evil.command",
        "imap.tunnel",
        "interactive.diffFilter",
    ),
    *(
        "man.x.cmd",
        "merge.evil.driver",
        "mergetool.x.cmd",
        "pager.fetch",
        "pager.push",
        "pager.config",
    ),
    *("remote.origin.receivepack", "remote.origin.uploadpack", "remote.origin.vcs"),
    *("sendemail.sendmailCmd", "sequence.editor", "submodule.x.update", "trailer.x.command"),
    *("trailer.x.cmd", "uploadpack.packObjectsHook", "uploadarchive.x", "web.browser"),
    *("maintenance.x.schedule", "receive.procReceiveHook", "init.templateDir", "tar.x.command"),
    *("trace2.eventTarget", "trace2.normalTarget", "trace2.perfTarget", "fsmonitor.socketDir"),
)
"""Keys whose value runs, or names what is written to; the last ones under names git may have."""

ELSEWHERE = {
    "core.attributesFile": "{elsewhere}/attributes",
    "core.worktree": "{elsewhere}",
    "core.gitDir": "{elsewhere}",
    "receive.fsck.skipList": "{elsewhere}/skip",
    "fetch.fsck.skipList": "{elsewhere}/skip",
    "fsck.skipList": "{elsewhere}/skip",
    "blame.ignoreRevsFile": "{elsewhere}/skip",
    "mailmap.file": "{elsewhere}/skip",
    "commit.template": "{elsewhere}/skip",
    "gpg.ssh.allowedSignersFile": "{elsewhere}/skip",
    "http.cookieFile": "{elsewhere}/skip",
    "url.{elsewhere}/.insteadOf": "/",
    "url.{elsewhere}/.pushInsteadOf": "/",
    "push.gpgSign": "if-asked",
    "receive.certNonceSeed": "x",
    "protocol.allow": "always",
    "protocol.ext.allow": "always",
    "remote.origin.url": "ext::sh -c touch% {ran}/remote",
    "remote.origin.promisor": "false",
    "uploadpack.allowFilter": "true",
    "gc.auto": "1",
    "receive.autogc": "true",
    "maintenance.auto": "true",
    "receive.updateServerInfo": "true",
    "receive.denyCurrentBranch": "updateInstead",
    "core.untrackedCache": "true",
    "fetch.recurseSubmodules": "true",
    "submodule.recurse": "true",
    "safe.directory": "*",
}
"""Keys that lead elsewhere or let something else run."""


def _configure(place: Path, ran: Path, elsewhere: Path) -> None:
    """Set every key in the configuration itself, and again in a file that it includes."""
    lines = [f"{key}={_program(ran, key)}" for key in PROGRAMS]
    words = {"ran": ran, "elsewhere": elsewhere}
    lines += [f"{key.format(**words)}={value.format(**words)}" for key, value in ELSEWHERE.items()]
    for line in lines:
        key, _, value = line.rpartition("=") if line.startswith("url.") else line.partition("=")
        for file in ("config", "more"):
            git(place, "config", "--file", str(place / ".git" / file), "--add", key, value)
    git(place, "config", "--file", str(place / ".git" / "config"), "include.path", "more")


def _program(ran: Path, key: str) -> str:
    name = ran / "program"
    return f"{name} {key}" if key != "core.hooksPath" else str(ran / "hooks")


@pytest.mark.parametrize("borrowing", [False, True], ids=["its own", "borrowed objects"])
async def test_no_program_of_a_configuration_runs(
    env: ActivityEnv, tmp_path: Path, *, borrowing: bool
) -> None:
    """Opened, worked on and delivered, nothing has left a trace, and the branch is there."""
    ran, elsewhere = tmp_path / "ran", tmp_path / "elsewhere"
    for folder in (ran, elsewhere, ran / "hooks"):
        folder.mkdir()
        folder.chmod(0o777)
    program = ran / "program"
    program.write_text(f'#!/bin/sh\necho "$@" >> {ran}/trace\n')
    program.chmod(0o755)
    for hook in ("pre-receive", "update", "reference-transaction", "proc-receive", "post-receive"):
        (ran / "hooks" / hook).write_text(f"#!/bin/sh\necho {hook} >> {ran}/trace\n")
        (ran / "hooks" / hook).chmod(0o755)
    place = person(env.folder / "hostile", {"a.txt": "a\n", ".gitattributes": "* filter=evil\n"})
    if borrowing:
        git(env.folder, "clone", "-q", "--shared", str(place), str(env.folder / "borrowing"))
        place = env.folder / "borrowing"
    _configure(place, ran, elsewhere)
    words = ("git", "-C", str(place), "--work-tree", str(place), "status")
    subprocess.run(words, capture_output=True, check=False)
    assert (ran / "trace").exists()  # git itself obeys: what follows would be seen
    (ran / "trace").unlink()
    for each in elsewhere.iterdir():
        each.unlink()

    job = await env.open(place)
    agent = await job.agent()
    assert (await agent.run("cat a.txt; git log -1; git diff; echo b > b.txt")).outcome == "done"
    await delivered(job, await job.changed({"b.txt": "made\n"}))

    assert not (ran / "trace").exists(), (ran / "trace").read_text()
    assert sorted(each.name for each in elsewhere.iterdir()) == []
    assert sorted(each.name for each in ran.iterdir()) == ["hooks", "program"]
    assert (place / ".git" / "refs" / "heads" / "made").is_file()


@pytest.mark.parametrize("key", [*PROGRAMS, *ELSEWHERE, "include.path", "includeIf.x.path"])
def test_no_key_of_the_list_counts(key: str) -> None:
    """The rule lists what counts, so that a key which git will have one day does not."""
    counts = ALLOWED.fullmatch(key.lower()) is not None
    assert counts == (key == "receive.denyCurrentBranch")  # which our own option overrides
