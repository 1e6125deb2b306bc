"""The command that looks around."""

from __future__ import annotations

import click

from ...schemas.errors import NightSchoolError
from ...schemas.messages import Check
from ...schemas.messages import Doctor as LookAround
from .desk import Desk, talks_plainly
from .options import examples
from .output import table


@click.command(epilog=examples("nightschool doctor", "nightschool doctor --json"))
@talks_plainly
async def doctor(desk: Desk) -> int:
    """Look at model, files, database, plugins and machine.

    Every line that is not well says what to do. The exit code is 1 if there is one. Plugins of others are not
    loaded for it; what is said of them is what was last seen.
    """
    code = 0
    try:
        await desk.awake()
        checks = await desk.ask(LookAround())
    except NightSchoolError as error:
        checks, code = [Check(name="engine", ok=False, text=str(error))], error.exit_code
    desk.give(checks, table([("ok" if check.ok else "NOT OK", check.name, check.text) for check in checks]))
    return code or int(not all(check.ok for check in checks))
