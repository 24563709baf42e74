import re
from pathlib import Path

import pytest

from harness.core.registry import parameters_of
from harness.data import DATASETS
from harness.models.card import Architecture, Card, Threat
from harness.models.recipe import AdversarialTraining, Changes, GradientSimilarity, Recipe
from harness.spec import ClaimSpec, Suite
from harness.spec.parts import AttackSpec, DatasetSpec, ModelSpec, ThreatSpec, TransferSpec, WhiteboxSpec
from harness.spec.tables import TableSpec

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "table",
    [Suite, DatasetSpec, ThreatSpec, ModelSpec, AttackSpec, WhiteboxSpec, TransferSpec, TableSpec, ClaimSpec],
    ids=lambda table: table.__name__,
)
def test_every_key_of_a_suite_file_is_documented(table: type[Suite]) -> None:
    text = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    undocumented = [key for key in table.model_fields if f"`{key}`" not in text and f"[{key}]" not in text]
    assert undocumented == []


@pytest.mark.parametrize(
    "table",
    [Card, Architecture, Threat, Recipe, AdversarialTraining, GradientSimilarity, Changes],
    ids=lambda table: table.__name__,
)
def test_every_key_of_a_card_is_documented(table: type[Card]) -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    undocumented = [key for key in table.model_fields if f"`{key}`" not in text and f"{key}]`" not in text]
    assert undocumented == []


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_and_its_keys_are_documented(name: str) -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert [word for word in (name, *parameters_of(DATASETS.get(name))) if f"`{word}`" not in text] == []


@pytest.mark.parametrize("folder", ["awais2020", "benz2021", "walter2022"])
def test_the_cards_that_training_md_names_exist(folder: str) -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    trained = re.findall(rf"harness train ({folder}-[\w-]+)", text)
    assert trained
    assert all((ROOT / "model_zoo" / folder / f"{name}.toml").is_file() for name in trained)


def test_the_readme_sets_up_in_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- set up -->\n```bash\n")[2].partition("```")[0]
    install, tests = block.strip().splitlines()
    assert install.startswith("pip install ")
    assert "harness run suites/quickstart.toml" in install
    assert tests == "pytest"
