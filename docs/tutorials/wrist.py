# %% [markdown]
# # From recordings to a wrist
#
# A folder of CSV files goes in; a file that reads live recordings comes out. The recordings are of eight people with a
# smartphone at the waist (HAPT, fetched once, 19 MB); yours may look otherwise, see [Your own data](../own-data.md).

# %% language="bash"
# python examples/hapt_as_csv.py recordings --people 8
# head -3 recordings/S01/01.csv

# %% [markdown]
# `new` reads the first rows and writes a recipe with what it guessed. Read the lines that say *confirm*.

# %% language="bash"
# tutelage new --from recordings my-study
# grep confirm my-study/recipe.yaml

# %% [markdown]
# `check` builds everything and tries one batch of every stage, before any time is spent.

# %% language="bash"
# tutelage check my-study/recipe.yaml

# %% [markdown]
# Six epochs of one fold and one seed, so that this page takes a minute; the recipe as it was written takes longer. One person is
# tested by one pair of runs, so nothing is claimed, however large the difference is. `tutelage study run my-study/study.yaml`
# tests everybody.

# %% language="bash"
# tutelage run my-study/recipe.yaml --name first --jobs 1 seeds=[0] train.epochs=6 stages.teacher.network.width=2

# %% [markdown]
# `ship` writes the network as a file and holds it against the run: every answer on the test windows must be the same. `predict`
# reads a recording with it. Here: one of S01, the person who was in neither training nor validation.

# %% language="bash"
# tutelage ship runs/first --method kd --formats onnx --to shipped
# grep "| S01" shipped/card.md    # test subject, accuracy, windows
# tutelage predict shipped/model.onnx recordings/S01/01.csv --out said.csv
# head -4 said.csv

# %% [markdown]
# What the file said beside what a person wrote down. Grey: nothing was written down, or the posture changes; the file has no
# class for that, and says one of its six.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

written = pd.read_csv("recordings/S01/01.csv")
said = pd.read_csv("said.csv")
classes = sorted(written["activity"].dropna().unique())
colours = dict(zip(classes, plt.get_cmap("tab10").colors, strict=False))
middle = (said["start"] + said["end"]) / 2
labels = written["activity"].iloc[np.searchsorted(written["t"], middle + written["t"].iloc[0])]

title = "A recording and its answers"
figure, axes = plt.subplots(3, 1, figsize=(9, 4), sharex=True, height_ratios=[3, 1, 1], num=title)
axes[0].plot(written["t"], written[["acc-x", "acc-y", "acc-z"]], linewidth=0.6)
axes[0].set_ylabel("acceleration, g")
for axis, name, row in zip(axes[1:], ("written", "said"), (labels, said["class"]), strict=True):
    for start, one in zip(said["start"], row, strict=True):
        axis.axvspan(start, start + 1.28, color=colours.get(one, "0.85"), linewidth=0)
    axis.set(yticks=[], ylabel=name)
axes[2].set_xlabel("seconds")
handles = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in classes]
below = (0.5, -0.08)
figure.legend(handles, classes, loc="lower center", ncols=6, bbox_to_anchor=below, frameon=False)
told = labels.notna().to_numpy()
right = said["class"].to_numpy()[told] == labels.to_numpy()[told]
print(f"{right.mean():.1%} of the windows with a label are right")

# %% [markdown]
# Next: [int8 files for microcontrollers, and a network trained on everybody](../ship.md).
