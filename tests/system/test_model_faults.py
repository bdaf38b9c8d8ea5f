"""A model service that fails in every ordinary way: the request ends DONE all the same."""

from rehearsal import journal
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Task, create, done, finish, play, turn

SMALL = {"README.md": "A small thing.\n"}
RATE_LIMITED = {
    "kind": "status",
    "code": 429,
    "type": "rate_limit_error",
    "headers": {"retry-after": "3"},
}
OVERLOADED = {"kind": "status", "code": 529, "type": "overloaded_error"}


def _coder(*faults: object, name: str) -> Task:
    path = f"{name}.txt"
    return Task(
        id=name,
        writes=(path,),
        coder=(turn(create(path, f"{name}\n"), fault=list(faults)), done()),
    )


WRONG = {"tool": "edit", "input": {"command": "create", "file": "x.txt"}}
PLAYS = [
    play(
        "faulty",
        _coder(RATE_LIMITED, name="limited"),
        _coder(OVERLOADED, name="overloaded"),
        _coder({"kind": "cut_clean"}, {"kind": "reset"}, name="cut"),
        _coder({"kind": "bad_tool_json"}, name="unparsable"),
        _coder({"kind": "truncate_tool"}, name="truncated"),
        Task(
            id="mistaken",
            writes=("mistaken.txt",),
            coder=(
                turn(WRONG),
                turn(
                    create("mistaken.txt", "mistaken\n"),
                    expect={"results": [{"is_error": True, "contains": ["file"]}]},
                ),
                turn(
                    finish(summery="a slip"),
                    expect={"results": [{"is_error": False}]},
                ),
                done(expect={"results": [{"is_error": True, "contains": ["summery"]}]}),
            ),
        ),
    )
]


async def test_a_request_survives_every_common_fault_of_the_model_service(
    deployment: LocalDeployment,
) -> None:
    """429, 529, cut streams and malformed tool input: all six tasks land with correct files."""
    folder = deployment.repository("faulty", SMALL)
    handle = await deployment.start_request("faulty", folder, max_parallel=6)
    status = await deployment.delivered(handle)
    names = ("limited", "overloaded", "cut", "unparsable", "truncated", "mistaken")
    for name in names:
        assert git(folder, "show", f"{status.branch}:{name}.txt") == name
    entries = deployment.journal(handle.id)
    met = {entry.fault for entry in entries if entry.fault}
    assert met == {"status", "cut_clean", "reset", "bad_tool_json", "truncate_tool"}
    assert journal.failures(entries) == []
    assert journal_checks.early_retries(entries) == []
    limited = [entry for entry in entries if entry.task == "limited" and entry.role == "coder"]
    assert limited[0].status == 429
    assert limited[1].time_received - limited[0].time_done >= 3
