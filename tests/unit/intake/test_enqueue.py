"""Rows are written first, then messages are sent; files are stored by their content."""

import json
import shutil
from importlib.resources import files

import pytest
from conftest import SHORT

from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.models.paths import check_writable
from tvb_batch.models.queue import make_app, waiting
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.intake.files import keep


def sweep_spec(connectivity: str = "connectivity_76.zip", jobs: int = 3) -> SweepSpec:
    base = SimulationSpec.model_validate({**SHORT, "connectivity": connectivity})
    return SweepSpec(name="s", base=base, plan={"coupling.a": [float(n) for n in range(jobs)]})


def test_a_message_holds_one_gid_and_nothing_else(settings, catalogue) -> None:
    app = make_app(settings)

    sweep = enqueue(catalogue, app, sweep_spec(jobs=1), settings.storage)

    with app.connection_for_write() as connection:
        [raw] = connection.default_channel.client.lrange("tvb-batch", 0, -1)
        body = connection.SimpleQueue("tvb-batch").get(timeout=5).payload
    assert body[0] == [str(catalogue.jobs(sweep=sweep.gid)[0].gid)]
    assert body[1] == {}
    assert json.loads(raw)["content-type"] == "application/json"


@pytest.mark.slow
def test_rows_are_kept_when_redis_leaves_before_the_messages(settings, catalogue) -> None:
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://127.0.0.1:1/0")})

    sweep = enqueue(catalogue, make_app(gone), sweep_spec(), settings.storage)

    assert catalogue.counts(sweep.gid) == {Status.PENDING: 3}
    assert len(catalogue.unpublished(10)) == 3
    assert waiting(make_app(settings)) == 0


def test_a_named_file_is_copied_once_by_its_content(settings, catalogue, tmp_path) -> None:
    source = tmp_path / "mine.zip"
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_76.zip"), source)
    content = source.read_bytes()

    first = keep(sweep_spec(str(source)), settings.storage)
    second = keep(sweep_spec(str(source)), settings.storage)

    assert first.base.connectivity == second.base.connectivity
    [kept] = settings.storage.inputs.iterdir()
    assert settings.storage.relative(kept) == first.base.connectivity["from_file"]
    assert kept.read_bytes() == content
    source.write_bytes(b"edited")
    assert kept.read_bytes() == content


def test_a_file_that_vanished_gives_one_line(settings, tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        keep(sweep_spec(str(tmp_path / "gone.zip")), settings.storage)


def test_a_directory_that_cannot_be_written_is_reported(settings) -> None:
    in_the_way = settings.data_dir / "file"
    in_the_way.write_text("")

    with pytest.raises(OutputError, match="TVB_BATCH_DATA_DIR"):
        check_writable(type(settings.storage)(in_the_way))


def test_the_check_leaves_nothing_behind(settings) -> None:
    check_writable(settings.storage)

    assert list(settings.data_dir.iterdir()) == []
