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
register(app, _settings)
