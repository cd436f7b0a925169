"""The one exception of the hooks."""


class HookError(ValueError):
    """A hook point that is not there or cannot be reached, or an edit or reducer that fails."""
