"""Write docs/metrics.md from the table of metrics in the code.

`--check` writes nothing and exits 1 where it differs.
"""

import argparse
import sys
from pathlib import Path

from iec62746._measures import BUCKETS, MEASURES, VALUES, Measure

PAGE = "docs/metrics.md"
HEAD = """\
# Metrics

Written by `scripts/generate` from `iec62746/_measures.py`: do not edit.

```text
from iec62746.metrics import Metrics

metrics = Metrics()              # or Metrics(prometheus_client.REGISTRY)
metrics.watch(vtn)               # before it is opened; any number of participants are counted together
with metrics.serve(9464):        # http://127.0.0.1:9464/metrics, while the program runs
    vtn.run()
```

On the command line: `iec62746 listen … --metrics-port 9464`. It is at 127.0.0.1 unless `--metrics-host` says otherwise;
whoever reaches it can read it.

A participant that nobody watches pays an `if` for it. No label holds what a peer, a user or a domain file can choose.

| metric | type | labels | what it says |
|---|---|---|---|
"""
LABELS = """
## Values of the labels

| label | values |
|---|---|
"""
TAIL = """
The buckets of both histograms, in seconds: {buckets}.

## What to look at

| question | query |
|---|---|
| is everybody connected? | `iec62746_connected < iec62746_participants` |
| how do requests end? | `sum by (result) (rate(iec62746_messages_total{{pattern="request",direction="out"}}[5m]))` |
| how many end later than real time, 30 s? | `{count} - ignoring(le) {bucket}` |
| what is refused or dropped, and why? | `sum by (what) (rate(iec62746_notices_total[5m])) > 0` |
| how many are gone? | `iec62746_parties{{state="gone"}}` |
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help=f"fail where {PAGE} would change")
    is_check = parser.parse_args(arguments).check
    path = Path(__file__).parents[1] / PAGE
    if path.exists() and path.read_text("utf-8") == page():
        return 0
    if is_check:
        print(f"{PAGE} is stale: run scripts/generate", file=sys.stderr)
        return 1
    path.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")
    return 0


def page() -> str:
    rows = "".join(map(row, sorted(MEASURES, key=lambda measure: measure.name)))
    values = "".join(f"| `{label}` | {', '.join(map(str, values))} |\n" for label, values in VALUES.items())
    return HEAD + rows + LABELS + values + _tail()


def _tail() -> str:
    return TAIL.format(
        buckets=", ".join(f"{bucket:g}" for bucket in BUCKETS),
        count="rate(iec62746_request_seconds_count[5m])",
        bucket='rate(iec62746_request_seconds_bucket{le="30.0"}[5m])',
    )


def row(measure: Measure) -> str:
    labels = ", ".join(f"`{label}`" for label in measure.labels)
    return f"| `{measure.name}` | {measure.type} | {labels} | {measure.help} |\n"


if __name__ == "__main__":
    sys.exit(main())
