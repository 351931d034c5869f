"""Three generic import names need three fences, and a plan needs no torch.

Claims: `planner`, `executor` and `models` are this checkout's; the wheel holds them whole and nothing else; no index
takes the upload; what decides stays free of the libraries that run models; no file outgrows a reader.
"""

import json
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import cast
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("executor", "models", "planner")
HEAVY = ("torch", "diffusers", "transformers")
LONGEST_FILE_LINES = 400

# Each prints one JSON value, from an interpreter in which this test session has imported nothing.
_WHERE = (
    "import executor, models, planner\n"
    "print(json.dumps([[m.__file__, *m.__path__] for m in (executor, models, planner)]))"
)
_WALK = (
    "import importlib, pkgutil, planner\n"
    "names = ['planner', *(m.name for m in pkgutil.walk_packages(planner.__path__, 'planner.'))]\n"
    "for name in names: importlib.import_module(name)\n"
)
_CLI = "names = ['executor.cli']; import executor.cli\n"
_LOADED = "print(json.dumps([names, sorted({name.partition('.')[0] for name in sys.modules})]))"


def _fresh(code: str, cwd: Path) -> list[list[str]]:
    """What `code` prints as JSON in a new interpreter started outside the checkout, as a user's would be."""
    run = subprocess.run([sys.executable, "-c", f"import json, sys\n{code}"], cwd=cwd, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return cast(list[list[str]], json.loads(run.stdout))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def _data_files() -> list[str]:
    """Weights and JSON of the toy, as the wheel should name them; empty where the toy is not trained yet."""
    toy = ROOT / "models" / "toy"
    return sorted(p.relative_to(ROOT).as_posix() for p in toy.iterdir() if p.suffix in {".safetensors", ".json"})


def test_packages_under_test_are_this_checkouts() -> None:
    import executor
    import models
    import planner

    for name, package in zip(PACKAGES, (executor, models, planner), strict=True):
        assert package.__file__ == str(ROOT / name / "__init__.py")
        assert list(package.__path__) == [str(ROOT / name)]


def test_installed_packages_are_this_checkouts(tmp_path: Path) -> None:
    assert _fresh(_WHERE, tmp_path) == [[str(ROOT / p / "__init__.py"), str(ROOT / p)] for p in PACKAGES]


def test_wheel_passes_check_wheel_contents(wheel: Path) -> None:
    command = [sys.executable, "-m", "check_wheel_contents", "--config", str(ROOT / "pyproject.toml"), str(wheel)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_wheel_holds_the_packages_and_the_toys_data_only(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {n.partition("/")[0] for n in names} == {*PACKAGES, "blockcascade-0.1.0.dist-info"}
    assert [n for n in sorted(names) if n in _data_files()] == _data_files()


def test_no_index_takes_the_upload(metadata: Message) -> None:
    assert "Private :: Do Not Upload" in (metadata.get_all("Classifier") or [])


def test_plain_install_asks_for_nothing_heavy(metadata: Message) -> None:
    plain = [r for r in metadata.get_all("Requires-Dist") or [] if "extra ==" not in r]
    assert plain
    assert not [r for r in plain if r.startswith(HEAVY)]


@pytest.mark.parametrize("imports", [_WALK, _CLI], ids=["every planner module", "executor.cli"])
def test_loads_without_torch(imports: str, tmp_path: Path) -> None:
    imported, loaded = _fresh(imports + _LOADED, tmp_path)
    assert imported
    assert not set(HEAVY) & set(loaded), f"importing {', '.join(imported)} loads a library of the run extra"


def test_no_file_outgrows_a_reader() -> None:
    files = [file for folder in (*PACKAGES, "tests") for file in (ROOT / folder).rglob("*.py")]
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert {name: n for name, n in lines.items() if n > LONGEST_FILE_LINES} == {}
