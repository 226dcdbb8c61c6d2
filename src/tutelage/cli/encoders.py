"""``tutelage encoders``: published checkpoints, converted once into what a recipe names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli.options import DataHome, Overrides
from tutelage.errors import UserError, unknown

if TYPE_CHECKING:
    from tutelage.recipe.config import Recipe

app = typer.Typer(
    help="Published dual encoders and prompts, made ready for recipes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def encoders() -> None:
    """Take the command's own name: a group of one command would lose it."""


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            help="OpenAI's .pt, a state dict, or a checkpoint of PromptSRC or PromptKD (model.pth.tar-50)."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write, safetensors and a description.")],
    overrides: Overrides = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="Of a state dict: open_clip's name, such as ViT-B-16 or ViT-B-16-quickgelu."
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Of prompts: the recipe that will use them.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="Of prompts: the stage that they take the place of.")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Of PromptKD's student: the converted prompts of its teacher."),
    ] = None,
    data: DataHome = None,
) -> None:
    """Convert a published checkpoint without running any of it: weights of an encoder, or prompts."""
    from tutelage.recipe.published import has_prompts
    from tutelage.vlm.convert import convert_encoder
    from tutelage.vlm.weights import read_weights

    if recipe is None and has_prompts(read_weights(file)):
        raise UserError(
            f"{file}: holds prompts, which say nothing without their encoder and classes (allowed: --recipe and "
            "--stage, whose they are)"
        )
    if recipe is None:
        made = convert_encoder(file, out, model)
        kind = "QuickGELU" if made.quick_gelu else "exact GELU"
        size = "x".join(map(str, made.size))
        typer.echo(f"{out}: reads images of {size} pixels, {made.embed_dim} numbers, {kind}")
        typer.echo(f"in a recipe: {{type: OpenClip, model: {out}}}")
        return
    _prompts(file, out, recipe, overrides or [], stage, teacher, data)
    typer.echo(f"{out}: prompts; in a recipe: stages: {{{stage}: {{run: {out}}}}}")


def _prompts(
    file: Path,
    out: Path,
    recipe: Path,
    overrides: list[str],
    stage: str | None,
    teacher: Path | None,
    data: Path | None,
) -> None:
    from tutelage.cli.progress import Screen
    from tutelage.recipe.config import load
    from tutelage.recipe.data_spec import load_data
    from tutelage.recipe.published import import_prompts

    loaded = load(recipe, overrides)
    name = _stage(loaded, stage)
    with Screen() as screen:
        dataset = load_data(loaded.data, data, screen.progress)
    import_prompts(
        file, out, loaded.network_description(name), dataset.class_names,
        teacher=teacher, size=dataset.inputs.shape[-1],
    )  # fmt: skip


def _stage(recipe: "Recipe", stage: str | None) -> str:
    if stage is None:
        raise UserError(f"--stage: is missing; allowed: {', '.join(recipe.stages)}")
    if stage not in recipe.stages:
        raise unknown("--stage", "stage", stage, recipe.stages)
    return stage
