"""Commands that explain specs and TVB classes."""

import click

from tvb_batch.submit.cli.group import main, print_json


@main.command()
@click.argument("name", required=False, metavar="CLASS")
def describe(name: str | None) -> None:
    """Print the parameters of a TVB class with ranges, defaults and TVB's description. Without CLASS, list all classes.

    \b
    Example:
      tvb-batch describe JansenRit
    """
    from tvb_batch.submit.present.class_reference import class_text, list_classes

    click.echo(class_text(name) if name else list_classes())


@main.command()
@click.option("--model", help="A TVB model.  [default: Generic2dOscillator]")
@click.option("--example", metavar="NAME", help="Print an example instead: a spec, a script or the notebook.")
def new(model: str | None, example: str | None) -> None:
    """Print a first spec with all parameters of the model explained, or an example.

    \b
    Example:
      tvb-batch new --model JansenRit > spec.yaml
      tvb-batch new --example sweep > sweep.yaml
    """
    from tvb_batch.submit.present.class_reference import example_text, new_spec

    if model is not None and example is not None:
        raise click.UsageError("--model and --example cannot be given together")
    if example is not None:
        click.echo(example_text(example), nl=False)
    else:
        click.echo(new_spec("Generic2dOscillator" if model is None else model), nl=False)


@main.command()
def schema() -> None:
    """Print the JSON Schema of specs, for completion and checks in an editor.

    \b
    Example:
      tvb-batch schema > spec.schema.json
    """
    from tvb_batch.submit.present.class_reference import json_schema

    print_json(json_schema())
