"""How long ``tutelage --help`` takes beyond a bare interpreter.

python -m benchmarks.start_up.run
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.common import rounds, write


def main() -> None:
    tool = Path(sys.executable).parent / "tutelage"
    competitors = {
        "bare interpreter": lambda: subprocess.check_output([sys.executable, "-c", "pass"]),
        "tutelage --help": lambda: subprocess.check_output([str(tool), "--help"]),
    }
    seconds = rounds(competitors, 21)
    middle = {name: sorted(values)[10] for name, values in seconds.items()}
    table = [["command", "seconds (median of 21)"]] + [[k, f"{v:.3f}"] for k, v in middle.items()]
    table.append(["difference", f"{middle['tutelage --help'] - middle['bare interpreter']:.3f}"])
    write(Path(__file__).parent, "python -m benchmarks.start_up.run", {"seconds": seconds}, table)


if __name__ == "__main__":
    main()
