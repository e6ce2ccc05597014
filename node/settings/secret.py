"""Secrets stand in files or in the environment, and are read when they are needed."""

import os
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigError


@dataclass(frozen=True)
class Secret:
    """Where a password or token stands; never the thing itself.

    Read anew for each use, so that a changed one counts without a restart.

    Attributes
    ----------
    what : str
        What it is, for messages: "password of destination pacs".
    file : Path or None
    variable : str or None
        One of the two is set.
    """

    what: str
    file: Path | None = None
    variable: str | None = None

    def read(self) -> str:
        """Return the secret.

        Raises
        ------
        ConfigError
            If the file cannot be read, the variable is not set, or either is empty. The message
            names the place, not what was found there.
        """
        place = f"file {self.file}" if self.file else f"environment variable {self.variable}"
        try:
            found = (
                self.file.read_text(encoding="utf-8")
                if self.file
                else os.environ[self.variable or ""]
            )
        except OSError as error:
            raise ConfigError(f"{self.what}: {place}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ConfigError(f"{self.what}: {place} is not UTF-8 text") from None
        except KeyError:
            raise ConfigError(f"{self.what}: {place} is not set") from None
        found = found.strip()
        if not found:
            raise ConfigError(f"{self.what}: {place} is empty")
        return found


@dataclass(frozen=True)
class Credentials:
    """What is presented to a server: user name and password, or a bearer token without a name."""

    username: str | None
    secret: Secret
