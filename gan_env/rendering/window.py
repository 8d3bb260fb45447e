"""The window of `render_mode="human"`, by the optional dependency pygame."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

INSTALL = "pip install 'gan-env[render]'"
DRIVERS = ("cocoa", "kmsdrm", "wayland", "windows", "x11")
"""SDL's drivers with a visible screen; any other has to be selected by the variable SDL_VIDEODRIVER."""
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
"""Environment variables of which one names a display, on systems that may have none."""


def can_show() -> bool:
    """Returns whether a window can be opened: pygame is installed, and there is a display."""
    return _is_installed() and (sys.platform in ("darwin", "win32") or any(map(os.environ.get, DISPLAYS)))


def _is_installed() -> bool:
    return find_spec("pygame") is not None


class Window:
    """Shows frames on this machine's display.

    Args:
        fps: Most frames per second; a caller that checks `due` first draws no more than needed.

    Raises:
        ValueError: If pygame or a display is missing; the message names the way out.
    """

    def __init__(self, fps: float):
        if not _is_installed():
            raise ValueError(f"render_mode='human' needs pygame: {INSTALL}; or use render_mode='rgb_array'")
        self._pygame, self._fps = _pygame(), fps
        self._surface: Any = None
        self._last = -float("inf")
        try:
            self._pygame.display.init()
            driver = self._pygame.display.get_driver()
        except self._pygame.error as error:
            driver = str(error)
        # Without a display SDL falls back on drivers that show nothing, and says nothing.
        if driver != os.environ.get("SDL_VIDEODRIVER") and driver not in DRIVERS:
            self._pygame.display.quit()
            raise ValueError(
                f"render_mode='human' needs a display, and there is none ({driver}); use render_mode='rgb_array', or "
                "gan-env watch --film FILE.gif"
            )

    def due(self) -> bool:
        """Returns whether it is time for the next frame."""
        return time.perf_counter() - self._last >= 1 / self._fps

    def show(self, frame: np.ndarray) -> None:
        """Shows a frame (height, width, 3), uint8, scaled down to fit a smaller display."""
        pygame = self._pygame
        if self._surface is None:
            size = np.array(frame.shape[1::-1])
            desktop = np.array(pygame.display.get_desktop_sizes()[0])
            size = (size * min(1.0, *(0.9 * desktop / size))).astype(int) if desktop.all() else size
            pygame.display.set_caption("gan-env")
            self._surface = pygame.display.set_mode(tuple(size.tolist()))
        drawn = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
        self._surface.blit(pygame.transform.smoothscale(drawn, self._surface.get_size()), (0, 0))
        pygame.display.flip()
        self.answer()
        self._last = time.perf_counter()

    def answer(self) -> None:
        """Processes window events between frames, so that the desktop does not report the window as unresponsive."""
        if self._surface is not None:
            self._pygame.event.pump()

    def close(self) -> None:
        """Closes the window; may be called twice."""
        if self._surface is not None:
            self._pygame.display.quit()
            self._surface = None


def _pygame() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on stdout otherwise
    return import_module("pygame")
