"""The module that becomes the component: the exports of its world, on the project's `plugin.plugin`."""

import wit_world.exports as exported

from . import ambient

ambient.install()

import plugin as project  # noqa: E402

if hasattr(exported, "Steps"):
    from .export_steps import Steps  # noqa: F401
if hasattr(exported, "Tasks"):
    from .export_tasks import Tasks  # noqa: F401
if hasattr(exported, "Lifecycle"):
    from .export_lifecycle import Lifecycle  # noqa: F401

ambient.installed()


class Plugin(exported.Plugin):
    def describe(self) -> str:
        return project.plugin._describe()
