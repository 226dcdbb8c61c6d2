#!/usr/bin/env bash
# Everything that wants a GPU, in about ten minutes: benchmarks/gpu.sh [FOLDER]; results go to benchmarks/gpu and FOLDER (runs/gpu).
# Tests that a run on the GPU is the run on the CPU, epochs beside a plain loop, and a study by processes and in stacks.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
DEVICE=${DEVICE:-cuda}
FOLDER=${1:-runs/gpu}
"$PYTHON" -c "import sys, torch; sys.exit(0 if '$DEVICE' == 'cpu' or torch.cuda.is_available() else 'gpu.sh: PyTorch finds no GPU here')"
"$PYTHON" -m benchmarks.gpu.run --device "$DEVICE" ${BATCHES:+--batches "$BATCHES" --rounds 1}
for way in processes stacked; do
  SECONDS=0
  "$PYTHON" -m tutelage study run benchmarks/gpu/study.yaml --device "$DEVICE" --way "$way" --runs "$FOLDER/$way"
  echo "$way: $SECONDS s" | tee -a "$FOLDER/seconds.txt"
done
# The same study on both ways, within what their orders of summation allow: compared by its own tables.
diff <("$PYTHON" -m tutelage study table "$FOLDER/processes/study" | grep '^|') \
     <("$PYTHON" -m tutelage study table "$FOLDER/stacked/study" | grep '^|') > "$FOLDER/difference.txt" \
  && echo "both ways: equal tables" || echo "both ways: see $FOLDER/difference.txt"
