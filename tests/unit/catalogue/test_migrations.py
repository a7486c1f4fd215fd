"""The content of an older catalogue survives the upgrade to this program's revision, on both databases."""

import warnings
from datetime import timedelta
from uuid import uuid4

from alembic import command
from sqlalchemy import inspect, text

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.database import alembic_config, connect

#: Rows as the first revision has them.
FIRST_ROWS = (
    "INSERT INTO sweep (id, gid, name, created_at, size, base, plan, priority, is_paused, queue) VALUES"
    " (1, '{gid}', 'old', '2026-01-01 00:00:00', 1, '{{}}', '{{}}', 0, false, 'short')",
    "INSERT INTO job (id, gid, sweep_id, number, repeat, parameters, parameters_hash, seed, status, attempt,"
    " saved_attempt, created_at, progress, cancel_requested) VALUES"
    " (1, '{gid}', 1, 0, 0, '{{}}', 'x', 42, 'FINISHED', 1, 0, '2026-01-01 00:00:00', 1.0, false)",
    "INSERT INTO job_metric (job_id, name, number) VALUES (1, 'mean', 0.5)",
    "INSERT INTO output (id, gid, job_id, monitor, datatype, path, format, bytes, sha256, shape, is_nan, refers_to)"
    " VALUES (1, '{gid}', 1, 'Raw', 'TimeSeriesRegion', 'a.h5', 'tvb2', 1, 'x', '[1, 1, 1, 1]', false, '[]')",
)


def test_data_of_the_first_revision_survive_the_upgrade_and_the_downgrade(url) -> None:
    engine = connect(url)
    command.upgrade(alembic_config(engine), "0001")
    with engine.execution_options(writes=True).begin() as connection:
        for statement in FIRST_ROWS:
            connection.exec_driver_sql(statement.format(gid=uuid4().hex))

    catalogue = Catalogue.open(url, create=True)
    [job] = catalogue.jobs()
    [output] = catalogue.outputs([job.gid])
    assert (output.path, output.transient, output.missing) == ("a.h5", None, None)
    assert catalogue.metrics([job.gid]) == {job.gid: {"mean": 0.5}}
    catalogue.dispose()

    command.downgrade(alembic_config(engine), "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT path FROM output")).scalars().all() == ["a.h5"]
    engine.dispose()


def has_index(engine) -> bool:
    with warnings.catch_warnings():
        # SQLAlchemy does not list an index of expressions on SQLite.
        warnings.simplefilter("ignore")
        return "ix_job_waiting" in {index["name"] for index in inspect(engine).get_indexes("job")}


def test_pending_jobs_of_the_second_revision_survive_the_upgrade_and_the_downgrade(url) -> None:
    engine = connect(url)
    command.upgrade(alembic_config(engine), "0002")
    with engine.execution_options(writes=True).begin() as connection:
        for statement in FIRST_ROWS[:2]:
            connection.exec_driver_sql(statement.format(gid=uuid4().hex).replace("'FINISHED', 1", "'PENDING', 0"))

    catalogue = Catalogue.open(url, create=True)
    [job] = catalogue.jobs()
    assert has_index(engine)
    catalogue.dispose()

    command.downgrade(alembic_config(engine), "0002")
    assert not has_index(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT status FROM job")).scalars().all() == ["PENDING"]
    command.upgrade(alembic_config(engine), "0003")
    engine.dispose()

    catalogue = Catalogue.open(url)
    claim = catalogue.claim_fairly(None, "w", timedelta(seconds=60))
    assert claim is not None
    assert claim.gid == job.gid
    catalogue.dispose()
