"""Logs of losses as people have them: what CSV exports, JSON histories and printed lines hold.

`source` reads a file within bounds, `readers` and `printed` turn its text into named columns (`table`), `names` knows
what columns are called, `columns` chooses those of the losses, and `log` puts them together.
"""

from .log import LEAST, LossLog, Quality, read_losses
from .names import player_of

__all__ = ["LEAST", "LossLog", "Quality", "player_of", "read_losses"]
