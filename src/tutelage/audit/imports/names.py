"""What a name tells: ``resnet_T4_alpha0.9_seed3_ep14_val69.5260_best`` and the words of people's tables."""

import re
import unicodedata
from functools import lru_cache

NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"

ALIASES: dict[str, tuple[str, ...]] = {
    "seed": ("random seed", "seed", "rs"),
    "run": ("run", "trial", "rep", "repeat"),
    "fold": ("fold", "cv"),
    "subject": ("subject", "subj", "sbj", "sub", "participant"),
    "temperature": ("temperature", "temp", "tau", "τ"),
    "alpha": ("alpha", "α"),
    "beta": ("beta", "β"),
    "gamma": ("gamma", "γ"),
    "lambda": ("lambda", "lam", "λ"),
    "learning_rate": ("learning rate", "learning_rate", "lr"),
    "weight_decay": ("weight decay", "weight_decay", "wd"),
    "batch_size": ("batch size", "batch_size", "batch", "bs"),
    "epochs": ("epochs",),
    "epoch": ("epoch", "ep"),
    "window": ("window size", "window_size", "window length", "window", "win"),
    "windows": ("test windows", "windows", "test samples", "samples", "n_test", "n test"),
    "classes": ("classes", "num_classes", "n_classes"),
    "level": ("level", "severity"),
    "n": ("number of runs", "n_runs", "runs", "#runs"),
}
"""Setting -> how people write it, in front of a number or as the head of a column."""

SHORT = {"T": "temperature", "w": "window", "W": "window", "n": "n"}
"""Letters that are a setting only directly before a number: T4, w500, n=3."""

WEIGHTS = ("alpha", "beta", "gamma", "lambda", "temperature")

_KEY = {alias: key for key, aliases in ALIASES.items() for alias in aliases}
_LONG = "|".join(re.escape(alias).replace(r"\ ", r"[ _-]?")
                 for alias in sorted(_KEY, key=len, reverse=True))  # fmt: skip
_PAIR = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?P<long>{_LONG})[ _]?[=:]?[ _-]?|(?P<short>[TwWn])[ ]?=?[ ]?)"
    rf"(?P<value>{NUMBER})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?<![\w.])(?P<value>\d+)[ -]?(?P<key>class(?:es)?|windows|runs|seeds)(?![A-Za-z])",
    re.IGNORECASE,
)
_AFTER_KEYS = {"class": "classes", "classes": "classes", "windows": "windows", "runs": "n",
               "seeds": "n"}  # fmt: skip
_BEST_OF = re.compile(
    r"(?:best|max|top)[ _-]?(?:(?P<k>\d+)[ _-]?)?(?:of|out of)[ _-]?(?P<n>\d+)", re.I
)
_MEAN_OF = re.compile(r"(?:mean|average|avg)[ _-]?of[ _-]?(?P<n>\d+)", re.IGNORECASE)
_ON_TEST = re.compile(
    r"test[ _-]?selected|best[ _-]+(?:epoch[ _-]+)?(?:on[ _-]+)?test|selected[ _-]on[ _-]test|\blegacy\b",
    re.IGNORECASE,
)
_ON_VALIDATION = re.compile(
    r"val(?:idation)?[ _-]?selected|selected[ _-]on[ _-]val(?:idation)?", re.IGNORECASE
)
_INHERITED = re.compile(
    r"\b(?:copied|taken) from\b|\bfrom (?:the )?(?:paper|old|earlier|previous|table)\b|\binherited\b"
    r"|\bnot re-?run\b|\bas reported\b|\breported in\b",
    re.IGNORECASE,
)
_METRIC = re.compile(
    rf"(?<![A-Za-z])(?P<split>train(?:ing)?|val(?:id(?:ation)?)?|test)?[ _-]?"
    rf"(?P<metric>accuracy|acc|macro[ _-]?f1|f1|loss|nll)?[ _]?[=:]?[ ]?(?P<value>{NUMBER}|nan|inf)(?![A-Za-z\d])",
    re.IGNORECASE,
)


def settings_in(text: str) -> dict[str, str]:
    """Return the settings that a title, a label or a file name tells.

    Examples:
        >>> settings_in("kd_T4_alpha0.90_seed3_fold2_lr0.05_best")
        {'temperature': '4', 'alpha': '0.9', 'seed': '3', 'fold': '2', 'learning_rate': '0.05'}
        >>> settings_in("GAF (best of 3), w500")
        {'window': '500', 'rule': 'best of 3', 'n': '3'}
    """
    settings: dict[str, str] = {}
    for match in _PAIR.finditer(text):
        key = _key(match["long"]) if match["long"] else _short(match["short"])
        if key is not None:
            settings.setdefault(key, plain(match["value"]))
    for match in _AFTER.finditer(text):
        settings.setdefault(_AFTER_KEYS[match["key"].lower()], match["value"])
    if best := _BEST_OF.search(text):
        of = f"{best['k']} of {best['n']}" if best["k"] else f"of {best['n']}"
        settings |= {"rule": f"best {of}", "n": best["n"]}
    elif mean := _MEAN_OF.search(text):
        settings |= {"rule": f"mean of {mean['n']}", "n": mean["n"]}
    if _ON_TEST.search(text):
        settings["selected"] = "test"
    elif _ON_VALIDATION.search(text):
        settings["selected"] = "validation"
    if _INHERITED.search(text):
        settings["inherited"] = "yes"
    return settings


def setting_named(text: str) -> str | None:
    """Return the setting that a column head names, or None.

    Examples:
        >>> setting_named("Learning rate"), setting_named("T"), setting_named("WRN16-1")
        ('learning_rate', 'temperature', None)
    """
    name = text.strip().strip("#:()")
    if name in ("T", "n", "N"):
        return {"T": "temperature"}.get(name, "n")
    words = {"split used": "selected", "selected on": "selected", "chosen on": "selected"}
    return words.get(name.lower()) or _key(name)


def metrics_in(text: str) -> dict[str, str]:
    """Return the metrics that a log line or a file name states, by split.

    Examples:
        >>> metrics_in("vgg8_ep14_val69.5260_best")
        {'validation': '69.5260'}
        >>> metrics_in("Epoch 3: train loss 0.31, test acc = 81.2")
        {'train loss': '0.31', 'test': '81.2'}
    """
    metrics: dict[str, str] = {}
    for match in _METRIC.finditer(text):
        split = (match["split"] or "").lower()
        metric = re.sub(r"[ _-]", "-", (match["metric"] or "").lower())
        if not split and metric in ("", "loss"):
            continue
        split = (
            "train" if split.startswith("train") else "validation" if split[:1] == "v" else split
        )
        metric = "" if metric.startswith("acc") else metric
        metrics.setdefault(
            " ".join(word for word in (split or "test", metric) if word), match["value"]
        )
    return metrics


@lru_cache(65536)  # a table says the same words in every row
def without_settings(text: str) -> str:
    """Return a label without the settings in it: the same method with another weight has the same rest.

    Examples:
        >>> without_settings("Base (alpha=0.7, T=4)")
        'Base'
    """
    for pattern in (_BEST_OF, _MEAN_OF, _AFTER, _ON_TEST, _ON_VALIDATION):
        text = pattern.sub("", text)
    text = _PAIR.sub(lambda m: "" if m["long"] or _short(m["short"]) else m[0], text)
    return re.sub(r"\(\W*\)|^[\W_]+(?=\w)|[\s,;:_(-]+$", "", text).strip()


@lru_cache(65536)  # a table says the same words in every row
def normal(text: str) -> str:
    """Return a label in the form that labels are compared in.

    Examples:
        >>> normal("  PI + Sig ") == normal("pi+sig")
        True
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s*([+/,&])\s*", r"\1", re.sub(r"[\s_]+", " ", text)).strip(" :.*†‡")


def plain(number: str) -> str:
    """Return a number without useless digits, so that 0.90 and .9 are one setting."""
    return f"{float(number):g}"


def _key(text: str) -> str | None:
    return _KEY.get(re.sub(r"[ _-]+", " ", text.lower()).strip()) or _KEY.get(text.lower())


def _short(letter: str) -> str | None:
    return SHORT.get(letter)  # t and N are words of their own
