#!/usr/bin/env bash
# Everything that wants a GPU, in about ten minutes: benchmarks/gpu.sh [FOLDER]; results go to benchmarks/gpu and FOLDER (runs/gpu).
# Epochs beside a plain loop, students in stacks, what a step waits for, and one study by processes and in stacks. DEVICE=cpu BATCHES=1 tries it.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
DEVICE=${DEVICE:-cuda}
FOLDER=${1:-runs/gpu}
"$PYTHON" -c "import sys, torch; sys.exit(0 if '$DEVICE' == 'cpu' or torch.cuda.is_available() else 'gpu.sh: PyTorch finds no GPU here')"
"$PYTHON" -m benchmarks.gpu.run --device "$DEVICE" ${BATCHES:+--batches "$BATCHES" --rounds 1}
for way in processes stacked; do
  SECONDS=0
  "$PYTHON" -m tutelage study run benchmarks/gpu/study.yaml --device "$DEVICE" --way "$way" --runs "$FOLDER/$way" --name study
  echo "$way: $SECONDS s" | tee -a "$FOLDER/seconds.txt"
  "$PYTHON" -m tutelage study table "$FOLDER/$way/study" | grep '^|' > "$FOLDER/$way.md"
done
# Both ways give the same numbers up to the order of summation; a table rounds to tenths of a point.
if diff "$FOLDER/processes.md" "$FOLDER/stacked.md"; then echo "both ways: equal tables"; else echo "both ways: the tables above differ"; fi
