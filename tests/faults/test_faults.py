"""Faults of hosts, disks and databases in the middle of a deploy, and two deploys in the same second.

Each: the state that the site ends in, its data, the exit status, and what the operator is told. More of them, those that are tried
each time, are in tests/e2e/test_failures.py and tests/e2e/test_ways.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.controller import identity

from e2e.shop import CHECKOUT, NODES, Shop, interrupted
from faults.data import losses
from faults.killing import MIGRATES, PHASES, Point, gone_from, noting, watch

ENVIRONMENT = {
    "SHOP_DATABASE": "{{ demo_root }}/shop.sqlite3",
    "SHOP_STATIC_ROOT": "{{ demo_node }}/shop/shared/static",
    "SHOP_ALLOWED_HOSTS": "{{ intermission_server_names | join(',') }}",
    "SHOP_MIDDLEWARE": "1",
}
IT_ANSWERS = "intermission.django.django_release : Reopen | Note that it runs and answers"
NEEDS_MOUNT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.fixture(autouse=True)
def version_1(shop: Shop) -> None:
    """Start each test with version 1 on both nodes, open."""
    shop.at("v1")


@pytest.fixture
def data_is_whole(shop: Shop, record: Path) -> Callable[[], bool]:
    def check() -> bool:
        assert losses(shop.root / "shop.sqlite3", shop.root / "saved/v1/shop.sqlite3", [record]) == []
        return True

    return check


def seen(shop: Shop, record: Path) -> set[str]:
    """Give the classes of what visitors saw, none of which was unexpected."""
    facts = shop.verdict(record)
    assert facts["unexpected"] == 0, facts
    return set(facts["classes"])


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("phase", PHASES)
def test_a4_a5_a_host_that_drops_out(
    shop: Shop, record: Path, data_is_whole: Callable[[], bool], phase: str, node: str
) -> None:
    other = next(name for name in NODES if name != node)
    with shop.visitors(record):
        run = shop.deploy("v2", **gone_from(node, phase))
        assert run.status != 0
        assert f"{node} could not be reached" in run.words
        left = {name: (shop.ask(name).kind, shop.ask(name).version) for name in NODES}
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) <= {"app 1", "maintenance", "app 2"}
    assert data_is_whole()
    if phase in ("activate", "reopen"):
        assert left[node] == ("maintenance", None)
    if phase in ("prepare", "plan"):
        assert left == {name: ("app", "1") for name in NODES}
    elif phase == "reopen":
        assert left[other] == ("app", "2")
    elif (phase, node) == ("migrate", NODES[0]):
        assert left[other] == ("maintenance", None), "whether it migrates nobody knows"
    else:
        assert left[other] == ("app", "1")


def test_a5_a_host_that_drops_out_when_there_is_nothing_left_to_do_but_to_give_the_lock_back(
    shop: Shop, record: Path, tmp_path: Path
) -> None:
    """The other has given its own back: that it has none is not somebody else's doing."""
    gone, point = (
        tmp_path / "gone",
        Point("intermission.django.django_release : Reopen | Give the deploy lock back", 1, "start"),
    )
    connection = (
        f"'ansible.builtin.ssh' if inventory_hostname == 'web2' and '{gone}' is exists else 'ansible.builtin.local'"
    )
    drops_out = {"ansible_connection": f"{{{{ {connection} }}}}", "ansible_host": "127.0.0.1", "ansible_port": 1}
    with shop.visitors(record):
        tells = {"django_release_summary_file": str(tmp_path / "deploy.json"), "django_release_probe_rate": 2}
        plan = {"django_release_version": "v2", **drops_out, **tells}
        run = watch(shop, "deploy.yml", tmp_path / "tasks", plan, point, instead=f"touch {gone}").run
        assert run.status != 0
        assert "FAILED in the phase reopen of v2" in run.words
        assert "web2 could not be reached and may be closed or open" in run.words
        assert "STATE shop runs v2." in run.words
        assert re.search(r"Visitors got: .*\d+ open", run.words)
        summary = json.loads((tmp_path / "deploy.json").read_text())
        assert (summary["outcome"], summary["succeeded"], set(summary["answers"])) == ("done", False, set(NODES))
        assert shop.versions() == {"2"}
        phases = [(entry["unfinished_deploy"] or {}).get("phase") for entry in shop.current_status()["hosts"]]
        assert phases == [None, "reopen"]
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert [shop.remains(node) for node in NODES] == [[], []]
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}


def test_a3_a_host_whose_app_is_down_is_closed_while_the_others_serve(shop: Shop) -> None:
    """Each goes its own way, so none can wait for the other in a task."""
    assert shop.gunicorn("web2", "stop") == 0
    run = shop.deploy("v1_2")
    assert run.status == 0, run.output
    assert shop.versions() == {"1.2"}
    assert ["opened" in {entry["event"] for entry in shop.journal(node)[-8:]} for node in NODES] == [False, True]


def test_a9_where_a_deploy_is_ended_one_rerun_finishes_it(shop: Shop, record: Path) -> None:
    interrupted(shop, record, signal.SIGTERM)


def test_a11_hosts_go_in_step_also_where_other_plays_go_freely(shop: Shop, record: Path) -> None:
    shop.environment["ANSIBLE_STRATEGY"] = "free"
    try:
        with shop.visitors(record):
            run = shop.deploy("v2")
    finally:
        del shop.environment["ANSIBLE_STRATEGY"]
    assert run.status == 0, run.output
    assert (shop.versions(), seen(shop, record)) == ({"2"}, {"app 1", "maintenance", "app 2"})


def test_a9_a_deploy_that_fails_after_one_that_was_killed_goes_back_to_before_both(
    shop: Shop, record: Path, tmp_path: Path, data_is_whole: Callable[[], bool]
) -> None:
    """The first has noted its release as live on its hosts; its migrations are taken back with the second one's."""
    point = Point(IT_ANSWERS, 1, "finished")
    with shop.visitors(record):
        assert watch(shop, "deploy.yml", tmp_path / "tasks", {"django_release_version": "v2"}, point).killed
        run = shop.deploy("fails_later")
        assert run.status == 2
        assert "is taken back: the database is as it was. shop serves what it served before" in run.words
        assert shop.versions() == {"1"}
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a9_what_a_host_knows_of_a_deploy_before_it_was_left_behind_is_no_way_back(shop: Shop, tmp_path: Path) -> None:
    """Else the migrations of all that the others were deployed since would be taken back, below their code."""
    plan = {"django_release_version": "v1_2", "django_release_strategy": "window"}
    assert watch(shop, "deploy.yml", tmp_path / "tasks", plan, noting("activate")).killed
    gone = {**gone_from("web1", ""), "django_release_ignore_hosts": "web1"}
    run = shop.deploy("v1_2", **gone)
    assert run.status == 0, run.output
    assert (shop.state("web1").parent / ".shop.migration.json").exists()
    wanted = "{{ 'no such text' if inventory_hostname == 'web1' else 'version 1.2<' }}"
    smoke = {"path": "/orders/", "contains": wanted}
    failed = shop.deploy("v1_2", django_release_smoke_tests=[smoke], django_release_smoke_seconds=1)
    assert failed.status == 2
    assert "FAILED in the phase activate of v1_2" in failed.words
    assert shop.has_migrated("orders.0002_order_note")
    assert [(shop.ask(node).kind, shop.ask(node).version) for node in NODES] == [("maintenance", None), ("app", "1.2")]
    again = shop.deploy("v1_2")
    assert again.status == 0, again.output
    assert shop.versions() == {"1.2"}


@pytest.mark.parametrize("point", [noting("activate"), Point(IT_ANSWERS, 1, "finished"), noting("reopen")], ids=str)
def test_a9_a_rollback_that_was_killed_is_finished_by_another(
    shop: Shop, record: Path, tmp_path: Path, data_is_whole: Callable[[], bool], point: Point
) -> None:
    """Also where hosts have noted already that they went back, and have no former release any more."""
    assert shop.deploy("v2").status == 0
    with shop.visitors(record):
        assert watch(shop, "playbooks/rollback.yml", tmp_path / "tasks", {}, point).killed
        assert shop.kinds() == {"maintenance"}
        run = shop.playbook("playbooks/rollback.yml")
    assert run.status == 0, run.output
    assert shop.versions() == {"1"}
    assert [shop.remains(node) for node in NODES] == [[], []]
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()
    again = shop.playbook("playbooks/rollback.yml")
    assert again.status == 2
    assert "there has been no other, or a rollback was done already" in again.words


@pytest.mark.parametrize("node", NODES)
def test_a5_a_rollback_that_lost_a_host_when_it_was_nearly_done_is_finished_by_another(
    shop: Shop, record: Path, data_is_whole: Callable[[], bool], node: str
) -> None:
    assert shop.deploy("v2").status == 0
    with shop.visitors(record):
        run = shop.playbook("playbooks/rollback.yml", **gone_from(node, "reopen"))
        assert run.status != 0
        assert f"{node} could not be reached" in run.words
        assert {name: shop.ask(name).kind == "app" for name in NODES} == {name: name != node for name in NODES}
        again = shop.playbook("playbooks/rollback.yml")
    assert again.status == 0, again.output
    assert (shop.versions(), [shop.remains(name) for name in NODES]) == ({"1"}, [[], []])
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a19_two_deploys_in_the_same_second(shop: Shop, record: Path, data_is_whole: Callable[[], bool]) -> None:
    with shop.visitors(record):
        runs = [shop.start_playbook("deploy.yml", django_release_version="v2") for _ in range(2)]
        outputs = [" ".join(run.communicate()) for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], outputs
    refused = outputs[[run.returncode for run in runs].index(2)]
    assert "FAILED  Nothing has been changed." in refused
    assert "is deploying shop since" in refused
    assert shop.versions() == {"2"}
    assert [entry["unfinished_deploy"] for entry in shop.current_status()["hosts"]] == [None] * len(NODES)
    assert seen(shop, record) <= {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a19_the_first_host_decides_between_two_deploys(shop: Shop) -> None:
    """Else each of two could have one host, and both would be refused."""
    other = {"holder": identity(os.getpid()), "release": "r", "phase": "prepare", "since": "now"}
    (shop.state("web1").parent / ".shop.deploy.json").write_text(json.dumps(other))
    before = shop.journal("web2")
    run = shop.deploy("v2")
    assert run.status == 2
    assert "FAILED  Nothing has been changed." in run.output
    assert shop.journal("web2") == before


@pytest.fixture
def gone_database(shop: Shop, tmp_path: Path) -> Iterator[Path]:
    """Where a test puts the database out of the way, from where it comes back."""
    away = tmp_path / "away.sqlite3"
    yield away
    if away.exists():
        away.replace(shop.root / "shop.sqlite3")


def test_a_database_that_is_gone_in_the_middle(
    shop: Shop, record: Path, tmp_path: Path, gone_database: Path, data_is_whole: Callable[[], bool]
) -> None:
    """SQLite makes a new one, with nothing in it, which must not become the site's."""
    database, plan = shop.root / "shop.sqlite3", {"django_release_version": "v2"}
    away = f"mv {database} {gone_database}"
    with shop.visitors(record):
        run = watch(shop, "deploy.yml", tmp_path / "tasks", plan, MIGRATES, instead=away).run
        assert run.status == 2
        assert "the database is another than the one that was planned for: contenttypes.0001_initial" in run.words
        assert "STATE Undoing it failed too, so shop is in a state that has to be looked at" in run.words
        assert shop.kinds() == {"maintenance"}
        gone_database.replace(database)
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


@contextmanager
def disk(place: Path, megabytes: float) -> Iterator[None]:
    """Put what is in a directory on a small disk of its own."""
    kept = place.with_name(f"{place.name}.kept")
    place.rename(kept)
    place.mkdir()
    size = f"size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(place)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(place)], check=True)
        yield
        shutil.rmtree(kept)
        subprocess.run(["cp", "-a", str(place), str(kept)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()
        kept.rename(place)


def fill(place: Path) -> Path:
    """Take all the room that is left, with a file."""
    filler = place / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    return filler


@contextmanager
def app_stopped(shop: Shop) -> Iterator[None]:
    for node in NODES:
        shop.gunicorn(node, "stop")
    yield
    for node in NODES:
        assert shop.gunicorn(node, "start") == 0


@contextmanager
def host_on_a_disk(shop: Shop, path: Path) -> Iterator[None]:
    """Have a directory of a host on a small disk, which nothing runs from while it is put there and taken away."""
    with ExitStack() as stack:
        with app_stopped(shop):
            stack.enter_context(disk(path, 40))
        yield
        with app_stopped(shop):
            stack.close()


@contextmanager
def database_on_a_disk(shop: Shop, megabytes: float) -> Iterator[Path]:
    """Have the database with its log on a small disk; where it was is a link, which SQLite follows."""
    place, database = shop.root / "disk", shop.root / "shop.sqlite3"
    place.mkdir()
    with ExitStack() as stack:
        with app_stopped(shop):
            stack.enter_context(disk(place, megabytes))
            move([database, *shop.root.glob("shop.sqlite3-*")], place)
            database.symlink_to(place / database.name)
        yield place
        with app_stopped(shop):
            database.unlink()
            move(place.glob("shop.sqlite3*"), shop.root)
            stack.close()


def move(files: Iterable[Path], place: Path) -> None:
    for file in files:
        shutil.move(file, place)


@NEEDS_MOUNT
@pytest.mark.parametrize("what", ["shop/releases", "shop/environments", "state", "shop/shared"])
def test_a_full_disk_of_a_host(shop: Shop, record: Path, data_is_whole: Callable[[], bool], what: str) -> None:
    place = shop.root / "web2" / what
    environment = {**ENVIRONMENT, "SHOP_SECRET_KEY": f"one that no deploy has written, for {what}"}
    with host_on_a_disk(shop, place), shop.visitors(record):
        filler = fill(place)
        run = shop.deploy("v2", django_release_environment=environment)
        assert run.status == 2
        assert "No space left on device" in run.words
        assert "FAILED " in run.words
        assert shop.versions() == {"1"}
        filler.unlink()
        again = shop.deploy("v2", django_release_environment=environment)
        assert again.status == 0, again.output
        assert shop.versions() == {"2"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


@pytest.mark.parametrize("node", NODES)
def test_a_host_that_cannot_note_the_last_phase_when_others_have(
    shop: Shop, record: Path, data_is_whole: Callable[[], bool], node: str
) -> None:
    """What visitors of another host use already is not taken back, and the host stays closed."""
    other = next(name for name in NODES if name != node)
    stage = noting("reopen").task.partition(" : ")[2]
    noted = f'grep -q \'"phase": "reopen"\' {shop.root}/{other}/state/.shop.deploy.json'
    cannot = {"host": node, "other": {stage: {"state_root": str(shop.root / "gone")}}, "until": noted}
    with shop.visitors(record):
        run = shop.deploy("v2", faults_at_stages=cannot)
        assert run.status == 2
        assert "FAILED in the phase reopen of v2" in run.words
        assert f"{node}: {stage}: " in run.words
        assert "STATE shop runs v2. What failed is said above; look whether visitors reach it: " in run.words
        assert f"Closed: {node}. Open: {other}." in run.words
        assert (shop.ask(other).kind, shop.ask(other).version) == ("app", "2")
        assert shop.ask(node).kind == "maintenance"
        assert shop.has_migrated("orders.0002_orderline_total_cents")
        again = shop.deploy("v2")
        assert again.status == 0, again.output
        assert shop.versions() == {"2"}
    assert [shop.remains(name) for name in NODES] == [[], []]
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


@contextmanager
def not_replaceable(file: Path) -> Iterator[None]:
    """Mount a file on itself, so that no other can be renamed to it."""
    subprocess.run(["mount", "--bind", str(file), str(file)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(file)], check=True)


def live(shop: Shop) -> list[tuple[str, str]]:
    """Give the release and the environment that each node has as its live ones."""
    noted = [json.loads((shop.root / node / "shop/live.json").read_text()) for node in NODES]
    return [(each["release"], each["environment"]) for each in noted]


@NEEDS_MOUNT
def test_a_host_that_cannot_note_which_release_is_live_where_nothing_was_migrated(shop: Shop, record: Path) -> None:
    """All go back to what they had, the host that has noted the new one too."""
    had = live(shop)
    environment = {**ENVIRONMENT, "SHOP_SECRET_KEY": "one that no deploy has written, for live.json"}
    with shop.visitors(record):
        with not_replaceable(shop.root / "web2/shop/live.json"):
            run = shop.deploy("v1", django_release_environment=environment)
        assert run.status == 2
        assert "FAILED in the phase activate of v1" in run.words
        assert live(shop) == had
        assert [os.readlink(shop.root / node / "shop/environment").rpartition("/")[2] for node in NODES] == [
            name for _, name in had
        ]
        assert shop.versions() == {"1"}
    assert seen(shop, record) == {"app 1"}


def test_a_rollback_that_fails_is_undone_with_what_it_had_reversed(shop: Shop, record: Path, tmp_path: Path) -> None:
    """Also with the policy lift: the newer version cannot live without its migrations."""
    assert shop.deploy("v2").status == 0
    wanted = {
        "django_release_smoke_tests": [{"path": "/orders/", "contains": "version 2<"}],
        "django_release_smoke_seconds": 1,
        "django_release_on_failure": "lift",
        "django_release_summary_file": str(tmp_path / "deploy.json"),
    }
    with shop.visitors(record):
        run = shop.playbook("playbooks/rollback.yml", **wanted)
        assert run.status == 2
        assert "FAILED in the phase activate of v1 (" in run.words
        assert (
            "STATE What this run had reversed is applied again. What was in the columns and tables that it took away"
            in run.words
        )
        assert "shop serves what it served before (v2). NEXT" in run.words
        assert "NEXT Mend what failed, and roll back again: ansible-playbook playbooks/rollback.yml" in run.words
        assert shop.versions() == {"2"}
        assert shop.has_migrated("orders.0002_orderline_total_cents")
    assert seen(shop, record) == {"app 2", "maintenance"}
    summary = json.loads((tmp_path / "deploy.json").read_text())
    assert {name: summary[name] for name in ("succeeded", "rollback", "version", "taken_back")} == {
        "succeeded": False,
        "rollback": True,
        "version": "v1",
        "taken_back": "applied",
    }
    # What the rollback knows of its migrations is not the deploy's
    both = tmp_path / "both.yml"
    both.write_text("".join(f"- import_playbook: {CHECKOUT}/playbooks/{name}.yml\n" for name in ("rollback", "deploy")))
    again = shop.playbook(str(both), django_release_version="v2")
    assert again.status == 0, again.output
    assert re.search(r"DONE shop runs v1 \(.* DONE shop runs v2 \(", again.words)
    assert shop.versions() == {"2"}
    assert shop.has_migrated("orders.0002_orderline_total_cents")
    assert json.loads((shop.root / "web1/shop/live.json").read_text())["former"]["release"]


@pytest.mark.parametrize("policy", ["hold", "rollback"])
def test_a_rollback_that_fails_on_one_host_can_be_done_again(shop: Shop, record: Path, policy: str) -> None:
    assert shop.deploy("v2").status == 0
    fails = "{{ 'no such text' if inventory_hostname == 'web2' else 'version' }}"
    wanted = {
        "django_release_smoke_tests": [{"path": "/orders/", "contains": fails}],
        "django_release_smoke_seconds": 1,
        "django_release_on_failure": policy,
    }
    with shop.visitors(record):
        assert shop.playbook("playbooks/rollback.yml", **wanted).status == 2
        again = shop.playbook("playbooks/rollback.yml")
    assert again.status == 0, again.output
    assert shop.versions() == {"1"}
    assert seen(shop, record) <= {"app 1", "maintenance", "app 2"}


def test_a9_a_deploy_that_fails_after_a_rollback_that_was_killed_goes_back_to_nothing_that_it_does_not_know(
    shop: Shop, record: Path, tmp_path: Path
) -> None:
    """The hosts have noted already what the rollback goes back to, and the database is that of the version before it."""
    assert shop.deploy("v2").status == 0
    with shop.visitors(record):
        assert watch(shop, "playbooks/rollback.yml", tmp_path / "tasks", {}, noting("reopen")).killed
        run = shop.deploy("fails_later")
        assert run.status == 2
        assert "shop stays closed: visitors see the maintenance page" in run.words
        assert shop.kinds() == {"maintenance"}
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) <= {"maintenance", "app 2"}


@NEEDS_MOUNT
def test_a_host_that_cannot_note_that_a_rollback_went_back(
    shop: Shop, record: Path, data_is_whole: Callable[[], bool]
) -> None:
    assert shop.deploy("v2").status == 0
    had = live(shop)
    with shop.visitors(record):
        with not_replaceable(shop.root / "web2/shop/live.json"):
            run = shop.playbook("playbooks/rollback.yml")
        assert run.status == 2
        assert "FAILED in the phase activate of v1 (" in run.words
        assert (
            "What this run had reversed is applied again. What was in the columns and tables that it took away is in"
            in run.words
        )
        assert live(shop) == had
        assert shop.versions() == {"2"}
        assert shop.has_migrated("orders.0002_orderline_total_cents")
        again = shop.playbook("playbooks/rollback.yml")
        assert again.status == 0, again.output
        assert shop.versions() == {"1"}
    assert data_is_whole()


@NEEDS_MOUNT
def test_a_full_disk_of_the_database(
    shop: Shop, record: Path, tmp_path: Path, data_is_whole: Callable[[], bool]
) -> None:
    database, plan = shop.root / "shop.sqlite3", {"django_release_version": "v2"}
    with database_on_a_disk(shop, 2 * database.stat().st_size / 2**20 + 20) as place, shop.visitors(record):
        leave_little = (
            f"head -c $(( $(df --output=avail -B1 {place} | tail -n 1) - 200000 )) /dev/zero > {place}/filler"
        )
        run = watch(shop, "deploy.yml", tmp_path / "tasks", plan, MIGRATES, instead=leave_little).run
        assert run.status == 2
        assert "FAILED in the phase migrate of v2" in run.words
        assert "database or disk is full" in run.words
        assert "The database is as it was. shop serves what it served before" in run.words
        assert shop.versions() == {"1"}
        (place / "filler").unlink()
        again = shop.deploy("v2")
        assert again.status == 0, again.output
        assert shop.versions() == {"2"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()
