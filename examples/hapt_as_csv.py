"""Write HAPT as a folder of CSV recordings: python examples/hapt_as_csv.py recordings [--people 4].

One file for each recording, one folder for each person: t in seconds, six channels, and the activity of each row.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from tutelage.data import Hapt, home
from tutelage.data.hapt import ACTIVITIES, CHANNELS, TRANSITIONS, read_package


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=30)
    told = parser.parse_args()
    Hapt().load()  # fetches it once
    (package,) = (home() / "hapt").glob("*.tar.gz")
    names = np.array(
        ["", *ACTIVITIES, *[""] * len(TRANSITIONS)]
    )  # rows of no activity have no label
    for number, one in enumerate(read_package(package), 1):
        if one.subject > told.people:
            continue
        table = pd.DataFrame(one.rows, columns=list(CHANNELS))
        table.insert(0, "t", np.arange(len(table)) / 50)
        table["activity"] = names[np.maximum(one.labels, 0)]
        path = told.folder / f"S{one.subject:02d}" / f"{number:02d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False, float_format="%.7g")
    print(f"{told.folder}: {len(list(told.folder.rglob('*.csv')))} recordings")


if __name__ == "__main__":
    main()
