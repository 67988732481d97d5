"""Execute the notebooks, and keep them with their outputs.

Run from anywhere, after `dvc repro`: ``python notebooks/run.py [NAME.ipynb …]``. What differs from run to run or from
machine to machine is left out: counts, times, and the name of the kernel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent


def execute(path: Path) -> nbformat.NotebookNode:
    """Return a notebook as its cells leave it, executed from the first to the last in the folder that it lies in.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources=where,
        record_timing=False,
        coalesce_streams=True,  # however the kernel cuts what a cell prints
    ).execute()
    return clean(notebook)


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out what is no content: counts, the version of the kernel, what a program wrote to stderr."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.pop("execution_count", None)
                if output.output_type == "execute_result":
                    output.execution_count = None
    return notebook


def main() -> None:
    """Execute the notebooks that are named, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="such as preparation.ipynb")
    for name in parser.parse_args().names or sorted(path.name for path in FOLDER.glob("*.ipynb")):
        notebook = execute(FOLDER / name)
        nbformat.write(notebook, FOLDER / name)
        print(f"{name}: {len(notebook.cells)} cells, {(FOLDER / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
