"""Tables on standard output, and the same as JSON."""

import statistics


def median(slices, key):
    values = [slice[key] for slice in slices if key in slice]
    return statistics.median(values) if values else None


def number(value, digits=1):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def spread(values):
    """The median, with the least and the greatest behind it."""
    if not values:
        return ""
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def table(title, head, rows, disk):
    """Prints a table in Markdown, with the disk's word under its title."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    print(f"\n### {title}\n\ndisk: {disk}\n\n{line(cells[0])}")
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(map(line, cells[1:])), flush=True)


def ratios(ours, theirs, key="per_second"):
    """Slice by slice, since those of one round were measured within seconds of each other."""
    return [our[key] / their[key] for our, their in zip(ours, theirs)]


def verdict(what, values, at_least=None, at_most=None):
    """A row of the table of targets."""
    middle = statistics.median(values)
    if at_least is None and at_most is None:
        return {"what": what, "measured": middle, "all": values, "target": "reported", "met": None}
    met = middle >= at_least if at_least is not None else middle <= at_most
    target = f"≥ {at_least}" if at_least is not None else f"≤ {at_most}"
    return {"what": what, "measured": middle, "all": values, "target": target, "met": met}


def targets(title, verdicts, disk):
    word = {True: "met", False: "missed", None: ""}
    rows = []
    for it in verdicts:
        spread_of = f"{min(it['all']):.2f}–{max(it['all']):.2f}"
        rows.append([it["what"], it["target"], f"{it['measured']:.2f}", spread_of, word[it["met"]]])
    table(title, ["target", "wanted", "measured", "spread", ""], rows, disk)
