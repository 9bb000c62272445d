"""What the operator configured for this plugin: only keys that `Capabilities(config_keys=…)` names are seen."""

from wit_world.imports import config as host

from .failure import Permanent


def get(key: str) -> str | None:
    """The value under this key, if there is one."""
    return host.get(key)


def require(key: str) -> str:
    """The same; a permanent failure that names the key when there is none."""
    value = host.get(key)
    if value is None:
        missing = f"the configuration has no value for this plugin's key {key!r}"
        raise Permanent("not-configured", missing)
    return value
