"""The flags that say where a model's weights are and how ranks run it, for `run` and `profile`."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from executor.command import section
from executor.flags import Command

if TYPE_CHECKING:
    from executor.options import RunOptions
    from models.source import ModelSource
    from models.spec import ModelSpec

# Those of models.source and executor.options, which --help need not import.
DTYPES = ("float32", "bfloat16", "float16")
MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
PLACE = click.Path(path_type=Path)  # a file or a folder, looked for when it is needed

OPTIONS = (
    click.option(
        "--checkpoint", type=PLACE, help="Weight file or diffusers folder.  [default: the toy's, which ships]"
    ),
    click.option(
        "--vae", type=PLACE, help="AutoencoderKLWan folder or tiny decoder's file.  [default: the checkpoint's]"
    ),
    click.option(
        "--text-encoder", type=PLACE, help="Folder with text_encoder/, tokenizer/.  [default: the checkpoint]"
    ),
    click.option("--lora", type=PLACE, help="LoRA file to merge into the weights."),
    click.option("--lora-alpha", type=float, metavar="ALPHA", help="Its alpha, where its file does not tell."),
    click.option("--no-ema", is_flag=True, help="Of two generators in a file, take the one that is no average."),
    click.option("--dtype", type=click.Choice(DTYPES), help="Type to compute in.  [default: the model's]"),
    click.option("--compile/--no-compile", "compiled", default=False, help="torch.compile each layer.  [default: off]"),
    click.option(
        "--compile-mode",
        type=click.Choice(MODES),
        default="default",
        metavar="MODE",
        help=f"torch.compile's: {', '.join(MODES)}.  [default: default]",
    ),
    click.option(
        "--attention", default="native", metavar="NAME", help="An attention backend of diffusers.  [default: native]"
    ),
    click.option("--fused/--no-fused", default=None, help="Batches as one product.  [default: on CUDA only]"),
)


class ModelFlags(NamedTuple):
    """What the flags say; reads nothing by itself."""

    checkpoint: Path | None
    vae: Path | None
    text_encoder: Path | None
    lora: Path | None
    lora_alpha: float | None
    no_ema: bool
    dtype: str | None
    compiled: bool
    compile_mode: str
    attention: str
    fused: bool | None

    def source(self, spec: ModelSpec, *, decodes: bool = True) -> ModelSource:
        """Where the model's parts are, found to be there. Raises CheckpointError naming the flag that is missing."""
        from models.source import ModelSource, Needs

        found = ModelSource(
            spec,
            self.checkpoint,
            self.vae,
            self.text_encoder,
            self.lora,
            self.lora_alpha,
            ema=not self.no_ema,
            dtype=self.dtype,
        )
        found.check(Needs(codec=decodes))
        return found

    def options(self) -> RunOptions:
        """How ranks run it, found to be possible here. Raises WorldError."""
        from executor.options import RunOptions

        given = {"compile": self.compiled, "compile_mode": self.compile_mode, "attention": self.attention}
        options = RunOptions.from_data({**given, "fused": self.fused}, "command line")
        options.check()
        return options


def model_options(command: Command) -> Command:
    """Adds the flags; the command gets what they say as one argument, `model_flags`."""

    @wraps(command)
    def wrapped(*args: Any, **given: Any) -> None:
        flags = ModelFlags(**{name: given.pop(name) for name in ModelFlags._fields})
        command(*args, model_flags=flags, **given)

    return section("Model", *OPTIONS)(wrapped)
