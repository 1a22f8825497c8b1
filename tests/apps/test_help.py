"""What the applications that come with pbft say of themselves is shown, and what the tour says of them is true."""

from __future__ import annotations

import json

import pytest

from pbft.cli.apps import apps
from pbft.cli.tour_steps import SCRIPTS, SUGGESTED, Call, KillBackup, Prove, Together
from pbft.console.help import tell_one
from pbft.console.statements import split
from pbft.loading import create_application, known_applications, load_application
from pbft.machine import Context, Outcome, Result, describe, encode_operation, parse_arguments

SHIPPED = {name: spec for name, spec in known_applications() if spec.startswith("pbft_apps.")}
CLIENTS = ("alice", "bob")


@pytest.mark.parametrize("spec", SHIPPED.values())
def test_every_line_of_help_is_shown(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By `pbft apps APP`, by its --json, and by help NAME where operations are entered."""
    application = load_application(spec)
    apps(spec, as_json=False)
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    apps(spec, as_json=True)
    (told,) = json.loads(capsys.readouterr().out)
    specs = {each.name: each for each in describe(application)}
    assert [each["help"] for each in told["operations"]] == [each.docstring for each in specs.values()]
    for line in (application.__doc__ or "").splitlines():
        assert any(line.strip() in each for each in shown)
    for name, each in specs.items():
        assert each.docstring
        for line in each.docstring.splitlines():
            assert line.strip() in shown
            assert line.strip() in [one.strip() for one in tell_one(name, specs)]


def test_the_list_of_all_has_a_line_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    """And says how to read the rest."""
    apps(None, as_json=False)
    shown = capsys.readouterr().out
    for spec in SHIPPED.values():
        assert all(each.summary in shown for each in describe(load_application(spec)))
    assert "pbft apps APP tells all of one of them." in shown


@pytest.mark.parametrize(("name", "spec"), SHIPPED.items())
def test_the_tour_tells_what_the_application_answers(name: str, spec: str) -> None:
    """Each value that stands in its script, without a group; where two calls compete either order will do."""
    application = load_application(spec)
    parameters = {"issuer": "alice", "clients": CLIENTS} if name == "ledger" else {}
    machine = create_application(application, parameters)
    place = 0

    def run(call: Call, args: tuple[object, ...]) -> Result:
        nonlocal place
        place += 1
        context = Context(time_ms=place, client=call.client, sequence=place, seed=bytes(32))
        return machine.execute(encode_operation(call.operation, args), context)

    for step in SCRIPTS[name]:
        match step:
            case KillBackup():
                continue
            case Together():
                call = Call("", step.client, step.operation, ())
                assert tuple(run(call, args).value for args in step.args) in step.returns
            case Call() | Prove():
                call = step if isinstance(step, Call) else step.call
                result = run(call, call.args)
                if call.rejected:
                    assert result.outcome is Outcome.REJECTED
                    assert call.rejected in result.value
                else:
                    assert (result.outcome, result.value) == (Outcome.OK, call.returns)


@pytest.mark.parametrize("spec", SHIPPED.values())
def test_what_a_banner_suggests_can_be_entered(spec: str) -> None:
    """Operations that exist, with arguments that fit."""
    application = load_application(spec)
    specs = {each.name: each for each in describe(application)}
    for line in SUGGESTED[application.__name__]:
        command, operation, *words = split(line)
        plain = [word for place, word in enumerate(words) if not word.startswith("--") and words[place - 1] != "--key"]
        assert command == "call"
        parse_arguments(specs[operation], plain)


def test_an_example_in_help_can_be_entered() -> None:
    """The legs of a transfer, in the quotes that they need on a line."""
    spec = next(each for each in describe(load_application(SHIPPED["ledger"])) if each.name == "transfer_all")
    (line,) = [line.strip() for line in spec.docstring.splitlines() if line.strip().startswith("transfer_all ")]
    _, *words = split(line)
    assert parse_arguments(spec, words) == ([("alice", "bob", 30), ("alice", "carol", 12)], "rent, and dinner")
