"""The numbers of an installation for Prometheus."""

from datetime import timedelta

import pytest
from conftest import SHORT
from prometheus_client import generate_latest

from tvb_batch.models.queue import make_app, publish_jobs
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.operate.prometheus import registry


def told(catalogue, settings) -> dict[str, float]:
    lines = generate_latest(registry(catalogue, settings)).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_jobs_messages_and_workers_are_exported(settings, catalogue) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": {"coupling.a": [0.1, 0.2, 0.3]}}))
    publish_jobs(catalogue, make_app(settings))
    jobs = catalogue.jobs(sweep=made.gid)
    catalogue.claim(jobs[0].gid, "host:1", timedelta(seconds=60))
    failed = catalogue.claim(jobs[1].gid, "host:2", timedelta(seconds=60))
    catalogue.fail(failed, "E", "it broke", retryable=False, max_attempts=1)

    found = told(catalogue, settings)

    assert found['tvb_batch_jobs{status="STARTED"}'] == found['tvb_batch_jobs{status="PENDING"}'] == 1
    assert found['tvb_batch_jobs{status="FINISHED"}'] == 0
    assert found['tvb_batch_messages{queue="short"}'] == 3
    assert found["tvb_batch_busy_processes"] == found['tvb_batch_ended_last_hour{how="failed"}'] == 1
    assert (found["tvb_batch_broker_up"], found["tvb_batch_workers"]) == (1, 0)


@pytest.mark.slow
def test_an_unreachable_broker_is_exported_and_ends_nothing(settings, catalogue) -> None:
    gone = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://127.0.0.1:1/0")})

    found = told(catalogue, gone)

    assert found["tvb_batch_broker_up"] == 0
    assert 'tvb_batch_jobs{status="PENDING"}' in found
