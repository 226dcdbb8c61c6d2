# %% [markdown]
# # Concepts: which event moved the answer
#
# A network of concepts ([CCT](../methods/cct.md)) says which concept at which place moved which class, and its parts add up to
# the scores. Generated signals of three axes hold knocks, swings, tremors and steps; asked is whether there is a knock, and
# whether axis x moves. Where each event is, is annotated, so the answers can be checked.

# %% language="bash"
# cat > concepts.yaml <<'EOF'
# title: Which event moved the answer
# data: {type: SyntheticEvents, samples: 300}
# split: {type: OfficialSplit, validation: 0.2}
# seeds: [0]
# network: {type: WideResNet, depth: 10, width: 1}
# train: {epochs: 16, batch_size: 32, optimizer: {type: AdamW, weight_decay: 1e-3}, learning_rate: {type: Cosine, start: 2e-3}}
# distiller:
#   labels: {type: Labels}
#   explanation: {type: ConceptExplanation}
# stages:
#   plain: {}
#   concepts:
#     network: {type: ConceptTransformer, source: table, network: {type: WideResNet, depth: 10, width: 1}}
#     distiller: {explanation: {type: ConceptExplanation}}
# baseline: plain
# EOF
# tutelage run concepts.yaml --name concepts --jobs 1

# %% [markdown]
# Beside the predictions lies what the network says of validation samples. Is it true? Without a concept a score must fall by what
# the concept claimed, and contributions must sum up to the scores ([the measures](../explanations.md)).

# %%
import json
from pathlib import Path

import numpy as np

(path,) = Path("runs/concepts").glob("*/concepts/*/explanations.npz")
file = np.load(path)
facts = json.loads(file["facts"].tobytes())
measured = facts["measured"]
print(f"contributions sum up to the scores within  {measured['additivity_error']:.0e}")
print(f"a score falls as claimed within            {measured['ablation_error']:.0e}")
print(f"turned without their strongest concept     {measured['turned']:.0%}")
for name, value in measured["concept_accuracy"].items():
    chance = measured["concept_chance"][name]
    print(f"the most attended concept is annotated     {value:.0%} (chance {chance:.0%})")

# %% [markdown]
# One sample: the signal, and for the three concepts that did most for its class where the network saw them, above where they are.

# %%
import matplotlib.pyplot as plt

names = facts["streams"]["spatial"]["names"]
sample = np.flatnonzero(file["classes"][:, 0] == file["labels"])[0]  # the first that is right
window = file["inputs"][file["input_index"] == file["index"][sample]][0]
title = "One window and its evidence"
figure, axes = plt.subplots(4, 1, figsize=(8, 5), height_ratios=[3, 1, 1, 1], num=title)
axes[0].plot(window.reshape(window.shape[0], -1).T, linewidth=0.8, label=["x", "y", "z"])
axes[0].legend(ncols=3, frameon=False, fontsize=8)
axes[0].margins(x=0)
for rank, axis in enumerate(axes[1:]):
    shares = file["spatial.contributions"][sample, rank, :, 0]
    there = np.nan_to_num(file["spatial.annotated"][sample, rank])
    axis.bar(np.arange(len(shares)) + 0.5, shares, width=1, color=np.where(there > 0, "C1", "0.7"))
    axis.set(xlim=(0, len(shares)), xticks=[])
    axis.set_title(names[file["spatial.concepts"][sample, rank]], fontsize=9, loc="left")
axes[-1].set_xlabel(
    "time; what each place adds to the score of the class; orange: the concept is annotated there"
)
figure.tight_layout()

# %% [markdown]
# Your own concepts, annotated or in words: [Concepts](../concepts.md). On people, and with a teacher: [the card](../methods/cct.md).
