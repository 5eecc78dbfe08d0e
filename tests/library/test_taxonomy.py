from __future__ import annotations

import pytest

from xray_agent_tools.errors import UnknownLabel
from xray_agent_tools.taxonomy import taxonomy

STCRAY = [
    "Explosive", "Gun", "3D printed gun", "Knife", "Cutter", "Blade", "Shaving Razor", "Lighter", "Syringe", "Battery",
    "Nail Cutter", "Other Sharp Item", "Powerbank", "Scissors", "Hammer", "Pliers", "Wrench", "Screwdriver", "Handcuffs",
    "Bullet",
]  # fmt: skip

DATASETS = {
    "stcray": STCRAY,
    "luggage_xray": [
        "blade", "Cans", "CartonDrinks", "dagger", "GlassBottle", "knife", "PlasticBottle", "scissors", "SprayCans",
        "SwissArmyKnife", "Tin", "VacuumCup",
    ],
    "cargoxray": [
        "auto_parts", "bags", "bicycle", "car_wheels", "clothes", "fabrics", "lamps", "office_supplies", "shoes",
        "spare_parts", "tableware", "textiles", "toys",
    ],
    "opixray": ["Folding_Knife", "Straight_Knife", "Scissor", "Utility_Knife", "Multi-tool_Knife"],
    "hixray": [
        "Portable_Charger_1", "Portable_Charger_2", "Water", "Laptop", "Mobile_Phone", "Tablet", "Cosmetic",
        "Nonmetallic_Lighter",
    ],
    "pidray": [
        "Baton", "Pliers", "Hammer", "Powerbank", "Scissors", "Wrench", "Gun", "Bullet", "Sprayer", "HandCuffs", "Knife",
        "Lighter",
    ],
    "sixray": ["Gun", "Knife", "Wrench", "Pliers", "Scissors", "Hammer"],
    "clcxray": ["blade", "Cans", "knife", "scissors", "Tin", "VacuumCup"],
    "dvxray": [
        "Gun", "Knife", "Wrench", "Pliers", "Scissors", "Lighter", "Battery", "Bat", "Razor_blade", "Saw_blade",
        "Fireworks", "Hammer", "Screwdriver", "Dart", "Pressure_vessel",
    ],
    "eds": [
        "drinkbottle", "pressure", "lighter", "knife", "smallelectronicequipmen", "powerbank", "umbrella", "glassbottle",
        "scissor", "laptop",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("dataset", "name"), [(dataset, name) for dataset in DATASETS for name in DATASETS[dataset]])
def test_every_class_of_the_public_datasets_has_a_canonical_label(dataset: str, name: str) -> None:
    assert taxonomy().label_for(dataset, name) in taxonomy().labels


def test_no_dataset_name_belongs_to_two_labels() -> None:
    names = [
        (dataset, name) for item in taxonomy().items for dataset in item.datasets for name in item.datasets[dataset]
    ]
    assert len(names) == len(set(names))


def test_no_alias_belongs_to_two_labels() -> None:
    aliases = [alias.casefold() for item in taxonomy().items for alias in item.aliases]
    assert sorted(aliases) == sorted(set(aliases))


def test_about_forty_labels_or_more_are_described() -> None:
    assert len(taxonomy().items) >= 40
    assert all(item.description.endswith(".") for item in taxonomy().items)


def test_the_twenty_threat_categories_of_stcray_are_distinct() -> None:
    assert len({taxonomy().label_for("stcray", name) for name in STCRAY}) == 20


def test_an_unknown_label_names_the_nearest_ones() -> None:
    with pytest.raises(UnknownLabel) as caught:
        taxonomy().item("knief")
    assert "knife" in caught.value.hint
