"""Reads logs of losses in common formats: CSV exports, JSON histories, printed lines.

`source` reads a file within limits, `readers` and `printed` convert its text to named columns (`table`), `names`
interprets names of columns, `columns` selects those of the losses, and `log` combines them.
"""

from .log import LEAST, LossLog, Quality, read_losses
from .names import player_of

__all__ = ["LEAST", "LossLog", "Quality", "player_of", "read_losses"]
