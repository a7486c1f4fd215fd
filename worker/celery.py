"""The Celery app of a worker: `celery -A worker worker` finds it here."""

from models.queue import make_app
from models.settings import load_settings
from worker.log import configure
from worker.tasks import register
from worker.transport import install

configure()
install()

_settings = load_settings()
app = make_app(_settings)
register(app, _settings)
