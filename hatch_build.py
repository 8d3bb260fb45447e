"""Compiles the native engine into a wheel; without a compiler the wheel is pure, and training uses the torch engine.

`GAN_ENV_NATIVE=0` makes a pure wheel in any case, `GAN_ENV_NATIVE=1` fails where the engine cannot be compiled, and
`CXX` names the compiler (GCC 11 or later, or Clang 14).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("gan_env") / "native"


class NativeBuildHook(BuildHookInterface):
    """Adds the compiled library to a wheel, and names the platform that the wheel is for."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before the wheel is put together; `version` is "standard" or "editable"."""
        wish = os.environ.get("GAN_ENV_NATIVE", "auto")
        if self.target_name != "wheel" or wish == "0":
            return
        library = _library_module(Path(self.root) / PACKAGE / "library.py")
        self._scratch = tempfile.mkdtemp()
        # An editable install reads the library from the source tree.
        folder = Path(self.root) / PACKAGE if version == "editable" else Path(self._scratch)
        compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or "g++"
        try:
            made = library.compile_library(folder, compiler)
        except (OSError, subprocess.CalledProcessError) as error:
            if wish == "1":
                raise
            why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
            self.app.display_warning(
                f"gan-env: the native engine was not compiled ({''.join(why)}); the wheel is pure, and training uses "
                "the torch engine. With a C++17 compiler: pip install --force-reinstall --no-deps gan-env"
            )
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"], build_data["tag"] = False, f"py3-none-{platform}"
        if version != "editable":
            build_data["force_include"][str(made)] = (PACKAGE / made.name).as_posix()
        self.app.display_info(f"gan-env: the native engine was compiled with {compiler}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes what was compiled beside the tree."""
        shutil.rmtree(getattr(self, "_scratch", ""), ignore_errors=True)


def _library_module(file: Path) -> ModuleType:
    """The module that knows how to compile, without its package, whose other modules need torch."""
    spec = importlib.util.spec_from_file_location("gan_env_native_library", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
