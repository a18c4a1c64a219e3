"""The commands and their options. What they do is imported when they run, so that `--help` is quick."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from redstart import __version__
from redstart.cli.errors import CliError

app = typer.Typer(
    name="redstart",
    help="Train, serve and roll out machine-learning models on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Output(StrEnum):
    """How a result is printed."""

    text = "text"
    json = "json"


Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; by default the kubeconfig's.", show_default=False),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", help="Context of the kubeconfig; by default its current one.", show_default=False
    ),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="How the result is printed.")]


@app.command()
def status(
    name: Annotated[
        str, typer.Argument(help="NAME of an InferenceService, or KIND/NAME, such as tjob/machine-failure.")
    ],
    namespace: Namespace = None,
    context: Context = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it as it changes, until Ctrl-C.")
    ] = False,
    output: Format = Output.text,
) -> None:
    """Show one object: what serves, what comes in, on what evidence, and why."""
    from redstart.cli import status as command  # noqa: PLC0415

    command.show(name, namespace=namespace, context=context, watch=watch, as_json=output is Output.json)


class Decimal(StrEnum):
    """What stands before the fraction of a number."""

    point = "."
    comma = ","


@app.command()
def predict(
    name: Annotated[
        str | None, typer.Argument(help="NAME of an InferenceService.", show_default=False)
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "-r", help="""A row as JSON: '{"torque": 40}'. May be repeated."""),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Rows: .json, .jsonl, .csv or .csv.gz; - reads standard input."),
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(
            "--separator", help="What separates the cells of a CSV file. By default it is recognised."
        ),
    ] = None,
    decimal: Annotated[
        Decimal | None,
        typer.Option("--decimal", help="Decimal sign of a CSV file. By default it is recognised."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding", help="Encoding of a CSV file. By default UTF-8, or what its first bytes say."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Ask this server instead of going through the cluster.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for each answer.")
    ] = 30.0,
    output: Format = Output.text,
) -> None:
    """Ask a model. Without --row and --file, rows are read from standard input."""
    from redstart.artifacts.dialect import Format as FileFormat  # noqa: PLC0415
    from redstart.cli import predict as command  # noqa: PLC0415

    if separator == "\\t":
        separator = "\t"
    if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
        raise typer.BadParameter("give one sign", param_hint="--separator")
    command.predict(
        name,
        rows=row or [],
        file=file,
        format=FileFormat(
            separator, ("," if decimal is Decimal.comma else ".") if decimal else None, encoding
        ),
        url=url,
        namespace=namespace,
        context=context,
        timeout=timeout,
        as_json=output is Output.json,
    )


@app.command("sample-data")
def sample_data(
    rows: Annotated[int, typer.Option("--rows", help="Number of rows.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same rows.")] = 7,
    month: Annotated[str, typer.Option("--month", help="The month that the rows are of.")] = "2026-01",
    drift: Annotated[
        float, typer.Option("--drift", help="0 for none, to 1: hotter halls, older tools.")
    ] = 0.0,
    missing: Annotated[
        float, typer.Option("--missing", help="Share of sensor values that are missing.")
    ] = 0.0,
    duplicates: Annotated[float, typer.Option("--duplicates", help="Share of rows that are repeated.")] = 0.0,
    bias: Annotated[
        float | None,
        typer.Option(
            "--bias",
            help="Add operator_age_group; this share of the oldest group's failures is recorded as none.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="A .csv or .parquet file, - for CSV, or json; both to standard output."
        ),
    ] = "-",
) -> None:
    """Make sensor rows for predictive maintenance, after the rules of the AI4I 2020 data set."""
    from redstart.cli import sample_output as command  # noqa: PLC0415

    command.make(
        output,
        rows=rows,
        seed=seed,
        month=month,
        drift=drift,
        missing=missing,
        duplicates=duplicates,
        bias=bias,
    )


@app.command()
def version(output: Format = Output.text) -> None:
    """Print the version of this command line."""
    typer.echo(f'{{"version": "{__version__}"}}' if output is Output.json else f"redstart {__version__}")


def run(arguments: Sequence[str]) -> int:
    """Runs the command line; returns its exit code: 0, 1 for an error, 2 for wrong use, 130 for Ctrl-C."""
    program = Path(arguments[0]).name
    shown = "kubectl redstart" if program.startswith("kubectl-") else "redstart"
    try:
        app(args=list(arguments[1:]), prog_name=shown)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except CliError as error:
        from rich.console import Console  # noqa: PLC0415

        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
        console.print("Error:", style="bold red", end=" ")
        console.print(str(error))
        if error.mend:
            console.print(error.mend)
        return 1
    except BrokenPipeError:
        # The reader of our output has left, as `head` does; nothing may be written any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return 0
