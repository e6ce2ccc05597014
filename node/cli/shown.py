"""What every command shares: where it prints, how it fails, where its settings are.

Whoever asks for help or mistypes a command does not wait: what is slow to import (DICOM, the
database, the rules) is imported where a command begins its work, never at the head of a file here.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console

from node.errors import ConfigError, NodeError
from radnet.errors import RadnetError

if TYPE_CHECKING:
    from node.settings import Settings

FAILED: Final = 1
WRONG: Final = 2

# A table piped into a file or a log has no terminal to fit: give it room.
console = Console(width=None if sys.stdout.isatty() else 160, emoji=False)
errors = Console(stderr=True, emoji=False)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="RADNODE_CONFIG", help="The settings (TOML).")
]
log_level: Final = ContextVar("log_level", default="info")
DEFAULT_CONFIG: Final = Path("deploy/node.toml")


def fail(message: str, code: int) -> NoReturn:
    """Say why, and end with `code`."""
    errors.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@contextmanager
def reported_errors() -> Iterator[None]:
    """Set up logging, and turn what we raise on purpose into a message and an exit code."""
    _set_up_logging(log_level.get())
    try:
        yield
    except ConfigError as error:
        fail(str(error), WRONG)
    except (NodeError, RadnetError) as error:
        fail(str(error), FAILED)


def _set_up_logging(level: str) -> None:
    """Log JSON lines to standard error; nothing of a patient is in them."""
    import structlog

    # pydicom quotes odd header values in its messages: a patient's name may be one.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Asked for each time: what was standard error then may be closed by now.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def checked(config: Path) -> "Settings":
    """Return the settings, with rules that compile.

    Raises
    ------
    ConfigError
        If either is wrong.
    """
    from node.route.rules import compile_rules
    from node.settings import load

    settings = load(config)
    compile_rules(settings.rules)
    return settings


def sound(config: Path) -> "Settings":
    """Return the settings as `checked` does, with files and secrets that can be used.

    Raises
    ------
    ConfigError
        If something is wrong.
    """
    from node.check.soundness import problems

    settings = checked(config)
    if found := problems(settings, datetime.now(UTC)):
        raise ConfigError(f"{config}:\n" + "\n".join(f"  {problem}" for problem in found))
    return settings


def usable(config: Path) -> "Settings":
    """Return the settings for a role; what is wrong with files and secrets is only logged.

    A role is restarted at night too: a certificate that expired since must not keep the rest
    of the node from its work.
    """
    import structlog

    from node.check.soundness import problems
    from node.settings import renamed_keys

    log = structlog.get_logger()
    settings = checked(config)
    for line in renamed_keys(config):
        log.warning("settings", renamed=line)
    for problem in problems(settings, datetime.now(UTC)):
        log.error("settings", wrong=problem)
    return settings
