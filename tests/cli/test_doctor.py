"""`gan-env doctor`: what is there, what is missing, and the line that installs it."""

import json

import pytest

from gan_env.cli import doctor, main

NEEDS = ["numpy>=2", "torch>=2.8", "no-such-thing>=1; extra == 'wish'", "numpy>=2; extra == 'met'", "x; extra == 'dev'"]


@pytest.fixture
def light(monkeypatch):
    """Without the data, which take seconds to look at."""
    monkeypatch.setattr(
        doctor, "_data", lambda: [{"name": "digits", "ready": True}, {"name": "celeba", "ready": False}]
    )
    monkeypatch.setattr(doctor, "_requirements", lambda: NEEDS)


def test_an_installation_that_works_is_well_whatever_extras_are_missing(light, capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "lacks no-such-thing: pip install 'gan-env[wish]'" in said and "met       installed" in said
    assert (
        "gan-env data celeba" in said
        and "All is well" in said
        and "dev" not in said.split("data ")[0].split("extra", 1)[1]
    )


def test_what_is_installed_is_told_within_the_terminals_width(light, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_requirements", lambda: ["numpy>=2", "torch>=2.8", "gymnasium", "scipy", "matplotlib"])
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out.partition("packages")[2].partition("\n\n")[0].splitlines()
    assert len(told) > 1 and max(map(len, told)) <= 60 and all(line.startswith(" " * 10) for line in told[1:])


def test_as_json_it_is_one_document(light, capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == [] and found["device"]["auto"] in ("cpu", "cuda") and found["works"]["trained"]
    assert {p["name"]: p["state"] for p in found["packages"]} == {"numpy": "ok", "torch": "ok"}


@pytest.mark.parametrize(
    ("need", "said"),
    [("numpy>=99", "does not fit: pip install 'numpy>=99'"), ("no-such-thing>=1", "is missing: pip install")],
)
def test_what_is_needed_and_missing_or_old_is_broken(need, said, light, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_requirements", lambda: [need])
    assert main(["doctor"]) == 1
    assert said in capsys.readouterr().out


def test_another_package_called_agents_is_told(light, monkeypatch, capsys, tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").touch()
    spec = doctor.find_spec("json")
    monkeypatch.setattr(doctor, "find_spec", lambda name: spec if name == "agents" else None)
    assert main(["doctor"]) == 1
    assert "another package called agents is in the way" in capsys.readouterr().out


def test_a_gan_that_cannot_be_trained_is_told(light, monkeypatch, capsys):
    def broken(name):
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "import_module", broken)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "torch cannot be imported (libtorch.so" in said and "BROKEN" in said


def test_the_engine_is_told_and_how_to_get_the_fast_one(light, monkeypatch, capsys):
    library = doctor.import_module("gan_env.native.library")
    monkeypatch.setattr(library, "instruction_sets", lambda: ("avx2", "plain"))
    main(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["engine"] == {
        "name": "native",
        "note": "compiled, for avx2 on this processor",
    }
    monkeypatch.undo()
    monkeypatch.setattr(library, "library", lambda: None)
    monkeypatch.setattr(doctor, "_data", lambda: [])
    assert main(["doctor"]) == 0
    assert "pip install --force-reinstall --no-deps gan-env" in " ".join(capsys.readouterr().out.split())


def test_a_library_that_cannot_be_loaded_is_a_fault_with_its_cause(light, monkeypatch, capsys):
    library = doctor.import_module("gan_env.native.library")

    def broken():
        raise OSError("wrong ELF class")

    monkeypatch.setattr(library, "library", broken)
    assert main(["doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "the native engine cannot be loaded (wrong ELF class)" in said and "BROKEN" in said
