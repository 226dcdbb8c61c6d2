"""What is a table: as a pandas frame, and as HTML where a notebook shows it."""

from __future__ import annotations

from abc import abstractmethod
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reading where a study stands does without pandas
    import pandas as pd

__all__ = ["Framed"]

_ROWS = 40


class Framed:
    """Something whose content is rows: :meth:`to_frame` gives them, a notebook shows them."""

    __slots__ = ()

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a frame, numbers unrounded."""

    @property
    def heading(self) -> str:
        """What stands above the rows in a notebook."""
        return ""

    def _repr_html_(self) -> str:
        """Return the rows as HTML; names that came from files are text, never markup."""
        shown = self.to_frame().to_html(
            index=False,
            border=0,
            max_rows=_ROWS,
            escape=True,
            float_format="{:.4g}".format,
            na_rep="",
        )
        return f"<p>{escape(self.heading)}</p>\n{shown}" if self.heading else shown
