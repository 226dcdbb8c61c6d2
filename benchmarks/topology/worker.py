"""The side of a peer that needs an environment of its own: reads file names, writes CPU seconds."""

import sys
import time

import numpy as np


def main() -> None:
    import gtda
    from peers import giotto_images

    print(f"{gtda.__version__} (numpy {np.__version__})", flush=True)
    for line in sys.stdin:
        batch = np.load(line.strip())
        began = time.process_time()
        giotto_images(batch)
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
