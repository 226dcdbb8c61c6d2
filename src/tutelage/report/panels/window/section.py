"""One window as the networks see it."""

from tutelage.report.context import ReportContext
from tutelage.report.panels.window import figures
from tutelage.report.section import Figure, Section


def section(context: ReportContext) -> Section:
    """Build the section."""
    example, key = context.example, ("window", "One window", "Window")
    if example is None:
        return Section(*key, empty="No window was handed to the report.")
    who = f"subject {example.subject}, " if example.subject else ""
    caption = (
        f"{example.class_name}, {who}{example.split} split. Channels are scaled one by one; diagram "
        f"and images show {example.channel_names[example.channel]}, the strong line."
    )
    return Section(
        *key, figures=(Figure(figures.example(example), "What the networks see", caption),)
    )
