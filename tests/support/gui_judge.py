"""Judges files with the real TVB GUI code: imports them into an empty project and launches every offered viewer.

A separate program, because the profiles of the GUI and of the library cannot share a process:

    python gui_judge.py HOME FILE...

prints one JSON object for each file: what was stored, the result of each viewer, or why the import failed.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

home = Path(sys.argv[1])
# The test profile reads the one, the rest of TVB the other.
os.environ["HOME"] = os.environ["TVB_USER_HOME"] = str(home)
# The atlas library asks the network for its atlases while it is imported; the GUI runs without it.
sys.modules["siibra"] = None  # type: ignore[assignment]

from tvb.basic.profile import TvbProfile  # noqa: E402

TvbProfile.set_profile(TvbProfile.TEST_SQLITE_PROFILE)

from tvb.adapters.uploaders.tvb_importer import TVBImporter, TVBImporterModel  # noqa: E402
from tvb.config.init.initializer import initialize  # noqa: E402
from tvb.config.init.model_manager import reset_database  # noqa: E402
from tvb.core.adapters.abcadapter import ABCAdapter  # noqa: E402
from tvb.core.adapters.abcdisplayer import ABCDisplayer  # noqa: E402
from tvb.core.entities.model.model_datatype import DataType  # noqa: E402
from tvb.core.entities.model.model_operation import STATUS_FINISHED  # noqa: E402
from tvb.core.entities.model.model_project import User  # noqa: E402
from tvb.core.entities.storage import dao  # noqa: E402
from tvb.core.entities.storage.session_maker import SessionMaker  # noqa: E402
from tvb.core.neotraits.view_model import DataTypeGidAttr  # noqa: E402
from tvb.core.services.algorithm_service import AlgorithmService  # noqa: E402
from tvb.core.services.operation_service import OperationService  # noqa: E402
from tvb.core.services.project_service import ProjectService  # noqa: E402

_COLUMNS = (
    "gid", "subject", "state", "type", "title", "time_series_type", "sample_period", "sample_period_unit", "data_ndim",
    "data_length_1d", "data_length_2d", "data_length_3d", "data_length_4d", "labels_ordering", "labels_dimensions",
    "fk_connectivity_gid", "number_of_regions", "number_of_connections", "user_tag_1", "has_volume_mapping",
)  # fmt: skip


def judge(file: str) -> dict[str, Any]:
    """Import one file into an empty project of an empty database."""
    user, project = empty_project()
    failure = launch(TVBImporter, TVBImporterModel(data_file=file), user, project)
    found = stored_datatypes()
    # An import that fails half way may have stored something: that is part of the verdict.
    return {
        "error": failure,
        "stored": [described(datatype) for datatype in found],
        "viewers": {} if failure else {datatype.gid: viewers(datatype, user, project) for datatype in found},
    }


def empty_project() -> tuple[Any, Any]:
    """Return a user and an empty project in an empty database."""
    # The folder of a project is named after it, and an import that fails leaves its files there.
    reset_database()
    # Updates of older data run in a thread with the same database session, which sometimes broke an import.
    thread = initialize(skip_import=True)
    if thread is not None:
        thread.join()
    user = dao.store_entity(User("judge", "judge", "password", "judge@example.org", True, "test"))
    wanted = {
        "name": f"p{os.urandom(6).hex()}",
        "description": "",
        "users": [],
        "max_operation_size": None,
        "disable_imports": False,
    }
    return user, ProjectService().store_project(user, True, None, **wanted)


def stored_datatypes() -> list[Any]:
    session = SessionMaker()
    session.open_session()
    try:
        gids = [row.gid for row in session.query(DataType).all()]
    finally:
        session.close_session()
    return [dao.get_datatype_by_gid(gid) for gid in gids]


def launch(adapter_class: type, view_model: Any, user: Any, project: Any) -> str:
    """Run one GUI operation in this process; return the error or nothing."""
    adapter = ABCAdapter.build_adapter_from_class(adapter_class)
    service = OperationService()
    operation = service.prepare_operation(user.id, project, adapter.stored_adapter, True, view_model)
    try:
        service.initiate_prelaunch(operation, adapter)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    operation = dao.get_operation_by_id(operation.id)
    return "" if operation.status == STATUS_FINISHED else f"{operation.status}: {operation.additional_info}"


def described(datatype: Any) -> dict[str, Any]:
    """Return the columns of a datatype in the GUI's database."""
    entity = dao.get_datatype_by_gid(datatype.gid)
    return {"class": type(entity).__name__} | {
        name: str(getattr(entity, name)) for name in _COLUMNS if hasattr(entity, name)
    }


def viewers(datatype: Any, user: Any, project: Any) -> dict[str, str]:
    """Return every viewer offered for a datatype, with its error or ""."""
    entity = dao.get_datatype_by_gid(datatype.gid)
    offered = AlgorithmService().get_launchable_algorithms_for_datatype(entity, dao.get_visualisers_categories())[1]
    return {algorithm.displayname: view(algorithm, entity, user, project) for algorithm in offered}


def view(algorithm: Any, entity: Any, user: Any, project: Any) -> str:
    adapter = ABCAdapter.build_adapter(algorithm)
    view_model = adapter.get_view_model_class()()
    setattr(view_model, input_of(type(view_model), entity), UUID(entity.gid))
    prepared = OperationService().prepare_operation(user.id, project, algorithm, True, view_model)
    operation = dao.get_operation_by_id(prepared.id)  # With the rows it refers to.
    try:
        adapter.extract_operation_data(operation)
        adapter.current_project_id = project.id
        adapter.user_id = user.id
        result = adapter.launch(adapter.load_view_model(operation))
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return "" if isinstance(result, dict) and "mainContent" in result else f"no page: {result!r}"


def input_of(view_model_class: Any, entity: Any) -> str:
    """Return the attribute of a viewer's form that takes this datatype."""
    classes = {cls.__name__.removesuffix("Index") for cls in type(entity).__mro__}
    for name in view_model_class.declarative_attrs:
        attribute = getattr(view_model_class, name)
        if isinstance(attribute, DataTypeGidAttr) and attribute.linked_datatype.__name__ in classes:
            return str(name)
    raise LookupError(f"{view_model_class.__name__} takes no {type(entity).__name__}")


def main() -> None:
    """Judge every file, each in its own database."""
    ABCDisplayer.VISUALIZERS_ROOT = TvbProfile.current.web.VISUALIZERS_ROOT
    for file in sys.argv[2:]:
        print("VERDICT " + json.dumps(judge(file)), flush=True)


if __name__ == "__main__":
    main()
