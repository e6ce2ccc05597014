"""The settings file: checked whole, unknown keys refused, every error named."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import pytest

import node
from node.check.readiness import look
from node.check.soundness import problems
from node.errors import ConfigError
from node.route.rules import compile_rules
from node.settings import DestinationSettings, FolderDestination, Settings, load, renamed_keys
from node.settings.fields import Section
from node.settings.renamed import RENAMED

FOLDER = '[[destinations]]\nname = "f"\nkind = "folder"\npath = "out"\n'
PACS = (
    '[[destinations]]\nname = "p"\nkind = "dimse"\nae_title = "P"\nhost = "pacs.example"\n'
    "port = 104\n"
)
KINDS: Final = get_args(get_args(DestinationSettings)[0])
NODE: Final = Path(node.__file__).parent
REFERENCE: Final = (NODE.parent / "deploy" / "SETTINGS.md").read_text(encoding="utf-8")
SHIPPED = Path(__file__).parents[2] / "deploy" / "node.toml"


def written(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_settings_are_valid() -> None:
    """deploy/node.toml is what `make run` starts with."""
    settings = load(SHIPPED)

    assert len(compile_rules(settings.rules).rules) == len(settings.rules)
    assert settings.node.ae_title == "RADNODE"


def test_relative_paths_start_at_the_settings_file(tmp_path: Path) -> None:
    """The node may be started from anywhere."""
    settings = load(
        written(
            tmp_path,
            '[node]\ndata = "data"\n[[destinations]]\nname="f"\nkind="folder"\npath="out"\n',
        )
    )

    assert settings.node.data == tmp_path / "data"
    destination = settings.destinations[0]
    assert isinstance(destination, FolderDestination)
    assert destination.path == tmp_path / "out"


def paths_in(value: Any) -> list[Path]:
    """Return every path that a section holds, of the tables in it too."""
    if isinstance(value, Path):
        return [value]
    parts = [part for _, part in value] if isinstance(value, Section) else value
    return [path for part in parts for path in paths_in(part)] if _has_parts(value) else []


def _has_parts(value: Any) -> bool:
    return isinstance(value, Section | tuple)


def test_every_path_of_every_table_starts_at_the_settings_file(tmp_path: Path) -> None:
    """One that does not is looked for in the folder that the service was started from."""
    tls = 'tls = { ca_file = "c", certificate_file = "x", key_file = "k" }\n'
    text = (
        '[node]\ndata = "d"\n[models]\nclassifier = "m"\nliver = "l"\n'
        '[tls]\ncertificate_file = "x"\nkey_file = "k"\nca_file = "c"\n'
        f'[audit]\nhost = "a"\n{tls}'
        f'[[sources]]\nae_title = "S"\nhost = "s"\nport = 104\n{tls}'
        f"{PACS}{tls}{FOLDER}"
        '[[destinations]]\nname = "w"\nkind = "dicomweb"\nurl = "https://w"\n'
        f'username = "u"\npassword_file = "s"\n{tls}'
        '[[destinations]]\nname = "o"\nkind = "orthanc"\nurl = "https://o"\n'
        f'token_file = "s"\n{tls}'
    )

    found = paths_in(load(written(tmp_path, text)))

    assert len(found) == text.count('"x"') + text.count('"k"') + text.count('"c"') + 6
    assert all(path.is_relative_to(tmp_path) for path in found)


def test_every_kind_of_destination_is_found_by_its_name() -> None:
    """In the settings, in the file that sends, and in the papers."""
    kinds = [get_args(kind.model_fields["kind"].annotation)[0] for kind in KINDS]

    assert sorted(kinds) == ["dicomweb", "dimse", "folder", "orthanc"]
    for kind in kinds:
        assert (NODE / "deliver" / f"{kind}.py").is_file()
        assert f'`kind = "{kind}"`' in REFERENCE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[node]\nae_titel = "X"\n', r"node\.ae_titel \(line 2\)"),
        ('[node]\nae_title = "LONGER THAN SIXTEEN"\n', r"node\.ae_title \(line 2\).*16"),
        ("[node]\nport = 70000\n", r"node\.port \(line 2\)"),
        ('[[rules]]\nname = "a"\nwhen = "true"\ndeliver = ["pacs"]\n', "pacs"),
        ('[[destinations]]\nname = "a"\nkind = "carrier-pigeon"\n', "carrier-pigeon"),
        ("not toml", "is not TOML"),
        (f'{FOLDER}window = "22:00-24:00"\n', r"window.*22:00-24:00"),
        (f"{FOLDER}connections = 0\n", "connections"),
        (f"{FOLDER}longest_delay_s = 5.0\n", "longest_delay_s must not be less"),
        (f'{FOLDER}priority = "urgent"\n', "'high', 'normal' or 'low'"),
        ("[receive]\nnetwork_timeout_s = inf\n", r"receive\.network_timeout_s \(line 2\)"),
        ("[receive]\nnetwork_timeout_s = 1e12\n", r"receive\.network_timeout_s \(line 2\)"),
        ("[receive]\nnegotiation_timeout_s = 1e12\n", r"receive\.negotiation_timeout_s"),
        (f"{PACS}commitment_timeout_s = inf\n", r"commitment_timeout_s \(line 7\)"),
        (PACS.replace('"pacs.example"', '""'), r"host \(line 5\)"),
        (
            '[[destinations]]\nname = "o"\nkind = "orthanc"\nurl = "http://o"\n'
            'label_prefix = "a b"\n',
            r"label_prefix \(line 5\)",
        ),
        ('[audit]\nhost = ""\n', r"audit\.host \(line 2\)"),
        ('[node]\ncatalog_url = "catalog.sqlite"\n', r"node\.catalog_url.*sqlite:///FILE"),
        ('[node]\ncatalog_url = "mysql://a/b"\n', r"node\.catalog_url.*sqlite:///FILE"),
        ('[node]\npipeline_url = "postgresql://a/b"\n', r"node\.pipeline_url.*psycopg"),
        ('[node]\ncatalog_url = "sqlite://"\n', r"node\.catalog_url.*names no database"),
        (
            '[node]\nport = 2762\n[tls]\ncertificate_file = "c"\nkey_file = "k"\n'
            'client_certificate = "none"\n',
            r"node\.port and tls\.port are both 2762",
        ),
    ],
    ids=[
        "unknown key",
        "long AE title",
        "port",
        "no such destination",
        "kind",
        "no TOML",
        "window",
        "connections",
        "delays",
        "priority",
        "endless patience",
        "more patience than a socket has",
        "more patience with a handshake than a socket has",
        "endless wait for a report",
        "no host",
        "a label prefix that Orthanc refuses",
        "no audit host",
        "a database without a scheme",
        "a database of another kind",
        "a database with another driver",
        "a database in memory",
        "one port for two doors",
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    """The operator sees which key, where, and what was expected."""
    with pytest.raises(ConfigError, match=told):
        load(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """No silent defaults for a path that was misspelt."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "nowhere.toml")


SECRET = "hunter2-do-not-print"  # noqa: S105
WEB = '[[destinations]]\nname = "a"\nkind = "dicomweb"\nurl = "https://a.example.org"\n'


@pytest.mark.parametrize(
    "text",
    [
        f'{WEB}password = "{SECRET}"\n',
        f'{WEB}token = "{SECRET}"\n',
        f'[node]\npassword = "{SECRET}"\n',
        f'[node]\ncatalog_url = "postgresql+psycopg://node:{SECRET}@db/radnode"\n',
        f"{WEB.replace('https://', f'https://me:{SECRET}@')}",
        f'password = "{SECRET}"\n',
    ],
)
def test_a_secret_in_the_settings_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    """The message says where secrets stand instead."""
    with pytest.raises(ConfigError, match=r"does not stand in .*(_file|passfile)") as raised:
        load(written(tmp_path, text))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        f'{WEB}passwort = "{SECRET}"\n',
        WEB.replace("https://a.example.org", f"https://me:{SECRET}@a.example.org:noport"),
        f'[node]\ncatalog_url = "postgresql+psycopg://node:{SECRET}@[db/radnode"\n',
    ],
    ids=["a misspelt key", "a broken URL", "a broken URL of a database"],
)
def test_a_secret_in_a_mistake_is_not_repeated(tmp_path: Path, text: str) -> None:
    """The message may be copied into a log; the key and its line are enough."""
    with pytest.raises(ConfigError, match=r"\(line \d\)") as raised:
        load(written(tmp_path, text))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[node]\nbind = "no such address"\n', "node.bind: no such address is no address"),
        ('[node]\ndata = "node.toml"\n', "node.data: {folder}/node.toml is no folder"),
        (f'[models]\nliver = "{"x" * 300}"\n', "models.liver: there is no file {folder}/xxx"),
        ('[node]\ndata = "node.toml/var"\n', "node.data: {folder}/node.toml is no folder"),
        ('[models]\nliver = "l"\n', "models.liver: there is no file {folder}/l"),
        ('[models]\nclassifier = "c"\n', "models.classifier: there is no file {folder}/c"),
    ],
)
def test_what_the_settings_name_is_looked_at(tmp_path: Path, text: str, told: str) -> None:
    """`radnode check` and `radnode run` tell it before a process dies of it again and again."""
    (found,) = problems(load(written(tmp_path, text)), datetime.now(UTC))

    assert found.startswith(told.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('password_file = "p"\ntoken_env = "T"\nusername = "u"\n', "one of them is enough"),
        ('password_file = "p"\n', "username goes with"),
        ('username = "u"\n', "username goes with"),
        ('tls = { certificate_file = "c" }\n', "go together"),
        ('tls = { server_name = "c", check_server_name = false }\n', "ignores it"),
    ],
)
def test_half_a_credential_is_refused(tmp_path: Path, lines: str, told: str) -> None:
    """Each key needs its companion."""
    with pytest.raises(ConfigError, match=told):
        load(written(tmp_path, WEB + lines))


def test_tls_files_start_at_the_settings_file_and_are_looked_at(tmp_path: Path) -> None:
    """Every problem is told, with the entry it belongs to, and no secret with it."""
    (tmp_path / "empty").write_text(" ", encoding="utf-8")
    settings = load(
        written(
            tmp_path,
            '[tls]\ncertificate_file = "n.crt"\nkey_file = "n.key"\nca_file = "ca.crt"\n'
            f'{WEB}tls = {{ ca_file = "ca.crt" }}\n'
            '[[destinations]]\nname = "b"\nkind = "orthanc"\nurl = "http://b"\n'
            'username = "u"\npassword_file = "empty"\n'
            '[[destinations]]\nname = "c"\nkind = "dicomweb"\nurl = "http://c"\n'
            'token_env = "RADNODE_TEST_NOT_SET"\n'
            '[[destinations]]\nname = "d"\nkind = "dimse"\nae_title = "D"\nhost = "d"\n'
            'port = 104\ntls = { ca_file = "/nowhere/ca.crt" }\n',
        )
    )
    told = problems(settings, datetime.now(UTC))

    assert told == [
        f"tls: cannot read {tmp_path / 'n.crt'}: No such file or directory",
        f"a: cannot read {tmp_path / 'ca.crt'}: No such file or directory",
        f"b: credentials of b: file {tmp_path / 'empty'} is empty",
        "c: credentials of c: environment variable RADNODE_TEST_NOT_SET is not set",
        "d: cannot read /nowhere/ca.crt: No such file or directory",
    ]


def test_client_certificates_need_somebody_who_vouches(tmp_path: Path) -> None:
    """The default is to require them."""
    with pytest.raises(ConfigError, match="ca_file is missing"):
        load(written(tmp_path, '[tls]\ncertificate_file = "c"\nkey_file = "k"\n'))


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("", "rules: none, so nothing that comes in is sent anywhere"),
        ('[[rules]]\nname = "a"\nwhen = "true"\n', "rules: none sends to f"),
        ('[[rules]]\nname = "a"\nwhen = "true"\nresults_to = ["f"]\n', ""),
        ('[[rules]]\nname = "a"\nwhen = "true"\ndeliver = ["f"]\n', ""),
    ],
)
def test_check_says_where_nothing_is_sent(tmp_path: Path, rules: str, told: str) -> None:
    """A destination that was forgotten in the rules looks like one that is never down."""
    lines = [line for line, _ in look(load(written(tmp_path, FOLDER + rules)))]

    assert [line for line in lines if line.startswith("rules")] == ([told] if told else [])


RENAMED_KEYS = [
    ("receive", "learning", "accept_unlisted", True),
    ("retention", "turns_days", "batches_days", 45.0),
]


@pytest.mark.parametrize(("section", "old", "new", "value"), RENAMED_KEYS)
def test_a_renamed_key_is_still_read_and_the_key_of_today_is_named(
    tmp_path: Path, section: str, old: str, new: str, value: object
) -> None:
    """An upgrade must not keep a node from starting, nor change what it was set to."""
    file = written(tmp_path, f"[{section}]\n{old} = {str(value).lower()}\n")

    assert getattr(getattr(load(file), section), new) == value
    assert getattr(getattr(Settings(), section), new) != value
    (line,) = renamed_keys(file)
    assert f"{section}.{old}" in line
    assert f"{section}.{new}" in line


def test_every_renamed_key_is_tried_here() -> None:
    """A key added to the table has its case above."""
    assert set(RENAMED) == {(section, old) for section, old, _, _ in RENAMED_KEYS}


def test_a_key_under_both_its_names_is_refused(tmp_path: Path) -> None:
    """Nobody can tell which of the two was meant."""
    file = written(tmp_path, "[receive]\nlearning = true\naccept_unlisted = false\n")

    with pytest.raises(ConfigError, match=r"receive\.accept_unlisted.*receive\.learning"):
        load(file)


def test_a_mistake_in_a_renamed_key_is_named_with_its_line(tmp_path: Path) -> None:
    """The operator looks for what is written in the file."""
    file = written(tmp_path, '[receive]\nmemory_mib = 64\nlearning = "sometimes"\n')

    with pytest.raises(ConfigError, match=r"receive\.accept_unlisted \(line 3\).*sometimes"):
        load(file)


def test_settings_of_today_name_no_renamed_key() -> None:
    """The shipped file is what operators copy from."""
    assert renamed_keys(SHIPPED) == []
