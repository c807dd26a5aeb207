"""Tells what was measured: a table in Markdown, a plot in SVG, all figures as JSON, and the short table of the README."""

import json
from html import escape
from pathlib import Path

import work

SHOWN = {
    "nginx plain": "nginx, plain",
    "nginx full": "nginx, with the checks",
    "haproxy plain": "HAProxy, plain",
    "haproxy full": "HAProxy, with the checks",
    "signgate core": "signgate, record off",
    "signgate shipped": "signgate, as shipped",
    "passer plain": "bytes passed on, in C",
}
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write(found: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "table.md").write_text(table(found))
    (folder / "plot.svg").write_text(plot(found))


def table(found: dict) -> str:
    about = found["about"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    text = [
        "# What a request costs\n",
        f"Measured {about['date']} on: {about['machine']}; {versions}. {about['rounds']} interleaved rounds of "
        f"{about['requests']:,} requests to each.\n",
        "CPU is the proxy's own time per request, user and system, as a ratio to the first row's in the same round: the "
        "median, and the range that holds half of the rounds. The microseconds are this machine's and this hour's.\n",
    ]
    for comparison in found["comparisons"].values():
        text.append(f"## {comparison['title'][0].upper()}{comparison['title'][1:]}\n")
        text.append("| proxy | CPU, ratio | half of the rounds | µs | user instructions | allocations | I/O calls |")
        text.append("|---|---|---|---|---|---|---|")
        text += [line(name, row) for name, row in comparison["rows"].items()]
        text.append("")
    if found["memory"]:
        text.append(f"## Memory per key and address, over {about['memory_keys']:,} of them\n")
        text.append("| proxy | bytes |\n|---|---|")
        text += [f"| {SHOWN[name]} | {each:.0f} |" for name, each in found["memory"].items()]
        text.append("")
    return "\n".join(text)


def line(name: str, row: dict) -> str:
    half = f"{row['low']:.2f} to {row['high']:.2f}" if "low" in row else ""
    cells = (
        figure(row, "ratio", ".2f"), half, figure(row, "microseconds", ".1f"),
        figure(row, "instructions", ",.0f"), figure(row, "allocations", ".1f"), figure(row, "io_calls", ".2f"),
    )
    return f"| {SHOWN.get(name, name)} | " + " | ".join(cells) + " |"


def figure(row: dict, name: str, form: str) -> str:
    return format(row[name], form) if name in row else ""


def into_readme(found: dict, readme: Path) -> None:
    """Between the two marks of the README: one line a proxy, with what matters most."""
    text = readme.read_text()
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    readme.write_text(before + BEGIN + "\n" + short(found) + END + after)


def short(found: dict) -> str:
    about, parts = found["about"], found["comparisons"]
    small = parts.get("small", {}).get("rows", {})
    lines = [
        "![CPU time per request beside nginx and HAProxy](benches/data_path/results/plot.svg)\n",
        "| CPU per request, nginx = 1 | 2 KiB | 43 KB | refusal | user instructions | allocations | I/O calls |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in SHOWN:
        row = small.get(name, {})
        cells = [figure(parts.get(part, {}).get("rows", {}).get(name, {}), "ratio", ".2f")
                 for part in ("small", "large", "refusals")]
        cells += [figure(row, "instructions", ",.0f"), figure(row, "allocations", ".1f"), figure(row, "io_calls", ".1f")]
        lines.append(f"| {SHOWN[name]} | " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines.append(f"\n{about['date']}, {about['machine']}; {versions}; {about['rounds']} rounds.\n")
    return "\n".join(lines)


# The plot: one group of bars a comparison, one bar a proxy, with the middle half of the rounds as a line.
WIDTH, LABELS, BAR, GAP, TITLE = 760, 210, 18, 6, 34
SCALE_WIDTH = WIDTH - LABELS - 130
COLOURS = {"nginx": "#8a94a3", "haproxy": "#b9c0ca", "signgate": "#1f6feb", "passer": "#dde2e8"}


def plot(found: dict) -> str:
    groups = [
        (
            comparison["title"],
            comparison["first"],
            [(name, row) for name, row in comparison["rows"].items() if "ratio" in row],
        )
        for comparison in found["comparisons"].values()
    ]
    groups = [group for group in groups if group[2]]
    most = max((row["high"] for _, _, rows in groups for _, row in rows), default=1.0)
    across = SCALE_WIDTH / max(most, 1.0)
    parts, y = [], 46
    for title, first, rows in groups:
        parts.append(words(12, y + 16, f"{title}: CPU per request, as a ratio to {SHOWN.get(first, first)}", weight="600"))
        y += TITLE - 8
        for name, row in rows:
            parts.append(bar(y, name, row, across))
            y += BAR + GAP
        top = y - len(rows) * (BAR + GAP) - 3
        one = LABELS + across
        parts.append(f'<line x1="{one:.1f}" y1="{top}" x2="{one:.1f}" y2="{y - 3}" stroke="#444" stroke-dasharray="3 3"/>')
        y += 14
    about = found["about"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    notes = (
        f"{versions}; {about['rounds']} rounds: the median, and the range that holds half of them",
        f"{about['date']}, {about['machine']}",
    )
    height = y + 38
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">\n'
        f"<title>CPU time per request of signgate, nginx and HAProxy</title>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        + words(12, 26, "What a request costs: shorter is better", size=16, weight="600")
        + "\n" + "\n".join(parts) + "\n" + words(12, height - 26, notes[0], size=11, fill="#555")
        + "\n" + words(12, height - 10, notes[1], size=11, fill="#555") + "\n</svg>\n"
    )


def bar(y: int, name: str, row: dict, across: float) -> str:
    width, middle = row["ratio"] * across, y + BAR / 2
    low, high = LABELS + row["low"] * across, LABELS + row["high"] * across
    colour = COLOURS.get(name.split()[0], COLOURS["signgate"])
    return (
        words(LABELS - 8, y + 14, SHOWN.get(name, name), anchor="end")
        + f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
        + f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#222" stroke-width="2"/>'
        + words(max(LABELS + width, high) + 8, y + 14, f"{row['ratio']:.2f}")
    )


def words(
    x: float, y: float, text: str, size: int = 13, weight: str = "400", anchor: str = "start", fill: str = "#111"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{fill}">{escape(text)}</text>'
    )


def where(whole: bool) -> Path:
    """Quick or partial figures prove little: they do not overwrite the good ones."""
    return work.HERE / "results" if whole else work.BUILT / "results"
