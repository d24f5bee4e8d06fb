"""The part of the page that says what a stage costs beside its work, and why."""

import pandas as pd

from benchmarks.fixed import EPOCHS, STAGES, TORCH, heavy
from benchmarks.markdown import markdown
from benchmarks.ratios import Tables, spread

LEAST = 0.05  # seconds of a package that has a line of its own
PURPOSE = {  # what Hourglass itself imports packages for
    "Python": "the standard library",
    "hourglass": "the stages themselves",
    "numpy": "arrays",
    "torch": "networks, and scores by them",
    "pandas": "tables",
    "pyarrow": "Parquet files, text in tables",
    "scipy": "statistics of scores",
    "sklearn": "metrics, baselines, bundled data",
    "matplotlib": "figures",
    "pytorch_lightning": "the Trainer",
    "jsonargparse": "settings, the command line",
    "yaml": "settings",
}


def section(tables: Tables, picture: str) -> str:
    """Return the section of fixed costs; `picture` is the path of that of the imports."""
    costs = tables.costs
    rows = [{"what": f"`{TORCH}`", "seconds": spread(costs[TORCH].to_numpy())}]
    for stage in STAGES:
        times = (costs[stage] / costs[TORCH]).to_numpy()
        rows.append(
            {
                "what": f"`{stage}`",
                "seconds": spread(costs[stage].to_numpy()),
                f"times `{TORCH}`": spread(times),
            }
        )
    return f"""## The fixed cost of a stage

One cell, `digits` x `undercomplete`, {EPOCHS} epochs: a process from its start to its end, less the
work that it counts itself (`train`, `evaluate`); of the others all time is taken as fixed. MLflow's
process runs beside it, and is waited for.

{markdown(rows)}
![Imports of each stage]({picture})

{_imports(tables.imports)}"""


def _imports(imports: pd.DataFrame) -> str:
    """Return the table of packages by stage, and whether the light stages stay light."""
    wide = imports.pivot(index="package", columns="stage", values="seconds").fillna(0)[list(STAGES)]
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False).index]
    shown, rest = wide[wide.max(axis=1) >= LEAST], wide[wide.max(axis=1) < LEAST]
    rows = [
        {"package": str(package), "why": _why(imports, str(package)), **_cells(values)}
        for package, values in shown.iterrows()
    ]
    rows.append({"package": f"{len(rest)} others", "why": "", **_cells(rest.sum())})
    rows.append({"package": "all", "why": "", **_cells(wide.sum())})
    return f"""Seconds that importing a package itself takes, without what it imports in turn, by
`python -X importtime`, under which imports are slower than they are:

{markdown(rows)}
{_light(heavy(imports))}
"""


def _why(imports: pd.DataFrame, package: str) -> str:
    """Return what a package is for, or who imports it in which stages where Hourglass does not."""
    rows = imports[imports.package == package]
    own = rows.importer.isin(["", "Python", "hourglass"])
    found = [PURPOSE.get(package, "")] if own.any() else []
    for importer, each in rows[~own].groupby("importer"):
        where = f" (`{'`, `'.join(each.stage)}`)" if len(each) < len(rows) else ""
        found.append(f"for {importer}{where}")
    return "; ".join(filter(None, found))


def _cells(values: pd.Series) -> dict[str, str]:
    return {str(stage): f"{value:.2f}" if value else "" for stage, value in values.items()}


def _light(found: dict[str, list[str]]) -> str:
    bad = [f"`{stage}` imports {', '.join(names)}" for stage, names in found.items() if names]
    if bad:
        return f"**Neither Lightning nor torchvision belongs there, but {'; '.join(bad)}.**"
    stages = ", ".join(f"`{stage}`" for stage in found)
    return f"Checked in this run: {stages} import neither Lightning nor torchvision."
