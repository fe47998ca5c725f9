"""What people run: reads, plans offline, prints."""

from collections.abc import Mapping

import click

from modelfleet.cli.cost import cost
from modelfleet.cli.crds import crds
from modelfleet.cli.plan import plan
from modelfleet.cli.simulate import simulate

COMMANDS: Mapping[str, click.Command] = {
    "plan": plan,
    "crds": crds,
    "cost": cost,
    "simulate": simulate,
}
