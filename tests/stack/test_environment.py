"""Least privilege of processes: each setting has its processes, and nothing else of the gate's is handed on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from app.stack.environment import FLOWER, MIGRATE, NEEDS, STACK_ONLY, environment_of
from app.stack.supervisor import read_procfile

ROOT = Path(__file__).parents[2]
ALL = {f"TIDEGATE_{name.upper()}": f"value of {name}" for name in Settings.model_fields}
OTHERS = {"PATH": "/bin", "LC_ALL": "C", "HOME": "/root", "SHOP_WEBHOOK_SECRET": "s", "FLOWER_BASIC_AUTH": "p", "PGPASSWORD": "q"}
PROCESSES = sorted(NEEDS)
SECRET = {
    "TIDEGATE_OWNER_DATABASE_URL": {MIGRATE},
    "TIDEGATE_MASTER_KEY": {"deployer", "slow"},
    "TIDEGATE_DATABASE_URL": {"web", "worker", "deployer", "slow", MIGRATE},
    "SHOP_WEBHOOK_SECRET": {"web", "worker", "deployer", "slow"},
    "FLOWER_BASIC_AUTH": {FLOWER},
}


def test_the_table_names_the_processes_of_the_procfile_and_the_migration() -> None:
    assert set(NEEDS) == {*read_procfile(ROOT / "Procfile"), MIGRATE}


def test_every_setting_is_of_a_process_or_of_the_stack_itself() -> None:
    given = set().union(*NEEDS.values())
    assert given | STACK_ONLY == set(Settings.model_fields) and not given & STACK_ONLY


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_reaches_only_the_processes_that_use_it(name: str) -> None:
    assert {process for process in PROCESSES if name in environment_of(process, ALL | OTHERS)} == SECRET[name]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_is_given_the_settings_of_the_table_and_what_every_program_needs(process: str) -> None:
    given = environment_of(process, ALL | OTHERS)
    assert {name for name in given if name.startswith("TIDEGATE_")} == {f"TIDEGATE_{name.upper()}" for name in NEEDS[process]}
    assert {"PATH", "LC_ALL", "HOME"} <= set(given)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_variable_that_holds_the_master_key_goes_where_the_key_goes(process: str) -> None:
    given = environment_of(process, {"TIDEGATE_MASTER_KEY": "env:KEY_OF_THE_GATE", "KEY_OF_THE_GATE": "k"})
    assert ("KEY_OF_THE_GATE" in given) == (process in SECRET["TIDEGATE_MASTER_KEY"])


@pytest.mark.parametrize("process", PROCESSES)
def test_compose_gives_a_service_no_setting_that_the_table_does_not(process: str) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    given = services[process]["environment"]
    assert set(given) <= {*environment_of(process, ALL | OTHERS)}
    for secret, processes in SECRET.items():
        assert secret == "SHOP_WEBHOOK_SECRET" or (secret in given) == (process in processes)
    files = {volume.partition(":")[0] for volume in services[process]["volumes"]}
    assert files == {"beat": {"state"}, FLOWER: set(), MIGRATE: set()}.get(process, {"./config", "./secrets", "state"})


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_DUMPABLE is Linux's")
def test_a_hidden_process_may_not_be_read_by_others_of_its_user_nor_dumped() -> None:
    program = (
        "import ctypes; from app.settings import forbid_inspection; forbid_inspection();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True); input()"  # PR_GET_DUMPABLE
    )
    command, env = [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as hidden:
        assert hidden.stdout is not None
        assert hidden.stdout.readline() == "0\n"
        if os.geteuid() != 0:  # root may read it nevertheless
            with pytest.raises(PermissionError):
                Path(f"/proc/{hidden.pid}/environ").read_bytes()
        hidden.communicate("\n")
