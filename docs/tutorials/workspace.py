# %% [markdown]
# # Three teachers and a workspace
#
# Three teachers read three views of one window: the signal, its persistence image, its Gramian field. In
# [mGLW-KD](../methods/mglw-kd.md) they meet in a few slots, from which the student reads while it is trained; it is deployed
# without any of them. The data are generated: the curves show how it works, and say nothing of people.

# %% language="bash"
# cat > workspace.yaml <<'EOF'
# title: Three teachers through a workspace
# data: {type: SyntheticWearable, subjects: 5, windows: 30, stride: 32, window: 64, channels: 3, classes: 4, noise: 3}
# split: {type: GroupedFolds, folds: 5, validation: 1}
# folds: [0]
# seeds: [0, 1]
# modalities:
#   pi: {type: Scaled, modality: {type: PersistenceImage, resolution: 16, dtype: uint8}}
#   gaf: {type: Scaled, modality: {type: GramianField, size: 16, limits: [0, 1], dtype: uint8}}
# network: {type: WideResNet, depth: 10, width: 1}
# train: {epochs: 6, batch_size: 32, learning_rate: {type: Cosine, start: 0.05}}
# distiller:
#   labels: {type: Labels, coefficient: 0.3}
#   soft: {type: PerTeacher, term: {type: SoftTargets, temperature: 4}, coefficient: 0.7}
# stages:
#   sig: {network: {type: WideResNet, depth: 10, width: 2}, seed: 0}
#   pi: {input: pi, seed: 0}
#   gaf: {input: gaf, seed: 0}
#   alone: {}
#   average: {teachers: [sig, pi, gaf]}
#   workspace:
#     teachers: [sig, pi, gaf]
#     network: {type: LatentWorkspace, network: {type: WideResNet, depth: 10, width: 1}, slots: 5, heads: 4}
#     distiller:
#       binding:
#         type: KnowledgeBinding
#         alignment_reaches: student
#         objectives:
#           labels: {type: Labels, coefficient: 0.3}
#           soft: {type: PerTeacher, term: {type: SoftTargets, temperature: 4}, weighting: Closeness, coefficient: 0.7}
# baseline: alone
# EOF
# tutelage run workspace.yaml --name workspace --jobs 1

# %% [markdown]
# Every value that an objective records besides its loss is in the run folder, per epoch: here how far each teacher's use of the
# slots is from the student's (KIS and KTS), and how much each teacher counts because of it (alpha_DC). The report draws both,
# too, with the slots themselves.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt

lines = min(Path("runs/workspace").glob("*/workspace/*/metrics.jsonl")).read_text().splitlines()
epochs = [json.loads(line)["traces"] for line in lines]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), num="Distances and coefficients over epochs")
for name in sorted(epochs[0]):
    teacher = name.rsplit(".", 1)[-1]
    values = [epoch[name]["mean"] for epoch in epochs]
    if ".distance." in name:
        axes[0].plot(range(1, len(values) + 1), values, "o-", label=teacher)
    elif ".soft.weight." in name:
        axes[1].plot(range(1, len(values) + 1), values, "o-", label=teacher)
axes[0].set(xlabel="epoch", ylabel="distance of KIS and KTS")
axes[1].set(xlabel="epoch", ylabel="coefficient of each teacher", ylim=(0, 1))
axes[1].legend(frameon=False)
figure.tight_layout()

# %% [markdown]
# On people: [the card](../methods/mglw-kd.md) has the numbers of six folds of HAPT. [Which method](../which-method.md) says
# when more teachers pay.
