"""Serves jobs by status, messages and workers for Prometheus. Reads the catalogue and Redis at each request."""

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import BrokerError
from tvb_batch.models.queue import QUEUES, listening, make_app, waiting
from tvb_batch.models.settings import Settings


class Installation(Collector):
    """A Prometheus collector that reads everything at each request."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue, self._settings, self._app = catalogue, settings, make_app(settings)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; without Redis, only the one that says so and those of the catalogue."""
        jobs = GaugeMetricFamily("tvb_batch_jobs", "Jobs by state.", labels=["status"])
        for status in Status:
            jobs.add_metric([str(status)], self._catalogue.count(status=status))
        yield jobs
        rows = self._catalogue.workers(timedelta(seconds=self._settings.lease))
        busy = GaugeMetricFamily("tvb_batch_busy_processes", "Worker processes that run a job.")
        busy.add_metric([], sum(bool(row.running) for row in rows))
        yield busy
        ended = GaugeMetricFamily("tvb_batch_ended_last_hour", "Jobs that ended in the last hour.", labels=["how"])
        ended.add_metric(["finished"], sum(row.finished for row in rows))
        ended.add_metric(["failed"], sum(row.failed for row in rows))
        yield ended
        yield from self._broker()

    def _broker(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("tvb_batch_broker_up", "1 while Redis answers.")
        messages = GaugeMetricFamily("tvb_batch_messages", "Messages that wait in Redis.", labels=["queue"])
        try:
            for name, queue in QUEUES.items():
                messages.add_metric([name], waiting(self._app, queue))
            workers = GaugeMetricFamily("tvb_batch_workers", "Workers that are connected to Redis.")
            workers.add_metric([], len(listening(self._app)))
        except BrokerError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield from (up, messages, workers)


def registry(catalogue: Catalogue, settings: Settings) -> CollectorRegistry:
    """Return the registry for the metrics server."""
    found = CollectorRegistry()
    found.register(Installation(catalogue, settings))
    return found
