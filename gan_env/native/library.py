"""Compiles, finds and loads the native library through a plain C interface, which suits every Python version."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
NAME = "libgan_env_native.so"
FLAGS = ("-std=c++17", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-exceptions", "-fno-rtti")
ISAS = {
    "x86_64": {
        "avx512": ("-O3", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
        "avx2": ("-O3", "-mavx2", "-mfma"),
        "plain": ("-O2",),
    },
    "aarch64": {"neon": ("-O3",)},
}
"""Instruction sets, with compiler flags, that the kernel is compiled for, by machine."""
ELSEWHERE = {"plain": ("-O2",)}
"""The same for any other machine."""

# -- mirrors of `kernel.h` --------------------------------------------------------------------------------------------

_I, _D, _P = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class Layer(ctypes.Structure):
    """See `kernel.h`, as for all of these."""

    _fields_ = [(name, _I) for name in ("outputs", "inputs", "weight", "bias", "activation")] + [("slope", _D)]


class Player(ctypes.Structure):  # noqa: D101
    _fields_ = [("count", _I), ("weights", _I), ("layer", ctypes.POINTER(Layer))]


class Optimizer(ctypes.Structure):  # noqa: D101
    _fields_ = [
        ("kind", _I),
        *((name, _D) for name in ("beta1", "beta2", "alpha", "momentum", "eps")),
        *(("every", _I), ("share", _D), ("beta2s", _P)),
    ]


class Game(ctypes.Structure):  # noqa: D101
    _fields_ = [
        *((name, _I) for name in ("doubles", "batch", "latents", "features")),
        *((name, Player) for name in ("g", "d")),
        *((name, _I) for name in ("loss", "penalty", "gradient_normalised", "spectral_norm")),
        *((name, _I) for name in ("noisy", "clipped", "alternating")),
        *((name, _D) for name in ("coefficient", "gran_eps")),
        *((name, Optimizer) for name in ("g_optimizer", "d_optimizer")),
        *(("coefficients", _P), ("annealed", _I)),
    ]


class Data(ctypes.Structure):  # noqa: D101
    _fields_ = [("form", _I), ("table", _P), ("centres", _P), ("modes", _I), ("std", _D)]


class Stream(ctypes.Structure):  # noqa: D101
    _fields_ = [*((name, _I) for name in ("draw", "purpose", "length", "width")), ("codes", _P), ("held", _P)]


class Rows(ctypes.Structure):  # noqa: D101
    _fields_ = [
        ("count", _I),
        *((name, _P) for name in ("g_flat", "d_flat")),
        *((name, _P * 3) for name in ("g_moment", "d_moment")),
        *((name, _P) for name in ("g_steps", "d_steps", "g_lr", "d_lr", "seed", "episode", "which")),
        *((name, _P) for name in ("updates", "real_index", "g_updates", "d_updates", "d_penalty")),
        *((name, Stream) for name in ("real", "latent", "probe")),
        ("data", ctypes.POINTER(Data)),
    ]


class Decision(ctypes.Structure):  # noqa: D101
    _fields_ = [
        ("updates", _I),
        *((name, _P) for name in ("update_g", "update_d", "reuse_real", "active", "known")),
        *((name, _P) for name in ("g_multiplier", "d_multiplier", "looks", "losses", "gradient")),
        *((name, _P) for name in ("numbers", "real_logits", "fake_logits", "vitals", "worst", "fake")),
    ]


# -- the library ------------------------------------------------------------------------------------------------------


def compile_library(folder: Path, compiler: str = "g++", machine: str | None = None) -> Path:
    """Compiles the kernel and the transport solver into a folder and returns the library's file.

    Args:
        folder: Folder for the library; made if missing.
        compiler: Command of GCC, version 9 or later.
        machine: "x86_64" or "aarch64"; by default this one.

    Raises:
        OSError: If there is no such compiler.
        subprocess.CalledProcessError: If it fails; `stderr` has the compiler's message.
    """
    name = (machine or platform.machine()).lower()
    isas = ISAS.get({"arm64": "aarch64", "amd64": "x86_64"}.get(name, name), ELSEWHERE)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = [("kernel.cpp", (*flags, f"-DISA={name}")) for name, flags in isas.items()]
        sources += [("dispatch.cpp", ("-O2", f"-DSOURCES={sources_key()}")), ("transport.cpp", ("-O3",))]
        objects = [str(Path(scratch) / f"{number}.o") for number in range(len(sources))]
        jobs = [
            [compiler, *FLAGS, *flags, "-c", str(HERE / source), "-o", made]
            for (source, flags), made in zip(sources, objects, strict=True)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda job: subprocess.run(job, check=True, capture_output=True, text=True), jobs))
        made = Path(scratch) / NAME
        link = [compiler, "-shared", "-s", "-pthread", *objects, "-o", str(made)]
        subprocess.run(link, check=True, capture_output=True, text=True)
        target = folder / NAME
        fresh = target.with_suffix(f".{os.getpid()}")  # a library that is in use is replaced, not written into
        fresh.write_bytes(made.read_bytes())
        fresh.replace(target)
    return target


def sources_key() -> int:
    """Returns a number that changes with the sources beside this file; 0 where they are not installed."""
    key = 0
    for file in sorted([*HERE.glob("*.cpp"), *HERE.glob("*.h")]):
        key = zlib.crc32(file.read_bytes(), key)
    return key


@cache
def library() -> ctypes.CDLL | None:
    """Loads the library beside this file; None if there is none. Raises OSError if it does not match this module."""
    file = HERE / NAME
    if not file.is_file():
        return None
    made = ctypes.CDLL(str(file))
    made.gan_size.argtypes, made.gan_size.restype = [ctypes.c_int], _I
    sizes = [ctypes.sizeof(each) for each in (Layer, Game, Data, Rows, Decision)]
    known = sources_key()
    if [made.gan_size(i) for i in range(5)] != sizes or (known and made.gan_size(5) != known):
        raise OSError(f"{file} was compiled from other sources; build it anew: python -m gan_env.native.library")
    made.gan_isa.argtypes, made.gan_isa.restype = [ctypes.c_int], ctypes.c_char_p
    made.gan_session.argtypes, made.gan_session.restype = [ctypes.POINTER(Game), ctypes.c_char_p], _P
    made.gan_session_free.argtypes, made.gan_session_free.restype = [_P], None
    made.gan_run.argtypes = [_P, ctypes.POINTER(Rows), ctypes.POINTER(Decision), _I]
    made.gan_run.restype = _I
    return made


def instruction_sets() -> tuple[str, ...]:
    """Lists the instruction sets that the library contains and this processor supports, fastest first."""
    made, found = library(), []
    if made is not None:
        while name := made.gan_isa(len(found)):
            found.append(name.decode())
    return tuple(found)


if __name__ == "__main__":
    print(compile_library(HERE))
