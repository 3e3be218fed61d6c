"""The artifacts: built by the one recipe, whole, no more than needed, with bytecode.

By default those for this host. SAM_BUILD names a folder that `sam build` made: then those too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from prisjakt_relay.local import artifacts, project

# What the Lambda runtime for Python brings along.
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")

HANDLERS = {
    "ReceiverFunction": "prisjakt_relay.receiver.app",
    "SenderFunction": "prisjakt_relay.sender.app",
    "ReconcilerFunction": "prisjakt_relay.reconciler.app",
}

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_REGION": "eu-north-1",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DEAD_LETTERS_URL": "https://queue.example.test/dead",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "PRISJAKT_URL": "https://prisjakt.example.test",
    "PRISJAKT_TOKEN_URL": "https://prisjakt.example.test/token",
    "HOURLY_ALLOWANCE": "10000",
    "QUEUE_URL": "https://queue.example.test/queue",
    "STACK_NAME": "test",
    "TABLE_NAME": "table",
    "WEBHOOK_ADDRESS": "https://relay.example.test/webhooks",
}

EM_AARCH64 = (183).to_bytes(2, "little")

LIMIT_MB = {"ReceiverFunction": 12, "SenderFunction": 30, "ReconcilerFunction": 30}


def built() -> dict[str, Path]:
    folders = {f"{name} (host)": folder for name, folder in artifacts.build().items()}
    if sam := os.environ.get("SAM_BUILD"):
        for name in artifacts.FUNCTIONS:
            folders[f"{name} (sam)"] = project.root() / sam / name
    return folders


BUILT = built()


@pytest.fixture(params=sorted(BUILT))
def artifact(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Logical id and folder of each artifact."""
    return request.param.split(" ")[0], BUILT[request.param]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with boto3 and what it needs, and nothing else: as on Lambda."""
    folder = tmp_path_factory.mktemp("runtime")
    site_packages = Path(sysconfig.get_path("purelib"))
    for name in RUNTIME:
        (folder / name).symlink_to(site_packages / name)
    return folder


def imported(function: str, runtime: Path) -> set[str]:
    """The modules that importing the handler loads, with only artifact and runtime on the path."""
    program = (
        "import sys, json\n"
        f"sys.path[:0] = {[str(BUILT[f'{function} (host)']), str(runtime)]!r}\n"
        f"import {HANDLERS[function]} as app\n"
        "assert callable(app.handler)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-I", "-S", "-B", "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def modules_of(folder: Path) -> set[str]:
    names: set[str] = set()
    for source in (folder / "prisjakt_relay").rglob("*.py"):
        parts = source.relative_to(folder).with_suffix("").parts
        names.add(".".join(part for part in parts if part != "__init__"))
    return names


def test_the_artifact_holds_exactly_the_modules_that_its_handler_imports(
    artifact: tuple[str, Path], runtime: Path
) -> None:
    """Nothing is missing in an isolated interpreter, and nothing came along that is not used."""
    function, folder = artifact

    loaded = {m for m in imported(function, runtime) if m.split(".")[0] == "prisjakt_relay"}

    assert modules_of(folder) == loaded


def test_the_artifact_holds_nothing_but_code_and_its_bill_of_materials(
    artifact: tuple[str, Path],
) -> None:
    function, folder = artifact
    part = function.removesuffix("Function").lower()
    locked = (project.root() / "requirements" / f"{part}.txt").read_text()
    names = {line.split("==")[0] for line in locked.splitlines() if line[:1].isalpha()}

    shipped = {
        entry.name.rsplit("-", 1)[0].removesuffix(".dist").replace("_", "-").split("-")[0]
        for entry in folder.iterdir()
        if entry.name.endswith(".dist-info")
    }

    assert (folder / "requirements.txt").read_text() == locked
    assert shipped == {name.split("-")[0] for name in names}
    for unwanted in ("boto3", "botocore", "bin", "tests", ".lock"):
        assert not (folder / unwanted).exists()


def test_every_module_ships_the_bytecode_that_its_runtime_takes(
    artifact: tuple[str, Path],
) -> None:
    """/var/task is read-only: what is not compiled here is compiled at every cold start."""
    _, folder = artifact
    tag = next(iter((folder / "prisjakt_relay" / "__pycache__").iterdir())).name.split(".")[1]

    for source in folder.rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        assert compiled.is_file(), source
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{compiled} is not an unchecked hash-based pyc"


def test_the_bytecode_names_no_folder_of_the_machine_that_built_it(
    artifact: tuple[str, Path],
) -> None:
    _, folder = artifact

    for compiled in (folder / "prisjakt_relay").rglob("*.pyc"):
        assert str(project.root()).encode() not in compiled.read_bytes()


def test_the_artifact_fits_where_it_runs() -> None:
    """This host's Python here; on Lambda the template's, and arm64 where there is compiled code."""
    host = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    for name, folder in BUILT.items():
        tag = host if name.endswith("(host)") else "cpython-313"
        assert list(folder.glob(f"prisjakt_relay/__pycache__/*.{tag}.pyc")), name
        for library in folder.rglob("*.so"):
            machine = library.read_bytes()[18:20]
            assert name.endswith("(host)") or machine == EM_AARCH64, library


def test_artifacts_stay_small(artifact: tuple[str, Path]) -> None:
    function, folder = artifact

    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    assert size < LIMIT_MB[function] * 1024 * 1024


@dataclass(frozen=True)
class Budget:
    """What importing a handler may load: the most modules by package, and what is never needed.

    A little more than there is today, for what differs from one Python to another.
    """

    packages: Mapping[str, int]
    standard_library: int
    never: frozenset[str]


# What a handy import easily brings along, and nothing that is deployed needs.
NEVER = frozenset(
    {
        "asyncio",
        "aws_lambda_powertools.event_handler",
        "aws_lambda_powertools.utilities.batch",
        "aws_lambda_powertools.utilities.data_classes",
        "aws_lambda_powertools.utilities.idempotency",
        "aws_lambda_powertools.utilities.parameters",
        "aws_lambda_powertools.utilities.parser",
        "aws_xray_sdk",
        "boto3",
        "botocore.client",
        "botocore.credentials",
        "botocore.endpoint",
        "botocore.loaders",
        "botocore.session",
        "multiprocessing",
        "pydoc",
        "sqlite3",
        "unittest",
    }
)

EVERYWHERE = {
    "aws_lambda_powertools": 44,
    "botocore": 18,
    "dateutil": 12,
    "jmespath": 9,
    "six": 3,
    "typing_extensions": 1,
    "urllib3": 30,
}

REPORTING = {
    **EVERYWHERE,
    "annotated_types": 1,
    "certifi": 2,
    "charset_normalizer": 10,
    "cython_runtime": 1,
    "idna": 6,
    "pydantic": 44,
    "pydantic_core": 3,
    "requests": 72,
    "typing_inspection": 3,
}

# The receiver has most deliveries: no models, no HTTP library but one.
BUDGETS = {
    "ReceiverFunction": Budget(EVERYWHERE, 198, NEVER | {"http.cookiejar", "pydantic", "requests"}),
    "SenderFunction": Budget(REPORTING, 222, NEVER),
    "ReconcilerFunction": Budget(REPORTING, 223, NEVER),
}


def over(budget: Budget, modules: set[str]) -> list[str]:
    """What the modules are beyond the budget, in words that name them."""
    tops = Counter(module.partition(".")[0] for module in modules)
    standard = {top: number for top, number in tops.items() if top in sys.stdlib_module_names}
    complaints = [f"{module} is never needed" for module in sorted(budget.never & modules)]
    for top, number in sorted(tops.items()):
        most = budget.packages.get(top, 0)
        if top not in standard and not top.startswith(("_", "prisjakt_relay")) and number > most:
            complaints.append(f"{top}: {number} modules, {most} allowed")
    in_all = sum(standard.values())
    if in_all > budget.standard_library:
        parts = ", ".join(f"{top} {number}" for top, number in Counter(standard).most_common())
        allowed = f"{budget.standard_library} allowed"
        complaints.append(f"standard library: {in_all} modules, {allowed}; {parts}")
    return complaints


@pytest.mark.parametrize("function", HANDLERS)
def test_a_handler_imports_no_more_than_its_budget(function: str, runtime: Path) -> None:
    """The start is part of the product: a new import is somebody's decision, made in this file."""
    assert over(BUDGETS[function], imported(function, runtime)) == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"boto3"}, "boto3 is never needed"),
        ({"aws_lambda_powertools.utilities.batch"}, "aws_lambda_powertools.utilities.batch is nev"),
        ({"orjson"}, "orjson: 1 modules, 0 allowed"),
        ({f"urllib3.part{n}" for n in range(31)}, "urllib3: 31 modules, 30 allowed"),
        (
            {f"xml.part{n}" for n in range(223)},
            "standard library: 223 modules, 198 allowed; xml 223",
        ),
    ],
)
def test_what_is_beyond_the_budget_is_named(more: set[str], complaint: str) -> None:
    assert over(BUDGETS["ReceiverFunction"], more)[0].startswith(complaint)
