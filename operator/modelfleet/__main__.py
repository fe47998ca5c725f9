"""`python -m modelfleet`, and the console scripts."""

import click

from modelfleet import __version__


class Commands(click.Group):
    """Imports a command's module only when it is used: the operator needs not the others' start."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands."""
        return ["cost", "crds", "gateway", "operator", "plan", "simulate"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one."""
        if cmd_name == "operator":
            from modelfleet.main import operator  # noqa: PLC0415

            return operator
        if cmd_name == "gateway":
            from modelfleet.main_gateway import gateway  # noqa: PLC0415

            return gateway
        if cmd_name in ("cost", "crds", "plan", "simulate"):
            from modelfleet import cli  # noqa: PLC0415

            return cli.COMMANDS[cmd_name]
        return None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="modelfleet")
def main() -> None:
    """Run fleets of self-hosted model servers on Kubernetes."""


if __name__ == "__main__":
    main(prog_name="modelfleet")
