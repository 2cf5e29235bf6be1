"""Prints the ratios of a file that `rsnet-jax benchmark --json` wrote, as a Markdown table.

python benchmarks/report.py out.json
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsnet_jax.benchmark.report import RULERS, digits


def markdown(report: Mapping[str, Any]) -> str:
    """A table of ratios for documents; absolute times mean little on other machines."""
    names = []
    for row in report["rows"]:
        names += [n for n in row["sides"] if n not in names and n not in RULERS]
    rivals = [name for name in names if name != "ours"]
    lines = [
        f"| time of a rival / ours | {' | '.join(rivals)} | of a matrix product | of the layer's |",
        "|---" * (len(rivals) + 3) + "|",
    ]
    for row in report["rows"]:
        cells = [row["title"]]
        for name in rivals:
            ratio = row["sides"].get(name, {}).get("ratio_to_ours")
            cells.append("" if ratio is None else (
                f"**{digits(ratio['median'])}** ({digits(ratio['quartile_1'])} to "
                f"{digits(ratio['quartile_3'])})"
            ))  # fmt: skip
        for ruler in ("matrix product", "layer's product"):
            share = row["rates"].get(ruler, {}).get("share")
            cells.append(f"{share['median']:.0%}" if share else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/report.py REPORT.json")
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
