"""What stands in deploy/ is in accord with the code and with itself, and the programs that read it accept it.

No image is built here and no cluster is started: what a Docker and a Kubernetes make of these files is not tested.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from starlette.responses import PlainTextResponse

from trunkline.cli.main import _parser
from trunkline.config import Settings, load
from trunkline.gateway.guard import Guard, require_protection
from trunkline.gateway.openapi import document
from trunkline.policy import DrainPolicy

pytestmark = [pytest.mark.integration, pytest.mark.requirement("DEPLOY")]

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
HASH = "ab" * 32
ENVIRONMENT = {
    "SEARCH_URL": "https://search.internal/mcp",
    "SEARCH_TOKEN": "made-up",
    "CALLERS_TOKEN_SHA256": HASH,
    "PROMETHEUS_TOKEN_SHA256": HASH[::-1],
    "REDIS_URL": "redis://redis:6379/0",
}
ENDING = 5.0
"""Seconds between the end of the drain and the end of the process; test_gateway measures it."""
POD = "10.1.2.3"


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


COMPOSE: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
KUBERNETES: dict[str, dict[str, Any]] = {part["kind"]: part for part in yaml.safe_load_all(text("kubernetes.yaml"))}
POD_SPEC: dict[str, Any] = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD_SPEC["containers"]
DOCKERFILE = [
    line.split(None, 1) for line in re.sub(r"\\\n\s*", "", text("Dockerfile")).splitlines() if line[:1].isupper()
]
UNIT = RawConfigParser(strict=False, comment_prefixes=("#",))
UNIT.optionxform = str  # type: ignore[assignment,method-assign]
UNIT.read_string(text("trunkline.service"))


def instruction(name: str) -> str:
    """What the last such line of the Dockerfile says."""
    return [rest for found, rest in DOCKERFILE if found == name][-1]


def command(*words: str) -> Any:
    """What the command line makes of these words; `$(POD_IP)` is an address."""
    return _parser().parse_args([word.replace("$(POD_IP)", POD) for word in words])


def configuration(place: str, folder: Path) -> Settings:
    """The settings in force in one place, of which nothing is amiss."""
    if place == "compose":
        settings = load(DEPLOY / "trunkline.toml", environ=ENVIRONMENT)
    else:
        path = folder / "trunkline.toml"
        path.write_text(KUBERNETES["ConfigMap"]["data"]["trunkline.toml"], "utf-8")
        settings = load(path, environ=ENVIRONMENT)
    assert settings.notices == ()
    return settings


def commands() -> dict[str, Any]:
    """How the gateway is started, by place."""
    return {
        "compose": command(*yaml.safe_load(instruction("CMD"))),
        "kubernetes": command(*CONTAINER["args"]),
        "systemd": command(*shlex.split(UNIT["Service"]["ExecStart"])[1:]),
    }


@pytest.mark.parametrize("place", ["compose", "kubernetes"])
def test_the_configuration_loads_with_the_environment_that_is_given_and_may_be_served_there(
    place: str, tmp_path: Path
) -> None:
    options, settings = commands()[place], configuration(place, tmp_path)
    require_protection(options.host, settings.gateway)
    assert settings.gateway.principals["prometheus"].watch
    assert settings.logging.format == "json"
    if place == "compose":
        given = set(COMPOSE["services"]["gateway-a"]["environment"])
        assert given == set(re.findall(r"\$\{(\w+)\}", text("trunkline.toml"))) == set(ENVIRONMENT)
    else:
        # All of it comes from the Secret, whose keys the file's first lines name.
        wanted = set(re.findall(r"\$\{(\w+)\}", KUBERNETES["ConfigMap"]["data"]["trunkline.toml"]))
        assert wanted == set(re.findall(r"--from-literal=(\w+)=", text("kubernetes.yaml")))
        assert CONTAINER["envFrom"] == [{"secretRef": {"name": "trunkline"}}]


def test_the_gateway_is_given_as_long_to_end_as_it_may_take(tmp_path: Path) -> None:
    def needs(drain: DrainPolicy) -> float:
        return drain.announce + drain.timeout + ENDING

    compose, kubernetes = (configuration(place, tmp_path).gateway.drain for place in ("compose", "kubernetes"))
    for name in ("gateway-a", "gateway-b"):
        assert float(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) >= needs(compose)
    assert POD_SPEC["terminationGracePeriodSeconds"] >= needs(kubernetes)
    # The unit's configuration is its owner's; what holds without a word in it fits.
    assert float(UNIT["Service"]["TimeoutStopSec"]) >= needs(DrainPolicy())
    assert (instruction("STOPSIGNAL"), UNIT["Service"]["KillSignal"]) == ("SIGTERM", "SIGTERM")
    # Children that get the signal too would end under the calls that are to be finished.
    assert UNIT["Service"]["KillMode"] == "mixed"
    # The balancer has noticed before requests are turned away.
    interval, falls = re.findall(r"check inter (\d+)s fall (\d+)", text("haproxy.cfg"))[0]
    assert compose.announce > int(interval) * int(falls)
    probe = CONTAINER["readinessProbe"]
    assert kubernetes.announce > probe["periodSeconds"] * probe["failureThreshold"]


def test_everything_listens_where_it_is_looked_for_and_finds_its_configuration() -> None:
    port = command("serve").port
    assert {place: options.port for place, options in commands().items()} == dict.fromkeys(commands(), port)
    assert {options.config for options in commands().values()} == {"/etc/trunkline/trunkline.toml"}
    assert "./trunkline.toml:/etc/trunkline/trunkline.toml:ro" in COMPOSE["services"]["gateway-a"]["volumes"]
    assert CONTAINER["volumeMounts"][0] == {"name": "config", "mountPath": "/etc/trunkline", "readOnly": True}
    assert POD_SPEC["volumes"][0] == {
        "name": "config",
        "configMap": {"name": KUBERNETES["ConfigMap"]["metadata"]["name"]},
    }
    assert int(instruction("EXPOSE")) == port
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": port}]
    assert KUBERNETES["Service"]["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]
    assert COMPOSE["services"]["balancer"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    gateways = [f"{name}:{port}" for name in COMPOSE["services"] if name.startswith("gateway-")]
    assert re.findall(r"^    server \S+ (\S+)$", text("haproxy.cfg"), re.MULTILINE) == gateways
    (job,) = yaml.safe_load(text("prometheus.yml"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": gateways}]
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", ()):
            assert (DEPLOY / mount.split(":")[0]).is_file()


def test_probes_ask_what_there_is_and_what_answers_without_a_token() -> None:
    asked = {CONTAINER[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    asked |= set(re.findall(r"uri (\S+)", text("haproxy.cfg")))
    asked |= set(re.findall(r"localhost:8700(/[\w/]+)", str(COMPOSE["services"]["gateway-a"]["healthcheck"]["test"])))
    assert asked == {"/health/live", "/health/ready"}
    assert asked <= document("127.0.0.1", 8700)["paths"].keys()
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/health/live"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("compose", ["localhost:8700", "localhost", "gateway-a:8700", "gateway-b:8700", "tools.internal"]),
        ("kubernetes", [f"{POD}:8700", "trunkline:8700", "trunkline.default.svc.cluster.local:8700"]),
    ],
)
async def test_the_gateway_answers_to_the_names_by_which_it_is_asked(
    place: str, names: list[str], tmp_path: Path
) -> None:
    settings = configuration(place, tmp_path).gateway
    guard = Guard(PlainTextResponse("let in"), commands()[place].host, lambda: settings, lambda _: None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="http://any") as web:
        for name in names:
            assert (await web.get("/", headers={"Host": name})).status_code == 200
        assert (await web.get("/", headers={"Host": "elsewhere.example"})).status_code == 421


def test_the_image_is_made_of_what_is_here_with_the_pins_of_make_and_runs_as_nobody() -> None:
    ignored = [line for line in text("Dockerfile.dockerignore").splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    copied = [rest.split()[:-1] for found, rest in DOCKERFILE if found == "COPY" and "--from" not in rest]
    for source in [name for names in copied for name in names]:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    assert not any(fnmatch("src/trunkline/__init__.py", pattern) for pattern in ignored[1:])
    pins, ours = (
        dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / name).read_text("utf-8"), re.MULTILINE))
        for name in ("image.txt", "run.txt")
    )
    assert ours.items() <= pins.items()
    # Beside it only what the shared cache takes.
    assert pins.keys() - ours.keys() == {"redis", "hiredis", "async-timeout"}
    installs = [rest for found, rest in DOCKERFILE if found == "RUN"]
    assert "--require-hashes" in installs[0]
    assert all("--no-deps" in install for install in installs)
    user = instruction("USER").split(":")[0]
    assert int(user) == POD_SPEC["securityContext"]["runAsUser"] > 0


def test_one_gateway_may_go_at_a_time_and_a_new_one_is_there_before() -> None:
    deployment, budget = KUBERNETES["Deployment"]["spec"], KUBERNETES["PodDisruptionBudget"]["spec"]
    assert budget["minAvailable"] == deployment["replicas"] - 1 > 0
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels
    assert KUBERNETES["Service"]["spec"]["selector"] == labels
    limits = CONTAINER["securityContext"]
    assert (limits["readOnlyRootFilesystem"], limits["allowPrivilegeEscalation"]) == (True, False)


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program)
    assert found is not None, f"{program} is not installed: make parts"
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_haproxy_accepts_its_configuration() -> None:
    done = run("haproxy", "-c", "-f", DEPLOY / "haproxy.cfg")
    assert done.returncode == 0, done.stderr
    # All that it may remark on: the names that are known in Compose alone.
    warnings = re.findall(r"^\[(?:WARNING|ALERT)\].*", done.stderr, re.MULTILINE)
    assert [warning for warning in warnings if "could not resolve address 'gateway-" not in warning] == []


def test_prometheus_accepts_its_configuration() -> None:
    done = run("promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_accepts_the_unit_and_finds_little_that_it_could_do_harm_with(tmp_path: Path) -> None:
    unit = tmp_path / "trunkline.service"
    # What is to be run has to be there.
    unit.write_text(text("trunkline.service").replace("/opt/trunkline/bin/trunkline", sys.executable), "utf-8")
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")
    judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    (level,) = re.findall(r"Overall exposure level for trunkline\.service: ([\d.]+)", judged.stdout)
    # From 0, locked away, to 10; a unit without a word of it has 9.6.
    assert float(level) <= 2.0


def test_the_guide_tells_of_every_file() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    for path in DEPLOY.iterdir():
        assert f"`deploy/{path.name}`" in guide
