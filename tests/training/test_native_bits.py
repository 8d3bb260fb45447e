"""The compiled kernel's bits are the recorded ones: on this processor, and on others that an emulator stands for."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gan_env.native import library as lib
from tests.support.native_sessions import SESSIONS, digest, recording

pytestmark = pytest.mark.skipif(not lib.instruction_sets(), reason="the compiled kernel is not installed")
RECORDED = json.loads((Path(__file__).parent / "native_bits.json").read_text())
"""SHA-256 of what 1,000 updates of each session leave; a change of these is a change of everybody's results."""
REPLAY = Path(__file__).parents[1] / "support" / "replay.cpp"


def test_every_session_is_recorded():
    assert RECORDED.keys() == SESSIONS.keys() and len(set(RECORDED.values())) == len(SESSIONS)


@pytest.mark.parametrize("name", SESSIONS)
def test_1000_updates_leave_the_recorded_bits_on_the_instruction_set_of_choice(name):
    assert digest(name) == RECORDED[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("isa", lib.instruction_sets()[1:])
def test_1000_updates_leave_the_recorded_bits_on_every_other_instruction_set(isa, name):
    assert digest(name, isa) == RECORDED[name]


def built(folder: Path, machine: str, compiler: str) -> Path:
    """The kernel and `replay.cpp` in one program for a machine, with nothing to load."""
    made = folder / "replay"
    lib.compile_library(folder, compiler, machine)
    jobs = [("kernel.cpp", (*flags, f"-DISA={isa}")) for isa, flags in lib.ISAS[machine].items()]
    jobs += [("dispatch.cpp", ("-O2",)), (str(REPLAY), ("-O2", f"-I{lib.HERE}"))]
    objects = [str(folder / f"{number}.o") for number in range(len(jobs))]
    for (source, flags), target in zip(jobs, objects, strict=True):
        subprocess.run([compiler, *lib.FLAGS, *flags, "-c", str(lib.HERE / source), "-o", target], check=True)
    subprocess.run([compiler, "-static", "-pthread", *objects, "-o", str(made)], check=True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "compiler", "processor", "isas"),
    [
        ("aarch64", "aarch64-linux-gnu-g++", ("qemu-aarch64",), ["neon"]),
        ("x86_64", "x86_64-linux-gnu-g++", ("qemu-x86_64", "-cpu", "Haswell"), ["avx2", "plain"]),
        ("x86_64", "x86_64-linux-gnu-g++", ("qemu-x86_64", "-cpu", "Nehalem"), ["plain"]),
    ],
    ids=["aarch64", "x86-64 without AVX-512", "x86-64 without fused multiply-adds"],
)
def test_1000_updates_leave_the_recorded_bits_on_an_emulated_processor(machine, compiler, processor, isas, tmp_path):
    for program in (compiler, processor[0]):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: g++-aarch64-linux-gnu, qemu-user)")
    replay = [*processor, str(built(tmp_path, machine, compiler))]
    assert subprocess.run(replay, check=True, capture_output=True, text=True).stdout.split() == isas
    file = tmp_path / "session"
    for name in SESSIONS:
        file.write_bytes(recording(name))
        for isa in isas:
            left = subprocess.run([*replay, str(file), isa], check=True, capture_output=True).stdout
            assert hashlib.sha256(left).hexdigest() == RECORDED[name], (name, isa)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm")
def test_no_code_of_one_instruction_set_runs_when_the_library_is_loaded(tmp_path):
    # A global that is made at run time would be made by AVX-512 instructions, and end the process elsewhere.
    source, flags = Path(lib.__file__).with_name("kernel.cpp"), lib.ISAS["x86_64"]["avx2"]
    made = tmp_path / "kernel.o"
    subprocess.run(["g++", *lib.FLAGS, *flags, "-DISA=avx2", "-c", source, "-o", made], check=True)
    named = subprocess.run(["nm", "-C", made], check=True, capture_output=True, text=True).stdout
    assert "gan_worker_avx2" in named and "_GLOBAL__sub_I" not in named
