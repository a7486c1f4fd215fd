"""What a spec may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tvb_batch.submit.cli.group import main, print_json

if TYPE_CHECKING:
    pass


@main.command()
@click.argument("name", required=False, metavar="CLASS")
def describe(name: str | None) -> None:
    """Print the parameters of a TVB class: ranges, defaults, and TVB's own words. Without CLASS, list all classes.

    \b
    Example:
      tvb-batch describe JansenRit
    """
    from tvb_batch.submit.present.class_reference import describe_class, list_classes

    click.echo(describe_class(name) if name else list_classes())


@main.command()
@click.option("--model", help="A model of TVB.  [default: Generic2dOscillator]")
@click.option("--example", metavar="NAME", help="An example of this program: a spec, a script or the notebook.")
def new(model: str | None, example: str | None) -> None:
    """Print a spec to begin with, all of the model's parameters explained, or an example.

    \b
    Example:
      tvb-batch new --model JansenRit > spec.yaml
      tvb-batch new --example sweep > sweep.yaml
    """
    from tvb_batch.submit.present.class_reference import example_text, new_spec

    if model is not None and example is not None:
        raise click.UsageError("--model and --example are two ways to begin; give one of them")
    if example is not None:
        click.echo(example_text(example), nl=False)
    else:
        click.echo(new_spec("Generic2dOscillator" if model is None else model), nl=False)


@main.command()
def schema() -> None:
    """Print the JSON Schema of specs, with which an editor completes and checks them.

    \b
    Example:
      tvb-batch schema > spec.schema.json
    """
    from tvb_batch.submit.present.class_reference import json_schema

    print_json(json_schema())
