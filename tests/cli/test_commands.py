"""Commands that need no running group: what they make, what they print, and how they refuse."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pbft.group_file import read_group
from pbft.keys import PrivateKey
from pbft.lab.processes import python_environment
from tests.cli.conftest import LEDGER, Ran, Run

AUCTION = '''
"""An application of somebody's own."""

from pbft import StateMachine, operation


class Auction(StateMachine):
    highest: int = 0

    def __init__(self, reserve: int = 0, fees: dict[str, int] | None = None) -> None:
        self.highest = reserve

    @operation
    def bid(self, amount: int) -> bool:
        """Bid an amount; say whether it is the highest."""
        if amount <= self.highest:
            return False
        self.highest = amount
        return True
'''


def assert_refused(ran: Ran, code: int, says: str) -> None:
    """One sentence on standard error, no traceback, nothing on standard output."""
    assert ran.code == code, ran
    assert says in ran.err
    assert ran.err.startswith("pbft: ")
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def test_init_makes_a_group(run: Run, tmp_path: Path):
    """The folder holds what the group's file promises, and the files are as private as they have to be."""
    ran = run("init", "keys/mine", "--replicas", "7", "--app", LEDGER, "--client", "carol", "--client", "dave")
    assert ran.code == 0
    assert "7 replicas" in ran.out
    assert "survives 2 faulty" in ran.out
    directory = tmp_path / "keys" / "mine"
    files = read_group(directory)
    assert files.group.n == 7
    assert files.lab
    assert dict(files.group.genesis.parameters) == {"issuer": "carol", "clients": ("carol", "dave")}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for member in files.group.members:
        assert PrivateKey.load(files.replica_key(member.id)).public_key == member.public_key
    for client in files.group.genesis.clients:
        assert PrivateKey.load(files.client_key(client.name)).link_key == client.link_key
    ports = [each.port for pair in zip(files.replica_addresses, files.client_addresses, strict=True) for each in pair]
    assert ports == list(range(ports[0], ports[0] + 14))


def test_init_takes_parameters_and_ports(run: Run, tmp_path: Path):
    """`--set` reaches the genesis, and `--base-port` the addresses."""
    assert run("init", "g", "--app", LEDGER, "--set", "issuer=bob", "--base-port", "20000").code == 0
    files = read_group(tmp_path / "g")
    assert dict(files.group.genesis.parameters)["issuer"] == "bob"
    assert [each.port for each in files.replica_addresses] == [20000, 20002, 20004, 20006]
    assert [each.port for each in files.client_addresses] == [20001, 20003, 20005, 20007]


def test_init_takes_limits(run: Run, tmp_path: Path):
    """`--limit` reaches the genesis, and with it the group's id."""
    assert run("init", "g", "--app", LEDGER, "--limit", "log_size=64", "--limit", "checkpoint_interval=16").code == 0
    limits = read_group(tmp_path / "g").group.limits
    assert (limits.log_size, limits.checkpoint_interval, limits.batch_requests) == (64, 16, 1024)


def test_init_takes_an_application_from_anywhere(run: Run, tmp_path: Path):
    """A file outside the project is found again from any folder; its parameters are read by its annotations."""
    (tmp_path / "mine.py").write_text(AUCTION)
    assert run("init", "g", "--app", "./mine.py:Auction", "--set", "reserve=-5").code == 0
    files = read_group(tmp_path / "g")
    assert files.application == f"{tmp_path}/mine.py:Auction"
    assert files.group.genesis.application == "Auction"
    assert dict(files.group.genesis.parameters) == {"reserve": -5}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--replicas", "3"), "a group needs 4 to 1000 replicas, not 3"),
        (("--replicas", "many"), "'--replicas'"),
        (("--app", "nosuch"), '"nosuch"'),
        (("--app", "./nosuch.py:Auction"), "there is no file"),
        (("--app", "mine.py:Aucton"), 'did you mean "Auction"'),
        (("--app", "broken.py:Auction"), "broken.py does not import: ModuleNotFoundError"),
        (("--app", "mine.py", "--set", "reserve=much"), 'Auction needs reserve: int, got "much"'),
        (("--app", "mine.py", "--set", "resrve=1"), 'did you mean "reserve"'),
        (("--app", "mine.py", "--set", "reserve"), "--set takes NAME=VALUE"),
        (("--app", "mine.py", "--set", "reserve=1", "--set", "reserve=2"), "names reserve twice"),
        (("--app", "mine.py", "--set", 'fees={"$bytes": 1}'), "begins with $"),
        (("--limit", "log_size"), "--limit takes NAME=VALUE"),
        (("--limit", "log_sise=64"), 'there is no limit "log_sise"'),
        (("--limit", "log_size=-1"), "the limit log_size takes a whole number"),
        (("--limit", "log_size=64"), "log_size (L) must be at least twice checkpoint_interval (K)"),
        (("--replicas", "900"), "log_size 512 is too large for 900 replicas"),
        (("--client", "../alice"), "a client's name has 1 to 64 of a-z"),
        (("--client", "alice", "--client", "alice"), 'the client "alice" is named twice'),
        (("--base-port", "80"), "the base port must lie within 1024 and 65528"),
        (("--base-port", "65530"), "the base port must lie within 1024 and 65528"),
        (("--bas-port", "7000"), 'did you mean "--base-port"'),
    ],
)
def test_init_refuses_and_leaves_nothing(run: Run, tmp_path: Path, words: tuple[str, ...], says: str):
    """Whatever cannot be, the sentence says why, and no half-made group stays behind."""
    (tmp_path / "mine.py").write_text(AUCTION)
    (tmp_path / "broken.py").write_text("import nosuchmodule\n")
    ran = run("init", "g", *words) if "--app" in words else run("init", "g", "--app", "mine.py", *words)
    assert_refused(ran, 2, says)
    assert not (tmp_path / "g").exists()


def test_init_spares_what_is_there(run: Run, group: Path, tmp_path: Path):
    """A group is never made over another, nor among somebody's files."""
    before = (group / "group.toml").read_bytes()
    assert_refused(run("init", "group", "--app", LEDGER), 2, "there is a group in group already; start it: pbft up")
    assert (group / "group.toml").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert_refused(run("init", "full", "--app", LEDGER), 2, "full is not empty; name a new folder")
    assert_refused(run("init", "full/file", "--app", LEDGER), 2, "is a file; name a new folder")
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_neighbours_do_not_share_ports(run: Run, tmp_path: Path):
    """Groups in one folder can run side by side."""
    seen: list[object] = []
    for name in ("a", "b", "c"):
        assert run("init", f"keys/{name}", "--app", LEDGER).code == 0
        files = read_group(tmp_path / "keys" / name)
        seen += [*files.replica_addresses, *files.client_addresses]
    assert len(dict.fromkeys(seen)) == 24


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("balnce", "alice"), 'Ledger has no operation "balnce"; did you mean "balance"?'),
        (("balance",), "balance() needs account: str, which is missing; usage: balance ACCOUNT"),
        (("balance", "alice", "bob"), "balance() takes 1 argument"),
        (("transfer", "alice", "bob", "much"), 'transfer() needs amount: int, got "much"'),
        (("balance", "alice", "--key", "carol"), 'the group knows no client "carol"; there are alice, bob'),
        (("balance", "alice", "--receipt", "group/group.toml"), "is there already; name a new file"),
        (("balance", "alice", "--receipt", "nowhere/r"), "a receipt cannot be written into nowhere"),
        (("balance", "alice", "--timeout", "0"), "0"),
        (("\x1b[2J",), '"\\u001b[2J"'),
        ((), "Missing argument 'OP'"),
    ],
)
def test_call_refuses_before_it_asks(run: Run, group: Path, words: tuple[str, ...], says: str):
    """Wrong words need no group to tell: the application's own annotations say what is missing."""
    assert_refused(run("call", *words, "--group", "group"), 2, says)


def test_a_group_that_does_not_run(run: Run, group: Path):
    """Nobody waits for a group that this machine knows to be stopped."""
    assert_refused(run("call", "--group", "group", "balance", "alice"), 3, "is not running; start it: pbft up")
    shown = run("status", "group")
    assert (shown.code, shown.out.count("not running")) == (3, 4)
    stopped = run("down", "group")
    assert (stopped.code, stopped.err) == (0, "")
    assert "no replica" in stopped.out


def test_a_group_of_several_hosts_needs_no_process_here(run: Run, group: Path):
    """With lab = false replicas are asked, wherever they are: that none runs on this machine says nothing."""
    public = group / "group.toml"
    public.write_text(public.read_text().replace("lab = true", "lab = false"))
    assert_refused(run("call", "--group", "group", "balance", "alice", "--timeout", "0.2"), 3, "replica 3: silent")
    shown = run("status", "group", "--timeout", "0.2")
    assert (shown.code, shown.out.count("no answer"), "pbft up" in shown.out) == (3, 4, False)


def test_errors_are_json_for_programs(run: Run, group: Path):
    """With --json a program reads one object from one place, whatever happens."""
    for words, code in (
        (("call", "--json", "--group", "group", "balnce"), 2),
        (("call", "--json", "--group", "nowhere", "balance"), 2),
        (("call", "--json", "--nosuch"), 2),
        (("call", "--json", "--group", "group", "balance", "alice"), 3),
    ):
        ran = run(*words)
        assert ran.err == ""
        assert ran.code == code
        assert json.loads(ran.out)["exit"] == code
        assert json.loads(ran.out)["error"]


def test_status_in_json_without_a_group(run: Run, group: Path):
    """A replica that cannot be reached is listed like any other, with its health in words."""
    ran = run("status", "group", "--json")
    assert ran.code == 3
    told = json.loads(ran.out)
    assert told["group"] == read_group(group).group.id.hex()
    assert [list(each) for each in told["replicas"]] == [
        [
            "id", "pid", "role", "view", "executed", "stable_checkpoint", "state_digest", "health", "lies",
                "rss_bytes", "ignored",
        ]
    ] * 4  # fmt: skip
    assert [(each["id"], each["pid"], each["health"]) for each in told["replicas"]] == [
        (i, None, "not running") for i in range(4)
    ]


def spoil_mode(group: Path) -> None:
    (group / "clients" / "alice.key").chmod(0o644)


def spoil_folder(group: Path) -> None:
    (group / "clients").chmod(0o755)


def take_keys(group: Path) -> None:
    for name in ("alice", "bob"):
        (group / "clients" / f"{name}.key").unlink()


def spoil_file(group: Path) -> None:
    (group / "group.toml").write_text("[group")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_mode, "has mode 0644, so others can use the key; close it: chmod 600"),
        (spoil_folder, "has mode 0755, so others can use the key; close it: chmod 700"),
        (take_keys, "there is no client's key in"),
        (spoil_file, "is not valid TOML"),
    ],
)
def test_spoiled_groups(run: Run, group: Path, spoil: object, says: str):
    """Files that cannot be trusted or read get one sentence, from every command that needs them."""
    assert callable(spoil)
    spoil(group)
    assert_refused(run("status", "group"), 2, says)
    assert_refused(run("up", "group", "--detach"), 2, says)


def test_the_group_that_is_meant(run: Run, group: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder given comes first, then PBFT_GROUP, then keys/local."""
    assert_refused(run("status"), 2, "there is no group in keys/local; make one: pbft init keys/local")
    monkeypatch.setenv("PBFT_GROUP", "group")
    assert "Ledger in" in run("status").out
    assert_refused(run("status", "elsewhere"), 2, "there is no group in elsewhere")
    monkeypatch.setenv("PBFT_GROUP", "")
    assert run("init", "--app", LEDGER).code == 0
    assert "keys/local" in run("status").out


def test_keys(run: Run, group: Path, tmp_path: Path):
    """A new key is private and never overwritten; its public half is shown as group.toml wants it."""
    made = run("key", "new", "safe/carol.key", "--json")
    assert made.code == 0
    key = PrivateKey.load(tmp_path / "safe" / "carol.key")
    assert json.loads(made.out) == {
        "file": "safe/carol.key",
        "public_key": key.public_key.hex(),
        "link_key": key.link_key.hex(),
    }
    assert_refused(run("key", "new", "safe/carol.key"), 2, "never overwritten")
    assert f'public_key = "{key.public_key.hex()}"' in run("key", "show", "safe/carol.key").out
    alice = read_group(group).group.client_named("alice")
    assert alice is not None
    assert alice.public_key.hex() in run("key", "show", "alice", "--group", "group").out
    assert_refused(run("key", "show", "nobody.key"), 2, "there is no key file nobody.key")


def test_apps(run: Run, tmp_path: Path):
    """An application is described by its own words: operations with types, and parameters."""
    (tmp_path / "mine.py").write_text(AUCTION)
    shown = run("apps", "mine.py:Auction")
    assert shown.code == 0
    assert "bid(amount: int) -> bool" in shown.out
    assert "Bid an amount; say whether it is the highest." in shown.out
    assert "--set reserve" in shown.out
    (told,) = json.loads(run("apps", LEDGER, "--json").out)
    assert [each["name"] for each in told["operations"]][:3] == ["open", "mint", "transfer"]
    assert [each["name"] for each in told["parameters"]] == ["issuer", "clients"]
    assert_refused(run("apps", "mine.py:Nothing"), 2, "has no class")


def test_receipts_that_prove_nothing(run: Run, group: Path, tmp_path: Path):
    """What is no receipt is told apart from what is not there."""
    (tmp_path / "r").write_bytes(b"not a receipt")
    assert_refused(run("verify", "r", "--group", "group"), 1, "r: this is not a receipt")
    assert_refused(run("verify", "nowhere", "--group", "group"), 2, "there is no file nowhere")


def test_what_talks_and_signs_is_loaded_when_it_is_needed():
    """Help, versions and completion come sooner without clients, sockets and keys."""
    program = (
        "import sys, pbft.cli.commands;"
        "print(sorted({'pbft.client', 'pbft.keys', 'pbft.net.transport', 'pbft.node.driver'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=python_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_and_version(run: Run):
    """Asked for nothing, a program says what it can do."""
    assert "Usage: pbft" in run().out
    assert "new" in run("key").out
    assert run("--version").out.startswith("pbft ")
    for name in ("init", "up", "down", "replica", "status", "call", "verify", "apps", "launch"):
        assert (run(name, "--help").code, name in run(name, "--help").out) == (0, True)
    assert "launch" not in run("--help").out
    assert_refused(run("nosuch"), 2, "No such command 'nosuch'")


def test_replica_that_cannot_be(run: Run, group: Path):
    """`pbft replica` refuses what it cannot run, in one sentence."""
    for words, says in (
        (("replica", "group", "9"), "there is no replica 9"),
        (("replica", "no", "0"), "no group in no"),
    ):
        ran = run(*words)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert says in ran.err


def test_a_bug_of_ours_is_one_sentence_too(run: Run, group: Path, monkeypatch: pytest.MonkeyPatch):
    """What should never happen ends with 70 and says how to see more; with PBFT_TRACEBACK it shows more."""
    (group / "group.toml").unlink()
    (group / "group.toml").mkdir()
    assert run("status", "group").code == 2
    monkeypatch.setattr("pbft.cli.status.read_group", lambda _: 1 // 0)
    assert_refused(run("status", "group"), 70, "should not have happened (ZeroDivisionError")
    monkeypatch.setenv("PBFT_TRACEBACK", "1")
    assert "Traceback" in run("status", "group").err
