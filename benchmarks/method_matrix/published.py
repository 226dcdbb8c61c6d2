"""Published numbers to read beside ours: other data, other budgets, epochs chosen on the test set."""

_P = "PAMAP2, WRN16-3 teachers, test-selected; student alone 82.99"
_C = "all 50,000 images, 45 to 200 epochs, test-selected"
PUBLISHED = {
    "hapt": {
        "kd": f"86.50 ({_P})",
        "dcd": f"85.29 ({_P})",
        "rp": f"85.07 ({_P})",
        "base": f"86.44 ({_P})",
        "three-teachers-base": f"86.44 ({_P})",
        "three-teachers-ann": f"87.20 ({_P})",
        "three-teachers-annsp": f"87.02 ({_P})",
        "tpkd": f"88.00 (PI and signal; {_P})",
        "ebkd": f"86.84 ({_P})",
        "ca-mkd": f"86.09 ({_P})",
        "at": "69.79, alone 67.66 (GENEActiv-14, WRN16-3)",
        "sp": "67.85, alone 67.66 (GENEActiv-14, WRN16-3)",
        "simkd": "69.89, alone 67.66 (GENEActiv-14, WRN16-3)",
        "dist": "69.71, alone 67.66 (GENEActiv-14, WRN16-3)",
        "eskd": "88.16, alone 87.95 (GENEActiv-7, w500, WRN16-3)",
        "full-kd": "87.05, alone 87.95 (GENEActiv-7, w500, WRN16-3)",
        "aver": "88.59, alone 87.95 (GENEActiv-7, w500, WRN16-3, three teachers)",
    },
    "cifar10": {
        "alone": f"84.55 ({_C})",
        "kd": f"85.16 ({_C})",
        "at": f"about 85.8 ({_C})",
        "amd": f"86.28 ({_C})",
        "amd-local": f"86.36 ({_C})",
        "tgd-tgd": f"85.94 ({_C})",
    },
}
