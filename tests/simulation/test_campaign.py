"""Long runs of the simulation that are interrupted and go on, and releases that live together."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.sender.world import Clock, conversion
from tests.simulation.campaign import ROOT, SOURCES, State, Tally, fingerprint
from tests.simulation.dynamodb import DynamoDb
from tests.simulation.environments import (
    ADDED_LATER,
    EARLIER,
    NEXT,
    THIS,
    Compatible,
    Model,
    Release,
)
from tests.simulation.fibres import START
from tests.simulation.running import Result

from prisjakt_relay import aws
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.ledger import Ledger, Record, reported
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.tables import DynamoStore

CODE = "a fingerprint"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """In a folder that is not there yet."""
    return tmp_path / "simulation" / "state.json"


def result(seed: int) -> Result:
    """A world of which every figure counts, and some are often zero."""
    return Result(
        seed,
        (),
        requests=seed * 7,
        invocations=seed * 3,
        lost=seed % 3,
        recovered=seed % 2,
        struck={"hang": seed + 1, **({"kill": 2} if seed % 4 == 0 else {})},
        releases=1 + seed % 2,
        skewed=seed % 5 == 0,
    )


def tally_of(seeds: range) -> Tally:
    tally = Tally(seeds.start)
    for seed in seeds:
        tally.add(result(seed))
    return tally


# The state


def test_the_tally_adds_every_figure_of_every_world() -> None:
    assert tally_of(range(3, 9)) == Tally(
        first=3,
        worlds=6,
        invocations=99,
        requests=231,
        lost=6,
        worlds_with_losses=4,
        recovered=3,
        worlds_with_deployments=3,
        worlds_with_skewed_clocks=1,
        struck={"hang": 39, "kill": 4, "Prisjakt": 39},
        worlds_struck={"hang": 6, "kill": 2, "Prisjakt": 6},
    )


@pytest.mark.parametrize("interrupted", range(11))
def test_a_run_that_goes_on_ends_as_one_that_was_never_interrupted(
    interrupted: int, file: Path
) -> None:
    State(file, CODE).save(tally_of(range(5, 5 + interrupted)))

    tally = State(file, CODE).load(5)
    for seed in range(tally.next_seed, 15):
        tally.add(result(seed))

    assert tally == tally_of(range(5, 15))
    assert tally.next_seed == 15


def test_without_a_state_a_run_begins_at_its_first_seed(file: Path) -> None:
    tally = State(file, CODE).load(7)

    assert tally == Tally(7)
    assert tally.next_seed == 7


@pytest.mark.parametrize(("code", "first"), [("other code", 0), (CODE, 1)])
def test_other_code_or_another_first_seed_begins_anew(code: str, first: int, file: Path) -> None:
    State(file, CODE).save(tally_of(range(4)))

    assert State(file, code).load(first) == Tally(first)
    assert State(file, CODE).load(0) == tally_of(range(4))


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_save_that_is_cut_short_leaves_the_state_before_it(
    step: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it dies in the middle of the text or before the text has its name."""
    write = Path.write_text

    def cut_short(path: Path, text: str | Path, **_: Any) -> None:
        if isinstance(text, str):
            write(path, text[: len(text) // 2], encoding="utf-8")
        raise KeyboardInterrupt

    State(file, CODE).save(tally_of(range(4)))
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, cut_short)
        with pytest.raises(KeyboardInterrupt):
            State(file, CODE).save(tally_of(range(8)))

    assert State(file, CODE).load(0) == tally_of(range(4))
    State(file, CODE).save(tally_of(range(8)))
    assert State(file, CODE).load(0) == tally_of(range(8))
    assert list(file.parent.iterdir()) == [file]


# The fingerprint


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in ("a/one.py", "a/deep/two.py", "b/locked.txt"):
        source = tmp_path / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(name, encoding="utf-8")
    return tmp_path


def fingerprint_of(root: Path) -> str:
    return fingerprint(root, ("a", "b"))


@pytest.mark.parametrize("name", ["a/one.py", "a/deep/two.py", "b/locked.txt", "a/new.py"])
def test_other_code_has_another_fingerprint(name: str, sources: Path) -> None:
    before = fingerprint_of(sources)
    (sources / name).write_text("something else", encoding="utf-8")

    assert fingerprint_of(sources) != before


def test_code_in_a_file_of_another_name_has_another_fingerprint(sources: Path) -> None:
    before = fingerprint_of(sources)
    (sources / "a/one.py").rename(sources / "a/other.py")

    assert fingerprint_of(sources) != before


@pytest.mark.parametrize("name", ["a/__pycache__/one.pyc", "a/notes.md", "c/three.py"])
def test_what_no_world_runs_does_not_change_the_fingerprint(name: str, sources: Path) -> None:
    before = fingerprint_of(sources)
    (sources / name).parent.mkdir(exist_ok=True)
    (sources / name).write_text("something else", encoding="utf-8")

    assert fingerprint_of(sources) == before


def test_the_fingerprint_is_of_folders_that_are_there() -> None:
    """A folder that moved would silently drop out of it."""
    whole = fingerprint()

    assert all(
        fingerprint(ROOT, [each for each in SOURCES if each != source]) != whole
        for source in SOURCES
    )
    assert fingerprint() == whole


# The command


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "tests.simulation", *options]


def counted(*options: str) -> dict[str, Any]:
    """A run to its end; what it counted, but for the time and the machine that it took."""
    file = Path(options[options.index("--json") + 1])
    run = subprocess.run(  # noqa: S603
        command(*options), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures: dict[str, Any] = json.loads(file.read_text("utf-8"))
    assert figures.pop("seconds") > 0
    assert figures.pop("measured_at")
    assert figures.pop("machine")
    return figures


@contextlib.contextmanager
def started(output: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """In a group of its own, as a terminal starts it, and with a progress bar that can be read."""
    with subprocess.Popen(  # noqa: S603
        command(*options),
        cwd=ROOT,
        env=os.environ | {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def test_an_interrupted_run_goes_on_and_counts_what_it_would_have_counted(tmp_path: Path) -> None:
    """It is begun with more worlds than can be done, and interrupted once it has done one."""
    state, first, output = str(tmp_path / "state.json"), "300", tmp_path / "output.txt"
    endless = ("--first", first, "--seeds", "1000000", "--state", state)
    with output.open("w") as written, started(written.fileno(), *endless) as run:
        assert run.stderr is not None
        shown = ""
        while not re.search(r"\b[1-9][0-9]*/1000000\b", shown):
            part = run.stderr.read(1)
            assert part, shown + output.read_text("utf-8")
            shown += part
        os.killpg(run.pid, signal.SIGINT)
        run.communicate()

    told = output.read_text("utf-8")
    assert run.returncode == 130, told
    done = re.search(r"interrupted after (\d+) worlds; the same command goes on from here", told)
    assert done, told
    more = str(int(done[1]) + 15)
    whole, rest = (str(tmp_path / name) for name in ("whole.json", "rest.json"))

    resumed = counted("--first", first, "--seeds", more, "--state", state, "--json", rest)

    assert resumed == counted("--first", first, "--seeds", more, "--json", whole)
    assert resumed["worlds"] == int(more)
    kept = json.loads(Path(state).read_text("utf-8"))["tally"]
    assert kept["worlds"] == int(more)


# Releases


class Table:
    """One table, and processes of several releases that use it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.model = DynamoDb(lambda: self.clock.now.timestamp())

    def store(self, release: Release) -> DynamoStore:
        service = cast("aws.Service", Compatible(self.model, release))
        return DynamoStore(service, "ledger", clock=self.clock, sleep=self.clock.advance)

    def report(self, release: Release) -> Record:
        """An order, claimed and settled by a process of that release, as it sees it."""
        ledger, now = Ledger(self.store(release)), self.clock.now
        claim = ledger.claim(conversion(), pixel_id="p", corrects=True, now=now, token="one")
        after = ledger.settle(
            claim.record, lambda record: reported(record, record.wanted, certain=True), now
        )
        assert after is not None
        return after

    def names(self, key: str) -> set[str]:
        return set(self.model.items[key])


KNOWN_LATER = {"shop_day", "reported_at"}  # of those added later, what such an order has


def test_the_earlier_release_writes_no_attribute_that_was_added_later() -> None:
    table, this = Table(), Table()
    key = table.report(EARLIER).key
    this.report(THIS)

    assert this.names(key) - table.names(key) == KNOWN_LATER
    assert table.names(key) < this.names(key)
    assert KNOWN_LATER < ADDED_LATER


def test_the_next_release_writes_one_attribute_more() -> None:
    table, this = Table(), Table()
    key = table.report(NEXT).key
    this.report(THIS)

    assert table.names(key) - this.names(key) == {NEXT.adds}
    assert this.names(key) < table.names(key)


@pytest.mark.parametrize("release", [EARLIER, NEXT], ids=lambda release: release.name)
def test_a_process_reads_what_it_wrote_itself_as_it_wrote_it(release: Release) -> None:
    """It compares the two to see whether a write whose answer was lost was done."""
    table = Table()
    store = table.store(release)
    key = "order#alfa#1#purchase"
    item = {"id": key, "version": 1, "shop_day": "alfa#day", "tries": 0}

    assert store.put(item, previous=None)
    assert store.get(key) == item
    assert table.model.items[key].keys() != item.keys()


@pytest.mark.parametrize("writer", [EARLIER, THIS, NEXT], ids=lambda release: release.name)
@pytest.mark.parametrize("reader", [EARLIER, THIS, NEXT], ids=lambda release: release.name)
def test_what_one_release_wrote_another_reads_and_settles(writer: Release, reader: Release) -> None:
    """But for what one of them does not know. A process knows only its own writes."""
    table = Table()
    written = table.report(writer)
    ledger = Ledger(table.store(reader))

    read = ledger.get(written.key)

    assert read is not None
    unknown = writer is EARLIER or reader is EARLIER
    assert (read.reported_at is None) is unknown
    assert (read.reported, read.status, read.version, read.wanted) == (
        written.reported,
        written.status,
        written.version,
        written.wanted,
    )
    corrected = conversion(revision=written.wanted.revision + 1, number_of_items=1)
    later = START + timedelta(hours=1)
    claim = ledger.claim(corrected, pixel_id="p", corrects=True, now=later, token="two")
    assert claim.outcome is None
    assert claim.record.reported == written.reported
    assert NEXT.adds not in table.names(written.key) or reader is NEXT


@pytest.mark.parametrize("release", [EARLIER, NEXT], ids=lambda release: release.name)
def test_a_release_reads_nothing_that_it_does_not_know(release: Release) -> None:
    table = Table()
    key = table.report(THIS).key
    table.model.items[key] |= {NEXT.adds: {"S": "of another process"}}

    item = table.store(release).get(key)

    assert item is not None
    assert table.names(key) - set(item) == {
        NEXT.adds if release is NEXT else "",
        *(KNOWN_LATER if release is EARLIER else set()),
    } - {""}


@pytest.mark.parametrize("release", [EARLIER, THIS, NEXT], ids=lambda release: release.name)
def test_all_releases_write_alike_what_is_no_order(release: Release) -> None:
    """The rate limit, which is updated, and the reconciler's progress, which is put."""
    table, this = Table(), Table()
    for one, its in ((table, release), (this, THIS)):
        limit = RateLimit(one.store(its), 300)
        limit.reserve("client", "alfa", START)
        limit.reserve("client", "alfa", START)
        limit.pause("client", 60.0, START)
        assert ProgressBook(one.store(its)).add("alfa", START)

    assert table.model.items == this.model.items


class Sent:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "SendMessage"
        assert parameters["QueueUrl"] == "queue"
        self.bodies.append(parameters["MessageBody"])
        return {}


@pytest.mark.parametrize("release", [EARLIER, THIS, NEXT], ids=lambda release: release.name)
def test_a_message_of_every_release_is_read_by_this_one(release: Release) -> None:
    """The next one's has another version, and a field more."""
    sent, message = Sent(), conversion().to_message()
    parameters = {"QueueUrl": "queue", "MessageBody": message}

    Compatible(cast("Model", sent), release).call("SendMessage", parameters)

    (body,) = sent.bodies
    assert Conversion.from_message(body) == conversion()
    assert (body == message) is (release is not NEXT)
    added = {NEXT.adds: "?", "version": 2} if release is NEXT else {}
    assert json.loads(body) == {**json.loads(message), **added}
    assert json.loads(body)["version"] == release.version
    assert parameters["MessageBody"] == message
