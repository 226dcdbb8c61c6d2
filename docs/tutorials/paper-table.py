# %% [markdown]
# # A table for a paper
#
# One row of a paper's table is many trainings. A study is one file: a recipe, and what varies. Here the data are generated, so
# that nothing is fetched: the numbers show how it works, and say nothing of people.

# %% language="bash"
# cat > study.yaml <<'EOF'
# title: What a teacher gives, by method and by labels
# recipe:
#   data: {type: SyntheticWearable, subjects: 5, windows: 30, stride: 32, window: 64, channels: 3, classes: 4, noise: 4}
#   split: {type: GroupedFolds, folds: 5, validation: 1}
#   network: {type: SeparableNet, width: 8}
#   train: {epochs: 5, batch_size: 32, learning_rate: {type: Cosine, start: 0.05}}
#   distiller:
#     labels: {type: Labels, coefficient: 0.3}
#     soft: {type: PerTeacher, term: {type: SoftTargets, temperature: 4}, coefficient: 0.7}
#   stages:
#     teacher: {network: {type: WideResNet, depth: 10, width: 1}}
#     alone: {}
#     student: {teachers: [teacher]}
#   baseline: alone
# set: {folds: all, seeds: [0]}
# vary:
#   labels:
#     few: {labelled: {per_class: 10}}
#     all: {}
#   method:
#     KD: {}
#     DIST: {distiller.soft.term: {type: ClassRelations, temperature: 4}}
# table: {rows: method, columns: labels, against: alone}
# EOF
# tutelage study plan study.yaml

# %% [markdown]
# Four cells ask for 60 runs. The teacher and the student alone are the same in every method, so each is trained once: 40 are left.
# `plan` took a few real steps of each kind to say how long they will take. The next command may be killed at any moment; the same
# command goes on.

# %% language="bash"
# tutelage study run study.yaml --name table --way processes --jobs 1 | tail -3

# %% [markdown]
# The table as the study file declares it. What the ± would be, which epoch, which mean: everything stands below it in words.

# %% language="bash"
# tutelage study table runs/table

# %% [markdown]
# The same for a paper, and for a spreadsheet:

# %% language="bash"
# ls runs/table/tables
# sed -n '2,$p' runs/table/tables/table.tex

# %% [markdown]
# Differences are taken in pairs, fold by fold, and decided together.

# %% language="bash"
# tutelage study compare runs/table | grep Holm

# %%
import matplotlib.pyplot as plt
import pandas as pd

pairs = pd.read_csv("runs/table/tables/comparison.csv")
pairs = pairs[pairs["cell"].str.contains("_", na=False)].iloc[::-1]  # those of one cell
names = pairs["cell"].str.replace("_", " labels, ")
figure, axis = plt.subplots(figsize=(7, 2.2), num="Each student minus the same student alone")
low, high = (
    pairs["difference"] - pairs["interval_low"],
    pairs["interval_high"] - pairs["difference"],
)
axis.errorbar(pairs["difference"], names, xerr=[low, high], fmt="o", capsize=3)
axis.axvline(0, color="0.6", linewidth=1)
axis.set_ylim(-0.5, len(pairs) - 0.5)
axis.set_xlabel("student − alone, points of test accuracy; 95 % interval, 5 folds, generated data")

# %% [markdown]
# Next: [what can vary](../studies.md), [every option of tables](../study-tables.md), [choosing a hyper-parameter](../tuning.md).
