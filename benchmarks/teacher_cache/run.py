"""One step of a student on PAMAP2-shaped data with 1, 2 and 3 teachers: live against cached.

python -m benchmarks.teacher_cache.run

Student: 1-D WRN16-1 on 40 x 100. Teachers, all WRN16-1: signal (1-D), persistence image and Gramian field (2-D on
40 x 64 x 64). Objectives: labels, soft targets, merged similarity maps of three stages. Values are random: time
does not depend on them.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from benchmarks.common import ratio, rounds, write
from tutelage.batches import Samples
from tutelage.models import On, WideResNet, measure
from tutelage.objectives import Distiller, Labels, MergedSimilarity, PerTeacher, Weighted
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, LiveTeachers, cache_teacher
from tutelage.terms import SoftTargets
from tutelage.types import Clock

BATCH, STEPS, COUNT, CLASSES = 64, 2, 256, 12


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path("runs/.bench"))
    options = parser.parse_args()
    torch.manual_seed(0)
    images = {
        name: torch.randint(0, 255, (COUNT, 40, 64, 64), dtype=torch.uint8)
        for name in ("pi", "gaf")
    }
    inputs = {"signal": torch.randn(COUNT, 40, 100), **images}
    samples = Samples(inputs, torch.randint(0, CLASSES, (COUNT,)), tuple(map(str, range(CLASSES))))
    modality = {"sig": "signal", "pi": "pi", "gaf": "gaf"}

    def network(name: str) -> On:
        statistics = ([0.0] * 40, [1.0] * 40) if name == "signal" else ([127.0] * 40, [74.0] * 40)
        made = On(
            name, WideResNet(40, CLASSES, dimensions=1 if name == "signal" else 2), *statistics
        )
        return made.to(memory_format=torch.channels_last)

    competitors, share = {}, {}
    for names in (["sig"], ["sig", "pi"], ["sig", "pi", "gaf"]):
        mix = dict.fromkeys(names, 1 / len(names))
        nets = {name: network(modality[name]) for name in names}
        student = network("signal")
        distiller = Distiller(
            {
                "labels": Weighted(Labels(), 0.1),
                "soft": Weighted(PerTeacher(SoftTargets(4.0)), 0.9),
                "similarity": Weighted(MergedSimilarity(mix), 600.0),
            }
        )
        index = torch.arange(COUNT)
        entries = {
            name: cache_teacher(
                net, samples, index, distiller.needs(), folder=options.folder, modality=net.modality
            )
            for name, net in nets.items()
        }
        sources = {"live": LiveTeachers(nets, distiller.needs()), "cached": CachedTeachers(entries)}
        macs = {
            name: measure(net.network, inputs[net.modality].shape[1:]).macs
            for name, net in nets.items()
        }
        own = measure(student.network, (40, 100)).macs
        share[len(names)] = sum(macs.values()) / (sum(macs.values()) + 3 * own)
        fabric = Fabric(accelerator="cpu")
        rule = GradientStep(partial(torch.optim.SGD, lr=0.05, momentum=0.9), 0.05)
        stepper = rule.bind(fabric, student, distiller)
        for kind, teachers in sources.items():
            kept = set(inputs) if kind == "live" else {"signal"}
            seen = samples.only(kept)

            def run(seen=seen, teachers=teachers, student=student, stepper=stepper) -> None:
                student.train()
                for i in range(STEPS):
                    batch = seen.take(torch.arange(i * BATCH, (i + 1) * BATCH))
                    stepper(batch, teachers(batch), Clock())

            competitors[f"{len(names)} teachers, {kind}"] = run
    student = network("signal")
    stepper = GradientStep(partial(torch.optim.SGD, lr=0.05, momentum=0.9), 0.05).bind(
        Fabric(accelerator="cpu"), student, Distiller({"labels": Weighted(Labels())})
    )
    seen = samples.only({"signal"})

    def alone() -> None:
        student.train()
        for i in range(STEPS):
            stepper(seen.take(torch.arange(i * BATCH, (i + 1) * BATCH)), {}, Clock())

    competitors["student alone"] = alone
    seconds = rounds(competitors, options.rounds)
    table = [
        [
            "teachers",
            "live (s a step)",
            "cached (s a step)",
            "times faster",
            "teachers' share of the multiply-adds",
        ]
    ]
    for count in (1, 2, 3):
        live, cached = f"{count} teachers, live", f"{count} teachers, cached"
        middle = {
            name: sorted(seconds[name])[len(seconds[name]) // 2] / STEPS for name in (live, cached)
        }
        table.append(
            [
                str(count),
                f"{middle[live]:.4f}",
                f"{middle[cached]:.4f}",
                f"{ratio(seconds, live, cached):.1f}",
                f"{100 * share[count]:.1f} %",
            ]
        )
    floor = sorted(seconds["student alone"])[len(seconds["student alone"]) // 2] / STEPS
    note = (
        f"A step of the student alone, on labels, takes {floor:.4f} s here: no cache can make a step "
        "faster than that. Where bf16 arithmetic is in hardware both shares shrink."
    )
    result = {"seconds": seconds, "note": note}
    write(Path(__file__).parent, "python -m benchmarks.teacher_cache.run", result, table)


if __name__ == "__main__":
    main()
