"""`describe`, `new` and `schema`: all of TVB's classes, and specs that run unchanged."""

import jsonschema
import pytest
import yaml
from conftest import EXAMPLES, SHORT

from tvb_batch.models.errors import NotFoundError, SpecError
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.models.tvb.components import components, roles
from tvb_batch.submit.intake.spec_file import load_spec_file
from tvb_batch.submit.present.class_reference import class_text, json_schema, list_classes, new_spec


def test_a_class_is_described_with_ranges_defaults_and_tvbs_words() -> None:
    text = class_text("JansenRit")

    assert "JansenRit, a model (tvb.simulator.models.jansen_rit)" in text
    assert "state variables: y0, y1" in text
    assert "A = 3.25   [2.6 to 9.75]\n    Maximum amplitude of EPSP" in text


@pytest.mark.parametrize("name", [name for role in roles() for name in components(role)])
def test_every_class_can_be_described(name: str) -> None:
    text = class_text(name)

    assert text.startswith(f"{name}, a")
    assert max(map(len, text.splitlines())) < 400
    assert name in list_classes()


def test_classes_of_one_name_are_both_described() -> None:
    assert class_text("Linear").count("Linear, a ") == 3  # A model, a coupling and an equation.


def test_an_unknown_class_is_reported_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'JansenRit'"):
        class_text("JansenRitt")
    with pytest.raises(SpecError, match="TVB_BATCH_MODULES"):
        class_text("os.system")


@pytest.mark.parametrize("model", sorted(components("model")))
def test_a_new_spec_is_tvbs_default_of_its_model(model: str, tmp_path) -> None:
    (tmp_path / "spec.yaml").write_text(new_spec(model))

    spec = load_spec_file(str(tmp_path / "spec.yaml"))

    assert spec.base.model == simulation({**SHORT, "model": model}).model
    uncommented = new_spec(model).replace("# sweep:", "sweep:").replace("\n#   ", "\n  ")
    (tmp_path / "sweep.yaml").write_text(uncommented)
    assert load_spec_file(str(tmp_path / "sweep.yaml")).size in (3, 15)


@pytest.mark.slow
def test_the_schema_takes_what_the_program_takes_and_refuses_what_it_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())

    for example in EXAMPLES.glob("*.yaml"):
        validator.validate(yaml.safe_load(example.read_text()))
    for model in components("model"):
        validator.validate(yaml.safe_load(new_spec(model)))
    for wrong in (
        {"model": "JansenRitt"},
        {"model": {"class": "JansenRit", "zeta": 1}},
        {"models": "JansenRit"},
        {"monitors": []},
    ):
        assert list(validator.iter_errors({**SHORT, **wrong})), wrong
