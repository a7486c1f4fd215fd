"""The Celery app of a worker. `worker.celery` shows it to the `celery` command."""

import os
import warnings
from typing import Any

import structlog
from celery import signals
from celery.concurrency import get_implementation
from celery.exceptions import CPendingDeprecationWarning

from tvb_batch.models.queue import make_app, worker_client_name
from tvb_batch.models.settings import load_settings
from tvb_batch.worker import remote_control, transport
from tvb_batch.worker.log import configure
from tvb_batch.worker.pool import TaskPool
from tvb_batch.worker.tasks import register

log = structlog.get_logger()

configure()
transport.install()
remote_control.install()

_settings = load_settings()
app = make_app(_settings, client_name=worker_client_name())
app.conf.worker_pool = "tvb_batch.worker.pool:TaskPool"
# On a busy host a new process may need longer than Celery's 4 s to report.
app.conf.worker_proc_alive_timeout = 60.0
# Celery warns about late acknowledgement, which is off, at each lost connection.
warnings.simplefilter("ignore", CPendingDeprecationWarning)
# `worker.remote_control` says which commands are answered.
app.conf.worker_enable_remote_control = True
# Wait for a Redis that refuses commands, as for one that does not answer.
app.conf.broker_channel_error_retry = True
register(app, _settings)


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _check_pool(options: dict[str, Any], **_: Any) -> None:
    """Exit if the chosen pool has no processes: a process must be able to end without harm to other jobs."""
    chosen = get_implementation(options.get("pool") or app.conf.worker_pool)
    if not issubclass(chosen, TaskPool):
        log.error("pool_not_supported", reason=f"--pool {chosen.__module__}: jobs need processes; leave --pool out")
        raise SystemExit(2)


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _name(sender: str, instance: Any, **_: Any) -> None:
    """Give each worker of a host its own name, so that `celery inspect` and Flower can tell them apart."""
    if sender.startswith("celery@"):
        instance.hostname = f"tvb-batch-{os.getpid()}@{sender.partition('@')[2]}"
