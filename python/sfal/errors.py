"""Every error that SFAL raises on purpose.

Each class is a :class:`SfalError` and also the built-in class a caller would
expect, so ``except ValueError`` and ``except SfalError`` both work. A message
says what was refused, where, and what to do about it. The Rust extension
raises these same classes.
"""


class SfalError(Exception):
    """Base class of all errors raised by SFAL."""


class InvalidInputError(SfalError, ValueError):
    """A value, an array or a flag is outside what the function accepts."""


class MemoryLimitError(SfalError, MemoryError):
    """A call would need more memory than its limit allows."""


class ArtifactError(SfalError):
    """A file is missing, damaged, of another layout, or contradicts another file."""


class SettingsMismatchError(ArtifactError):
    """A run on disk was made with other settings than those asked for."""


class LockedError(ArtifactError):
    """Another process is writing to the same folder."""


class DownloadError(SfalError, OSError):
    """Something could not be fetched from a hub, a bucket or a mirror."""


class UnknownSaeError(SfalError, LookupError):
    """No SAE, source or layer goes by the name given."""


class MissingDependencyError(SfalError, ImportError):
    """An optional package is needed for what was asked."""
