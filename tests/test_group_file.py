"""`group.toml`: what is written comes back the same, and whatever is wrong in it gets one sentence that helps."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.group import Genesis, Group, Member, RegisteredClient
from pbft.core.messages import Status, pack, unpack
from pbft.core.settings import MAX_REPAIR_SLOTS, ReplicaSettings
from pbft.encoding import EncodingError, Plain
from pbft.group_file import Address, GroupFile, GroupFileError, describe_group, read_group, write_group
from pbft.keys import PrivateKey


def key(number: int) -> PrivateKey:
    return PrivateKey.from_seed(bytes([number] * 32))


def make(
    directory: Path,
    spec: str = "ledger",
    parameters: tuple[tuple[str, Plain], ...] = (("clients", ("alice", "bob")), ("issuer", "alice")),
) -> GroupFile:
    genesis = Genesis(
        nonce=bytes(16),
        members=tuple(Member(i, key(i).public_key, key(i).link_key) for i in range(4)),
        clients=tuple(
            RegisteredClient(name, key(i).public_key, key(i).link_key) for i, name in enumerate(("alice", "bob"), 10)
        ),
        application="Ledger",
        parameters=parameters,
    )
    return GroupFile(
        directory,
        Group.of(genesis),
        spec,
        tuple(Address("127.0.0.1", 7000 + i) for i in range(4)),
        tuple(Address("::1" if i == 3 else "replica.example", 7100 + i) for i in range(4)),
        replace(ReplicaSettings(), window=5),
        lab=True,
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_group(make(tmp_path))
    return tmp_path


def test_what_is_written_comes_back(written: Path) -> None:
    """Every part survives: keys, limits, parameters, both addresses of each replica, settings."""
    assert read_group(written) == make(written)
    assert read_group(str(written)).group.id == make(written).group.id


def test_the_file_is_public_and_says_what_it_is(written: Path) -> None:
    """It may be handed around, holds comments for its readers, and no private key."""
    text = (written / "group.toml").read_text()
    assert stat.S_IMODE((written / "group.toml").stat().st_mode) & 0o400
    assert text.startswith("# A replica group of pbft.")
    assert not any((bytes([number] * 32)).hex() in text for number in (*range(4), 10, 11))


def test_keys_and_data_lie_beside_it(written: Path) -> None:
    """The folder's layout is stated once."""
    group = read_group(written)
    assert group.replica_key(2) == written / "replica-2.key"
    assert group.client_key("bob") == written / "clients" / "bob.key"
    assert group.data(3) == written / "data" / "replica-3"


def test_a_moved_host_stays_in_its_group(written: Path) -> None:
    """Addresses, settings and the code's place are no part of the id (design 4.1)."""
    before = read_group(written).group.id
    path = written / "group.toml"
    text = path.read_text().replace('"127.0.0.1:7002"', '"10.1.2.3:7002"').replace("window = 5", "window = 6")
    path.write_text(text.replace('spec = "ledger"', 'spec = "elsewhere:Ledger"').replace("lab = true\n", ""))
    moved = read_group(written)
    assert moved.group.id == before
    assert moved.replica_addresses[2] == Address("10.1.2.3", 7002)
    assert moved.settings.window == 6
    assert moved.application == "elsewhere:Ledger"
    assert not moved.lab


def test_a_group_is_never_overwritten(written: Path) -> None:
    """A second group in one folder would orphan the keys of the first."""
    before = (written / "group.toml").read_bytes()
    with pytest.raises(GroupFileError, match="is there already"):
        write_group(make(written))
    assert (written / "group.toml").read_bytes() == before


def test_code_inside_the_folder_moves_with_it(tmp_path: Path) -> None:
    """A file's path is written relative to the folder when it lies inside, and in full when it does not."""
    (tmp_path / "one").mkdir()
    write_group(make(tmp_path / "one", f"{tmp_path}/one/mine.py:Auction"))
    moved = (tmp_path / "one").rename(tmp_path / "two")
    assert read_group(moved).application == f"{tmp_path}/two/mine.py:Auction"
    (tmp_path / "three").mkdir()
    write_group(make(tmp_path / "three", f"{tmp_path}/mine.py"))
    assert read_group(tmp_path / "three").application == f"{tmp_path}/mine.py"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text(st.characters(codec="utf-8")) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8")).filter(lambda name: not name.startswith("$")), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(value=PLAIN)
def test_any_parameter_survives(tmp_path_factory: pytest.TempPathFactory, value: Plain) -> None:
    """What an application can be created with comes back the same, nothing and byte strings included."""
    directory = tmp_path_factory.mktemp("group")
    write_group(make(directory, parameters=(("clients", ()), ("value", value))))
    assert dict(read_group(directory).group.genesis.parameters)["value"] == value


def test_a_key_that_would_be_mistaken_is_refused(tmp_path: Path) -> None:
    """The mark for byte strings cannot be smuggled in as a map."""
    with pytest.raises(GroupFileError, match=r"begins with \$"):
        describe_group(make(tmp_path, parameters=(("value", {"$bytes": "00"}),)))


FIRST = key(0).public_key.hex()
SECOND = key(1).public_key.hex()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[group]", "[group", r"group.toml is not valid TOML: .*line"),
        ("version = 1", "version = 2", r"\[group\]: version is 2, which this pbft cannot read; it reads 1"),
        ("version = 1\n", "", r"\[group\]: version is missing; write version = a whole number"),
        ("version = 1", 'version = "1"', r'\[group\]: version must be a whole number of at least 1, not "1"'),
        ("version = 1", "version = true", r"\[group\]: version must be a whole number"),
        ("version = 1", "versoin = 1\nversion = 1", r'"versoin" is unknown here; did you mean "version"'),
        ("[settings]", "[setings]", r'"setings" is unknown here; did you mean "settings"'),
        (
            FIRST,
            FIRST[:-2],
            r"\[\[replica\]\] number 0: public_key must be 64 hexadecimal digits in quotes, not 62",
        ),
        (FIRST, "g" + FIRST[1:], r"public_key must be 64 hexadecimal digits"),
        (FIRST, SECOND, r"two parties of the group share one of their public keys"),
        ("id = 1\n", "id = 2\n", r"\[\[replica\]\] number 1: id must be 1"),
        ("127.0.0.1:7001", "127.0.0.1:7000", r"127.0.0.1:7000 stands there twice; give each replica two ports"),
        ("127.0.0.1:7001", "127.0.0.1", r'address must look like "127.0.0.1:7000", not "127.0.0.1"'),
        ("127.0.0.1:7001", "127.0.0.1:70001", r"a port is a number from 1 to 65535"),
        ("127.0.0.1:7001", "127.0.0.1:0", r"a port is a number from 1 to 65535"),
        ("127.0.0.1:7001", "::1:7001", r"an IPv6 address stands in brackets"),
        ("127.0.0.1:7001", "two words:7001", r"an address is host:port"),
        ('name = "bob"', 'name = "../bob"', r"\[\[client\]\] number 1: name must have 1 to 64"),
        ("log_size = 512", "log_size = 200", r"log_size \(L\) must be at least twice"),
        ("batch_bytes = 1048576", "batch_bytes = 0", r"\[limits\]: batch_bytes must be a whole number of at least 1"),
        ("window = 5", "window = 5000", r"\[settings\]: window must be at most log_size, 512, not 5000"),
        ("datagram_bytes = 1200", "datagram_bytes = 70000", r"datagram_bytes must be at most 65507"),
        ("datagram_bytes = 1200", "datagram_bytes = 100", r"datagram_bytes must be a whole number of at least 512"),
        ("window = 5", "repair_slots = 1025", r"\[settings\]: repair_slots must be at most 1024, not 1025"),
        (
            "window = 5",
            "status_interval_max_ms = 99",
            r"status_interval_max_ms must be at least status_interval_ms, 100",
        ),
        ("window = 5", "status_interval_ms = 1601", r"at least status_interval_ms, 1601, not 1600"),
        ("lab = true", "lab = 1", r"\[settings\]: lab must be true or false"),
        ('issuer = "alice"', "issuer = 1.5", r"parameter issuer: a float cannot be a parameter"),
        ('issuer = "alice"', 'issuer = { "$bytes" = "0" }', r"parameter issuer: write bytes as"),
        ('issuer = "alice"', 'issuer = "bob"', r"\[group\]: id does not fit the rest of the file.*fresh copy"),
        ("sessions_per_client = 64", "sessions_per_client = 65", r"id does not fit the rest"),
        ("[limits]", "[[limits]]", r"there must be one \[limits\]"),
    ],
)
def test_what_is_wrong_gets_one_sentence(written: Path, old: str, new: str, says: str) -> None:
    """Each mistake names the file, the place in it and what to write."""
    path = written / "group.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(GroupFileError, match=says) as refused:
        read_group(written)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_as_many_slots_as_one_status_may_speak_of() -> None:
    """The bound of the setting is the message's own."""
    status = Status(0, 0, 0, 0, 0, True, bytes(MAX_REPAIR_SLOTS), (), ())
    assert unpack(Status, pack(status)).held == bytes(MAX_REPAIR_SLOTS)
    with pytest.raises(EncodingError):
        unpack(Status, pack(replace(status, held=bytes(MAX_REPAIR_SLOTS + 1))))


def test_settings_as_usual_are_not_written_out(tmp_path: Path) -> None:
    """Five that people should know of, and what differs: a later pbft may choose better ones for the rest."""
    group = make(tmp_path)
    usual = describe_group(group).partition("[settings]")[2]
    tuned = describe_group(replace(group, settings=ReplicaSettings(relay_gap_ms=7))).partition("[settings]")[2]
    shown = "\nlab = true\ndatagram_bytes = 1200\nwindow = {}\nview_timeout_ms = 1000\nreplace_slow_primary = true\n"
    assert usual == shown.format(5)
    assert tuned == shown.format(16) + "relay_gap_ms = 7\n"


def test_a_switch_is_read_and_refuses_what_is_neither(written: Path) -> None:
    path = written / "group.toml"
    text = path.read_text()
    assert read_group(written).settings.replace_slow_primary
    path.write_text(text.replace("replace_slow_primary = true", "replace_slow_primary = false"))
    assert not read_group(written).settings.replace_slow_primary
    path.write_text(text.replace("replace_slow_primary = true", "replace_slow_primary = 1"))
    with pytest.raises(GroupFileError, match='replace_slow_primary must be true or false, not "1"'):
        read_group(written)


def test_too_few_replicas_are_refused(written: Path) -> None:
    """Three replicas survive no fault, so they are no group."""
    path = written / "group.toml"
    text = path.read_text()
    start = text.index("[[replica]]\nid = 3")
    path.write_text(text[:start] + text[text.index("# The clients") :])
    with pytest.raises(GroupFileError, match="at least 4 replicas to survive one fault, not 3"):
        read_group(written)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"there must be one \[group\]"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"a = " + b"[" * 5000, "is not valid TOML"),
        (b"replica = 1\n[group]\nversion = 1\n[application]\n", r"each replica must be a table of its own"),
    ],
)
def test_what_is_no_group_file(tmp_path: Path, content: bytes, says: str) -> None:
    """Not even the outline is right: still one sentence."""
    (tmp_path / "group.toml").write_bytes(content)
    with pytest.raises(GroupFileError, match=says):
        read_group(tmp_path)


def test_no_group_there(tmp_path: Path) -> None:
    """Whoever names a folder without a group is told how to make one."""
    with pytest.raises(GroupFileError, match=r"there is no group in .*nowhere; make one: pbft init .*nowhere"):
        read_group(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(GroupFileError, match="there is no group in"):
        read_group(tmp_path / "file")


@pytest.mark.parametrize("text", ["127.0.0.1:7000", "[::1]:7000", "replica-1.example:65535", "a_b:1"])
def test_addresses_come_back_as_they_were(text: str) -> None:
    """An address prints as it is read."""
    assert str(Address.parse(text)) == text


def test_metrics_are_shown_where_the_file_says(written: Path) -> None:
    """Without the table nothing listens; an empty one means this machine alone; what is written comes back."""
    path = written / "group.toml"
    text = path.read_text()
    assert "metrics" not in text
    assert read_group(written).metrics_address(0) is None
    path.write_text(f"{text}\n[metrics]\n")
    assert read_group(written).metrics_address(3) == Address("127.0.0.1", 9467)
    before = read_group(written)
    path.unlink()
    write_group(replace(before, metrics=Address("::1", 9000)))
    assert read_group(written).metrics_address(1) == Address("::1", 9001)
    assert read_group(written).group.id == before.group.id


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("base_port = 0", "[metrics]: base_port must be a whole number of at least 1, not 0"),
        ("base_port = 65533", "[metrics]: base_port must be at most 65532, not 65533: each of the 4 replicas has one"),
        ('host = "a b"', '[metrics]: host must be a name or number, as "127.0.0.1", not "a b"'),
        ("host = 5", "[metrics]: host must be a text in quotes"),
        ("prot = 1", '[metrics]: "prot" is unknown here'),
    ],
)
def test_a_wrong_place_for_metrics_is_refused(written: Path, table: str, words: str) -> None:
    """The sentence names the table and says what to write there."""
    path = written / "group.toml"
    path.write_text(f"{path.read_text()}\n[metrics]\n{table}\n")
    with pytest.raises(GroupFileError) as caught:
        read_group(written)
    assert words in str(caught.value)
