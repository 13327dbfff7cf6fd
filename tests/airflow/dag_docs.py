"""``docs/dags.md`` as the DAGs' own documentation makes it. ``TANDEM_REGENERATE=1 pytest tests/airflow`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import DAG

PAGE = Path(__file__).parents[2] / "docs" / "dags.md"
_HEAD = """# DAGs

<!-- Made from the docstrings in dags/ by tests/airflow/test_dags.py: edit those. -->
"""


def page(dags: list[DAG]) -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(dag) for dag in sorted(dags, key=lambda dag: dag.dag_id))])


def _section(dag: DAG) -> str:
    title, _, text = (dag.doc_md or "").strip().partition("\n")
    params = [f"* `{name}`: {dag.params.get_param(name).description}" for name in dag.params]
    form = ["", "The form asks for:", "", *params] if params else []
    tasks = [f"| `{task.task_id}` | {' '.join((task.doc_md or '').split())} |" for task in dag.topological_sort()]
    heading = f"## {title.removeprefix('###').strip()}: `{dag.dag_id}`"
    return "\n".join([heading, "", text.strip(), *form, "", "| task | does |", "| --- | --- |", *tasks, ""])
