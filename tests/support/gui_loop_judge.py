"""The real TVB GUI code as judge of what a person does after an import: export the project again, run a simulation again.

A program of its own, as `gui_judge.py`:

    python gui_loop_judge.py HOME export|run:FILE[:FILE]... | required

`export` imports the bundles into one project, exports it, imports that into an empty database, and once more from there.
`run` imports a bundle and launches each of its simulations again, as a copy in the GUI's Simulator page does. `required`
lists what the GUI requires in each view model.
"""

import importlib
import inspect
import json
import pkgutil
import shutil
import sys
import zipfile
from typing import Any
from uuid import UUID, uuid4

import h5py
from gui_bundle_judge import burst, import_project, plain, rows
from gui_judge import TVBImporter, TVBImporterModel, empty_project, home, launch, stored_datatypes
from tvb.adapters.analyzers.metrics_group_timeseries import TimeseriesMetricsAdapterModel
from tvb.adapters.exporters.export_manager import ExportManager
from tvb.adapters.simulator.simulator_adapter import SimulatorAdapter
from tvb.core.entities.file.simulator import view_model
from tvb.core.entities.generic_attributes import GenericAttributes
from tvb.core.entities.model.model_burst import BurstConfiguration
from tvb.core.entities.model.model_datatype import DataTypeGroup
from tvb.core.entities.model.model_operation import Operation
from tvb.core.entities.storage import dao
from tvb.core.neocom import h5
from tvb.core.neotraits.h5 import ViewModelH5
from tvb.simulator import models
from tvb.simulator.coupling import Coupling
from tvb.simulator.models.base import Model
from tvb.simulator.noise import Noise
from tvb.storage.storage_interface import StorageInterface


def judge(wish: str) -> Any:
    kind, *files = wish.split(":")
    if kind == "required":
        return required()
    user, project = empty_project()
    failures = []
    for file in files:
        if "Project.xml" in zipfile.ZipFile(file).namelist():
            failure, project = import_project(file, user)
        else:
            failure = launch(TVBImporter, TVBImporterModel(data_file=file), user, project)
        failures.append(failure)
    failure = " ".join(filter(None, failures))
    if kind == "run":
        return {"error": failure, "runs": [] if failure else runs(user, project)}
    rounds = [{"error": failure, **content(user, project)}]
    for number in (1, 2):
        if any(one["error"] for one in rounds):
            break
        exported = home / f"exported-{number}-{uuid4().hex}.zip"
        shutil.copyfile(ExportManager().export_project(project), exported)
        # The project comes to an empty installation; its folder is not in the database.
        shutil.rmtree(StorageInterface().get_project_folder(project.name))
        user, _ = empty_project()
        failure, project = import_project(str(exported), user)
        rounds.append({"error": failure, **(content(user, project) if project else {})})
    return rounds


def content(user: Any, project: Any) -> dict[str, Any]:
    """What the project holds: data by gid, groups with their results, and entries of the history as they open."""
    return {
        # A group of results gets a new gid with each import.
        "stored": sorted(
            [type(one).__name__, "" if isinstance(one, DataTypeGroup) else one.gid] for one in stored_datatypes()
        ),
        "groups": sorted(
            dao.get_generic_entity(DataTypeGroup, number)[0].count_results for number in rows(DataTypeGroup)
        ),
        "bursts": [burst(number, user, project) for number in rows(BurstConfiguration)],
        "failed": [number for number in rows(Operation) if dao.get_operation_by_id(number).status != "5-FINISHED"],
    }


def required() -> dict[str, str]:
    """The names of the required attributes of each class that a bundle can hold a view model of."""
    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"{models.__name__}.{module.name}")
    classes = [view_model.SimulatorAdapterModel, TimeseriesMetricsAdapterModel, TVBImporterModel]
    classes += [cls for name, cls in vars(view_model).items() if name.endswith("ViewModel")]
    for base in (Model, Coupling, Noise):
        classes += subclasses(base)
    found = {}
    for cls in classes:
        path = f"{cls.__module__}.{cls.__name__}"
        if not inspect.isabstract(cls) and path.startswith(("tvb.core.entities.", "tvb.adapters.", "tvb.simulator.")):
            traits = [
                accessor.trait_attribute for accessor in ViewModelH5(str(home / "none.h5"), cls()).iter_accessors()
            ]
            names = {one.field_name for one in traits if getattr(one, "required", False)} - {None, "gid"}
            found[path] = " ".join(sorted(names))
    return found


def subclasses(base: type) -> list[type]:
    return [one for cls in base.__subclasses__() for one in (cls, *subclasses(cls))]


def runs(user: Any, project: Any) -> list[dict[str, Any]]:
    """Launch each simulation of the history again."""
    found = []
    for number in rows(BurstConfiguration):
        row = dao.get_burst_by_id(number)
        folder = StorageInterface().get_project_folder(project.name, str(row.fk_simulation))
        simulator = h5.load_view_model(UUID(row.simulator_gid), folder)
        assert isinstance(simulator, view_model.SimulatorAdapterModel)
        # As `SimulatorController` makes a copy: the same model under a new gid.
        simulator.generic_attributes = GenericAttributes()
        simulator.gid = uuid4()
        before = {datatype.gid for datatype in stored_datatypes()}
        failure = launch(SimulatorAdapter, simulator, user, project)
        series = []
        for datatype in stored_datatypes():
            if datatype.gid not in before and type(datatype).__name__.startswith("TimeSeries"):
                with h5py.File(h5.path_for_stored_index(datatype)) as file:
                    path = home / f"{datatype.gid}.h5"
                    with h5py.File(path, "w") as copy:
                        copy["time"], copy["data"] = file["time"][()], file["data"][()]
                series.append({"class": type(datatype).__name__, "title": datatype.title, "path": str(path)})
        found.append({"name": row.name, "error": failure, "series": series, "simulator": plain(simulator)})
    return found


def main() -> None:
    """Judge each wish in a database of its own."""
    for wish in sys.argv[2:]:
        print("VERDICT " + json.dumps(judge(wish)), flush=True)


if __name__ == "__main__":
    main()
