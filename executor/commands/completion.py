"""`blockcascade completion`: what a shell reads to complete commands, options, models, devices and patterns."""

from __future__ import annotations

import click

from executor.command import Command
from executor.commands.shared import tells_errors

SHELLS = ("bash", "zsh", "fish")
# Bash splits words at colons, which patterns and placements have.
COLONS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n"


@click.command(
    cls=Command,
    short_help="Write what bash, zsh or fish needs to complete this command.",
    examples=(
        'eval "$(blockcascade completion bash)"    # in ~/.bashrc',
        'eval "$(blockcascade completion zsh)"     # in ~/.zshrc, after compinit',
        "blockcascade completion fish > ~/.config/fish/completions/blockcascade.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
@tells_errors
def completion(context: click.Context, shell: str) -> None:
    """Write what a shell needs to complete commands, options, models, devices, links, patterns and files.

    Bash must be 4.4 or newer.
    """
    from click.shell_completion import get_completion_class

    root = context.find_root()
    made = get_completion_class(shell)
    assert made is not None, "click knows these shells"
    script = made(root.command, {}, "blockcascade", "_BLOCKCASCADE_COMPLETE")
    # Without click's look at the version of the bash that is installed: the script may be for another machine.
    text = script.source_template % script.source_vars()
    click.echo((COLONS if shell == "bash" else "") + text.strip())
