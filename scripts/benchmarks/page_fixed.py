"""The section on fixed costs of stages and their imports."""

import pandas as pd

from benchmarks.fixed import EPOCHS, STAGES, TORCH, heavy
from benchmarks.ratios import Tables, markdown, spread

ROW_SECONDS = 0.05  # packages below share one row
PURPOSE = {  # of packages that Hourglass itself imports
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
    """Return the section; `picture` is the path of the figure of the imports."""
    costs = tables.costs
    rows = [{"what": f"`{TORCH}`", "seconds": spread(costs[TORCH].to_numpy())}]
    for stage in STAGES:
        times = (costs[stage] / costs[TORCH]).to_numpy()
        rows.append(
            {
                "what": f"`{stage}`",
                "seconds": spread(costs[stage].to_numpy()),
                f"multiples of `{TORCH}`": spread(times),
            }
        )
    return f"""## The fixed cost of a stage

One cell, `digits` x `undercomplete`, {EPOCHS} epochs: the time of a process from start to end, less
the work that it reports (`train`, `evaluate`); all time of the other stages counts as fixed. It
includes the wait for the process that writes to MLflow.

{markdown(rows)}
![Imports of each stage]({picture})

{_imports(tables.imports)}"""


def _imports(imports: pd.DataFrame) -> str:
    """Return the table of packages by stage, and the check of the stages without a trainer."""
    wide = imports.pivot(index="package", columns="stage", values="seconds").fillna(0)[list(STAGES)]
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False).index]
    shown, rest = wide[wide.max(axis=1) >= ROW_SECONDS], wide[wide.max(axis=1) < ROW_SECONDS]
    rows = [
        {"package": str(package), "purpose": _why(imports, str(package)), **_cells(values)}
        for package, values in shown.iterrows()
    ]
    rows.append({"package": f"{len(rest)} others", "purpose": "", **_cells(rest.sum())})
    rows.append({"package": "all", "purpose": "", **_cells(wide.sum())})
    return f"""Seconds of importing a package, without the packages that it imports in turn, by
`python -X importtime`, which slows imports down:

{markdown(rows)}
{_light(heavy(imports))}
"""


def _why(imports: pd.DataFrame, package: str) -> str:
    """Return the purpose of a package, or its importers and stages if Hourglass is not one."""
    rows = imports[imports.package == package]
    direct = rows.importer.isin(["", "Python", "hourglass"])
    reasons = [PURPOSE.get(package, "")] if direct.any() else []
    for importer, each in rows[~direct].groupby("importer"):
        stages = f" (`{'`, `'.join(each.stage)}`)" if len(each) < len(rows) else ""
        reasons.append(f"for {importer}{stages}")
    return "; ".join(filter(None, reasons))


def _cells(values: pd.Series) -> dict[str, str]:
    return {str(stage): f"{value:.2f}" if value else "" for stage, value in values.items()}


def _light(trainers: dict[str, list[str]]) -> str:
    bad = [f"`{stage}` imports {', '.join(names)}" for stage, names in trainers.items() if names]
    if bad:
        return (
            f"**These stages should import neither Lightning nor torchvision: {'; '.join(bad)}.**"
        )
    stages = ", ".join(f"`{stage}`" for stage in trainers)
    return f"Checked in this run: {stages} import neither Lightning nor torchvision."
