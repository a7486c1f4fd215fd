"""Judges bundles with the real TVB GUI code: its history, groups and exploration viewers.

A separate program that uses parts of `gui_judge.py`:

    python gui_bundle_judge.py HOME FILE...
"""

import json
import shutil
import sys
import zipfile
from typing import Any
from unittest.mock import patch
from uuid import UUID

import cherrypy
import numpy as np
from cherrypy.lib.sessions import RamSession
from gui_judge import (
    ABCDisplayer,
    TVBImporter,
    TVBImporterModel,
    TvbProfile,
    empty_project,
    launch,
    stored_datatypes,
    viewers,
)
from tvb.adapters.forms.coupling_forms import get_form_for_coupling
from tvb.adapters.forms.form_with_ranges import FormWithRanges
from tvb.adapters.forms.model_forms import get_form_for_model
from tvb.adapters.forms.noise_forms import get_form_for_noise
from tvb.adapters.simulator.range_parameters import RangeParametersCollector
from tvb.adapters.visualizers.pse import PSEDiscreteGroupModel
from tvb.adapters.visualizers.pse_isocline import PSEIsoGroupModel
from tvb.core.entities.model.model_burst import BurstConfiguration
from tvb.core.entities.model.model_datatype import DataTypeGroup
from tvb.core.entities.model.model_operation import Operation
from tvb.core.entities.storage import dao
from tvb.core.entities.storage.session_maker import SessionMaker
from tvb.core.neocom import h5
from tvb.core.services.burst_service import BurstService
from tvb.core.services.import_service import ImportService
from tvb.interfaces.web.controllers.common import KEY_PROJECT, KEY_USER
from tvb.interfaces.web.controllers.simulator.simulator_controller import SimulatorController
from tvb.storage.storage_interface import StorageInterface


def judge(files: str) -> dict[str, Any]:
    """Import the files in order into one empty project."""
    user, project = empty_project()
    failures = []
    for file in files.split(":"):
        if "Project.xml" in zipfile.ZipFile(file).namelist():
            failure, project = import_project(file, user)
            failures.append(failure)
        else:
            failures.append(launch(TVBImporter, TVBImporterModel(data_file=file), user, project))
    failed = any(failures)
    return {
        "error": " ".join(failures).strip(),
        "stored": sorted(type(datatype).__name__ for datatype in stored_datatypes()),
        "groups": [] if failed else [group(number, user, project) for number in rows(DataTypeGroup)],
        "bursts": [] if failed else [burst(number, user, project) for number in rows(BurstConfiguration)],
        "project": getattr(project, "name", ""),
        "viewers": [] if failed else data_viewers(user, project),
        "operations": [operation(number, project) for number in rows(Operation)],
    }


def import_project(file: str, user: Any) -> tuple[str, Any]:
    """Import a project; return the error or nothing, and the project."""
    service = ImportService()
    # It removes the file that it gets.
    copy = f"{file}.copy.zip"
    shutil.copyfile(file, copy)
    try:
        service.import_project_structure(copy, user.id)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}", None
    [project] = service.created_projects
    return "", dao.get_project_by_id(project.id)


def data_viewers(user: Any, project: Any) -> list[Any]:
    """Return the result of each viewer offered for a time series of the project."""
    series = [one for one in stored_datatypes() if type(one).__name__ == "TimeSeriesRegionIndex"]
    return viewers(series[0], user, project) if series else []


def rows(entity: Any) -> list[int]:
    """Return the ids of all rows of a table."""
    session = SessionMaker()
    session.open_session()
    try:
        return sorted(row.id for row in session.query(entity).all())
    finally:
        session.close_session()


def operation(number: int, project: Any) -> dict[str, Any]:
    """Return an operation as the GUI loads it from its folder."""
    row = dao.get_operation_by_id(number)
    folder = StorageInterface().get_project_folder(project.name, str(row.id))
    described = {"algorithm": row.algorithm.classname, "status": row.status, "range_values": row.range_values}
    if row.algorithm.classname == "SimulatorAdapter":
        described["simulator"] = plain(h5.load_view_model(UUID(row.view_model_gid), folder))
    if row.algorithm.classname == "TimeseriesMetricsAdapter":
        described["start_point"] = h5.load_view_model(UUID(row.view_model_gid), folder).start_point
    return described


def group(number: int, user: Any, project: Any) -> dict[str, Any]:
    row = dao.get_generic_entity(DataTypeGroup, number)[0]
    operations = dao.get_operationgroup_by_id(row.fk_operation_group)
    return {
        "name": operations.name,
        "ranges": [json.loads(text) for text in operations.range_references],
        "operations": len(dao.get_operations_in_group(operations.id)),
        "results": row.count_results,
        "of_burst": row.fk_parent_burst,
        "viewers": viewers(row, user, project),
        "discrete": discrete(row.gid),
        "isocline": isocline(row.gid) if row.no_of_ranges == 2 else {},
    }


def discrete(gid: str) -> dict[str, Any]:
    """Return the metrics at each place, as in the Discrete viewer."""
    model = PSEDiscreteGroupModel(gid, None, None, "")
    metrics = model.get_all_metrics()
    places = {
        f"{x:g},{y:g}": metrics[node["Gid"]] for x, column in model.get_all_node_info().items() for y, node in column.items()
    }  # fmt: skip
    context = model.pse_context
    return {"places": places, "axes": [context.title_x, context.title_y], "metrics": context.available_metrics}


def isocline(gid: str) -> dict[str, Any]:
    """Return the matrix of each metric, as in the Isocline viewer: (first axis, second axis)."""
    model = PSEIsoGroupModel(gid)
    matrices = {name: np.asarray(matrix).tolist() for name, matrix in model.apriori_data.items()}
    return {"x": list(model.apriori_x), "y": list(model.apriori_y), "matrices": matrices}


def burst(number: int, user: Any, project: Any) -> dict[str, Any]:
    """Open an entry of the Simulation History as a click does, up to the last page of its parameters."""
    row = dao.get_burst_by_id(number)
    folder = StorageInterface().get_project_folder(project.name, str(row.fk_simulation))
    simulator = h5.load_view_model(UUID(row.simulator_gid), folder)
    parameters = ranges_of(simulator)
    first, second = BurstService.handle_range_params_at_loading(row, parameters)
    return {
        "gid": row.gid,
        "name": row.name,
        "status": row.status,
        "is_exploration": row.is_pse_burst(),
        "datatypes": row.datatypes_number,
        "has_metrics": row.fk_metric_operation_group is not None,
        "swept": [[one.name, np.asarray(one.get_range_values()).ravel().tolist()] for one in (first, second) if one],
        "simulator": plain(simulator),
        "page": opened(row, user, project),
    }


def ranges_of(simulator: Any) -> list[Any]:
    """Return the parameters of this simulation that the GUI can sweep."""
    collector, keys = RangeParametersCollector(), FormWithRanges
    collector.range_param_forms[keys.MODEL_FRAGMENT_KEY] = get_form_for_model(type(simulator.model))()
    collector.range_param_forms[keys.COUPLING_FRAGMENT_KEY] = get_form_for_coupling(type(simulator.coupling))()
    noise = getattr(simulator.integrator, "noise", None)
    if noise is not None:
        collector.range_param_forms[keys.NOISE_FRAGMENT_KEY] = get_form_for_noise(type(noise))()
    return list(collector.get_all_range_parameters())


def opened(row: Any, user: Any, project: Any) -> str:
    """Open an entry of the history; return the error or nothing."""
    session = RamSession()
    session[KEY_USER], session[KEY_PROJECT] = user, project
    cherrypy.request.method = "GET"
    controller = SimulatorController()
    # Only the session is missing without a web server.
    with patch("cherrypy.session", session, create=True):
        try:
            pages = [controller.load_burst_read_only(str(row.id))]
            steps = (
                "set_connectivity", "set_coupling_params", "set_surface", "set_stimulus", "set_model",
                "set_model_params", "set_integrator", "set_integrator_params", "set_monitors", "setup_pse",
            )  # fmt: skip
            pages += [getattr(controller, step)() for step in steps]
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
    return "" if all("renderer" in page or "<" in str(page) for page in pages) else "no page"


def plain(value: Any) -> Any:
    """Return a view model as JSON values."""
    if hasattr(type(value), "declarative_attrs"):
        names = [name for name in type(value).declarative_attrs if name not in ("gid", "random_stream")]
        found = {name: plain(getattr(value, name, None)) for name in names}
        return {"class": type(value).__name__, **found}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, int | float | str | None) else str(value)


def main() -> None:
    """Judge each bundle, or several joined by a colon, each in its own database."""
    ABCDisplayer.VISUALIZERS_ROOT = TvbProfile.current.web.VISUALIZERS_ROOT
    for files in sys.argv[2:]:
        print("VERDICT " + json.dumps(judge(files)), flush=True)


if __name__ == "__main__":
    main()
