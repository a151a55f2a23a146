"""Runs the Tiltfile against stand-ins of Tilt's functions that have Tilt's parameters and write down what was asked."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

import starlark
import yaml

from tests.chart.rendering import ROOT, of_kind, pods

BUTTONS = "ext://uibutton"

Words = str | list[str]


@dataclass
class Asked:
    """All calls of a run, in their order."""

    subcommand: str = "up"
    settings: dict[str, str] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    locals: dict[str, dict[str, Any]] = field(default_factory=dict)
    buttons: dict[str, dict[str, Any]] = field(default_factory=dict)
    contexts: list[str] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)

    def docker_build(
        self, ref: str, context: str, build_args: dict[str, str] | None = None, dockerfile: str = "Dockerfile",
        live_update: list[dict[str, Any]] | None = None, ignore: Words = "", only: Words = "",
        entrypoint: Words = "", target: str = "",
    ) -> None:  # fmt: skip
        assert ref not in self.images
        self.images[ref] = {**locals(), "live_update": live_update or []}

    def k8s_yaml(self, yaml_text: str) -> None:
        self.manifests += [each for each in yaml.safe_load_all(yaml_text) if each]

    def helm(
        self, pathToChartDir: str, name: str = "", namespace: str = "", values: Words = "",  # noqa: N803  Tilt's name
        set: list[str] | None = None, kube_version: str = "",  # noqa: A002  Tilt's name
    ) -> str:  # fmt: skip
        command = ["helm", "template", name, pathToChartDir, "--namespace", namespace, "--kube-version", kube_version]
        return self.local([*command, "--skip-tests", *(word for each in set or () for word in ("--set", each))])

    def local(self, command: list[str], quiet: bool = False) -> str:
        program = shutil.which(command[0])
        assert program, f"{command[0]} is not installed"
        run = [program, *command[1:]]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def k8s_resource(
        self, workload: str = "", new_name: str = "", port_forwards: list[dict[str, Any]] | None = None,
        trigger_mode: str = "auto", resource_deps: list[str] | None = None, objects: list[str] | None = None,
        auto_init: bool = True, pod_readiness: str = "", links: list[dict[str, Any]] | None = None,
        labels: list[str] | None = None,
    ) -> None:  # fmt: skip
        name = new_name or workload
        assert name not in {each["new_name"] or each["workload"] for each in self.resources}, f"{name} is there twice"
        taken = set(objects or ()) & self._with_their_workload()
        assert not taken, f"{', '.join(sorted(taken))}: not in the remaining YAML"
        self.resources.append({key: value for key, value in locals().items() if key not in ("name", "taken")})

    def _with_their_workload(self) -> set[str]:
        """Services that select a workload's pods: Tilt puts each to its workload, and out of what may be named."""
        labels = [pod["metadata"].get("labels", {}) for pod in pods(self.manifests).values()]
        return {
            f"{each['metadata']['name']}:service"
            for each in of_kind(self.manifests, "Service")
            if any(each["spec"].get("selector", {}).items() <= own.items() for own in labels)
        }

    def local_resource(
        self, name: str, cmd: Words, deps: Words = "", trigger_mode: str = "auto", auto_init: bool = True,
        resource_deps: list[str] | None = None, labels: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.locals[name] = locals()

    def cmd_button(
        self, name: str, resource: str = "", argv: list[str] | None = None, text: str = "", icon_name: str = ""
    ) -> None:
        self.buttons[name] = locals()


def run(subcommand: str = "up", **settings: str) -> Asked:
    """What the Tiltfile asks Tilt for. Raises StarlarkError where it is wrong."""
    asked = Asked(subcommand, settings)
    globals_ = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
    dialect = starlark.Dialect.extended()
    dialect.enable_top_level_stmt = True
    module = starlark.Module()
    for name in ("docker_build", "k8s_yaml", "helm", "local", "k8s_resource", "local_resource"):
        module.add_callable(name, getattr(asked, name))
    module.add_callable("allow_k8s_contexts", asked.contexts.append)
    module.add_callable("watch_file", asked.watched.append)
    module.add_callable("sync", lambda source, target: {"sync": [source, target]})
    module.add_callable("run", lambda command: {"run": command})
    module.add_callable("fall_back_on", lambda files: {"fall_back_on": files})
    module.add_callable("blob", str)
    module.add_callable("encode_json", json.dumps)
    module.add_callable("encode_yaml", yaml.safe_dump)
    module.add_callable("encode_yaml_stream", yaml.safe_dump_all)
    module.add_callable("decode_yaml", yaml.safe_load)
    module.add_callable("decode_yaml_stream", lambda text: [each for each in yaml.safe_load_all(text) if each])
    module.add_callable("port_forward", lambda local, container, name="": {"local": local, "container": container})
    module.add_callable("link", lambda url, name="": {"url": url})
    module.add_callable("settings_of_this_run", lambda: settings)
    prelude = f"""
config = struct(
    tilt_subcommand = {json.dumps(subcommand)},
    define_string = lambda name, args = False, usage = "": None,
    parse = lambda: settings_of_this_run(),
)
TRIGGER_MODE_AUTO = "auto"
TRIGGER_MODE_MANUAL = "manual"
"""

    def extension(name: str) -> starlark.FrozenModule:
        assert name == BUTTONS
        found = starlark.Module()
        found.add_callable("cmd_button", asked.cmd_button)
        return found.freeze()

    loader = starlark.FileLoader(extension)
    starlark.eval(module, starlark.parse("prelude", prelude, dialect), globals_)
    text = (ROOT / "Tiltfile").read_text()
    starlark.eval(module, starlark.parse("Tiltfile", text, dialect), globals_, loader)
    return asked
