"""The Celery app of a worker: `celery -A worker worker` finds it here."""

from models.queue import make_app, worker_client_name
from models.settings import load_settings
from worker.log import configure
from worker.tasks import register
from worker.transport import install

configure()
install()

_settings = load_settings()
app = make_app(_settings, client_name=worker_client_name())
app.conf.worker_pool = "worker.pool:TaskPool"
# On a busy host a new process may take long to say that it is there; Celery kills it after 4 s.
app.conf.worker_proc_alive_timeout = 60.0
register(app, _settings)
