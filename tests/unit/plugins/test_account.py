"""What a failed deploy says of a database that a migration has touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.programs

Plays = Callable[[Mapping[str, str]], dict[str, str]]
TEMPLATE = Path(__file__).parents[3] / "roles" / "django_release" / "templates" / "account.txt.j2"
ROLE_VARIABLES = TEMPLATE.parents[1] / "vars/main"
ACCOUNT = f"""
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    __intermission_hosts: [localhost]
    intermission_site: shop
    __django_release_account: tea
    django_release_workers: [{{name: celery}}]
    __django_release_rescued: [localhost]
    __django_release_lost: []
    __django_release_failures: ["web1: Migrate: it failed"]
    __django_release_flag_now: {{status: {{"on": true}}}}
    __django_release_lock: {{ours: true}}
    __django_release_is_over: false
    __django_release_seen: ""
    __django_release_label: v2
    __django_release_id: abc
    __django_release_touched: true
    __django_release_stays_closed: true
    __django_release_is_back: false
    __django_release_overtaken_hosts: []
    __django_release_needs_window: true
    __django_release_policy: hold
    __django_release_rolls_back: false
    __django_release_known: {{live: {{release: abc}}, versions: {{abc: v1}}}}
  tasks:
    - name: Note it on the host
      ansible.builtin.set_fact:
        __django_release_flag_now: {{status: {{"on": true}}}}
        __django_release_locked: {{failed: false}}
        __django_release_stopped: {{msg: it does not stop}}

    - name: Say it
      intermission.django.report:
        text: "{{{{ lookup('ansible.builtin.template', '{TEMPLATE}') }}}}"
"""
RESULT: dict[str, Any] = {
    "backup": "/b/shop.dump",
    "restore": ["mariadb --execute='DROP TABLE `new`' shop", "zcat /b/shop.sql.gz | mariadb shop"],
    "applied": ["tea.0002"],
    "failed_migration": "tea.0003",
}


NOT_LOCKED = {"__django_release_locked": {"failed": True}}


ACCOUNTS: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    "halfway": (
        "migrate",
        {"halfway": True},
        [
            "What did not run in a transaction may be there in part",
            *RESULT["restore"],
            "-e django_migrate_database_is_whole=true",
        ],
        [],
    ),
    "undone halfway": (
        "migrate",
        {"halfway": False},
        ["may be there in part", "-e django_migrate_database_is_whole=true"],
        [],
    ),
    "undone": (
        "migrate",
        {"halfway": False},
        ["on localhost as tea, and", *RESULT["restore"]],
        ["transaction", "is_whole"],
    ),
    "no backup": (
        "migrate",
        {"halfway": False, "backup": None, "restore": []},
        ["tea.0003 failed"],
        ["Or go back", "transaction"],
    ),
    "before": (
        "close",
        {},
        ["A deploy before this one left it closed", "this run has not migrated it"],
        ["tea.0003 failed"],
    ),
    "later": ("activate", {"halfway": False, "failed_migration": None}, RESULT["restore"], ["transaction"]),
}


def account(variables: dict[str, Any], **facts: Any) -> str:
    """Give a play in which a host's facts and variables are these."""
    note = f"    - name: More\n      ansible.builtin.set_fact: {json.dumps(facts)}\n\n" if facts else ""
    more = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in variables.items())
    play = "".join(line for line in ACCOUNT.splitlines(True) if line.partition(":")[0].strip() not in variables)
    return play.replace("  tasks:\n", f"{more}  tasks:\n").replace("    - name: Say it", f"{note}    - name: Say it")


@pytest.fixture(scope="module")
def accounts(ansible_plays: Plays) -> dict[str, str]:
    return ansible_plays(
        {
            name: account(
                {
                    "__django_release_phase": phase,
                    "__django_release_migrated": phase != "close",
                    "__django_migrate_result": {**RESULT, **result},
                    "__django_migrate_undone": {"undone": "", "halfway": name == "undone halfway"},
                }
            )
            for name, (phase, result, _said, _not_said) in ACCOUNTS.items()
        }
    )


@pytest.mark.parametrize("name", ACCOUNTS)
def test_account(accounts: dict[str, str], name: str) -> None:
    _phase, _result, said, not_said = ACCOUNTS[name]
    assert "stays closed: visitors see the maintenance page. Its background workers are stopped." in accounts[name]
    assert "The app still runs on localhost: it does not stop" in accounts[name]
    assert [text for text in said if text not in accounts[name]] == []
    assert [text for text in not_said if text in accounts[name]] == []


def test_an_account_names_the_hosts_that_could_not_be_reached_also_where_nothing_has_begun(
    ansible_plays: Plays,
) -> None:
    lost = {"__django_release_lost": ["web2", "web3"]}
    off = {"status": {"on": False}}
    over = {"__django_release_phase": "reopen", "__django_release_is_over": True}
    plays = {
        "begun": account({**lost, "__django_release_phase": "", "__django_release_failures": []}, **NOT_LOCKED),
        "over": account({**lost, **over}, __django_release_flag_now=off, __django_release_lock={"ours": False}),
    }
    printed = ansible_plays(plays)
    assert (
        "FAILED  Nothing has been changed.\nweb2, web3 could not be reached\nNEXT    When that is settled, deploy again.\n"
        in printed["begun"]
    )
    assert "FAILED  in the phase reopen of v2 (abc)." in printed["over"]
    assert "web2, web3 could not be reached and may be closed or open: look with" in printed["over"]
    assert "STATE   shop runs v2." in printed["over"]


OVERTAKEN = f"""
- hosts: web
  gather_facts: false
  vars_files:
    - {ROLE_VARIABLES / "main.yml"}
    - {ROLE_VARIABLES / "stages.yml"}
  tasks:
    - name: Know
      ansible.builtin.set_fact:
        __django_release_known: "{{{{ {{'live': {{'release': live}} if live else {{}}}} }}}}"
        __django_release_locked: {{left_behind: [web2, web9]}}

    - name: Say it
      intermission.django.report:
        text: "OVERTAKEN {{{{ __django_release_overtaken_hosts | join(' ') }}}}."
"""


@pytest.mark.parametrize(
    ("live", "overtaken"),
    [
        (["r2", "r1", ""], "web2"),
        (["r1", "r1", ""], ""),
        (["r2", "", ""], "web2"),
        (["", "r1", ""], ""),
    ],
    ids=["gone on", "all the same beside a new host", "never had one", "others have none"],
)
def test_hosts_that_were_gone_are_overtaken_where_the_others_serve_something_else(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], live: list[str], overtaken: str
) -> None:
    names = [f"web{number}" for number in (1, 2, 3)]
    hosts = {name: {"live": release, "ansible_connection": "local"} for name, release in zip(names, live, strict=True)}
    inventory = {"all": {"vars": {"__intermission_hosts": names}, "children": {"web": {"hosts": hosts}}}}
    ran = ansible_playbook(OVERTAKEN, inventory=json.dumps(inventory))
    assert f"OVERTAKEN {overtaken}." in ran.stdout, ran.stdout + ran.stderr


STAGES = yaml.safe_load((ROLE_VARIABLES / "stages.yml").read_text())
BEGUN = {
    "web1": [STAGES["__django_release_shut_stages"][0]["name"]],
    "web2": [STAGES["__django_release_migrate_stage"]],
}
WITHOUT_ANSWER = (
    OVERTAKEN.partition("    - name: Say it")[0].partition("  tasks:")[0]
    + """
  tasks:
    - name: Say it
      intermission.django.report:
        text: "{{ inventory_hostname }} {{ __django_release_phase }} {{ __django_release_undoes }}"
      when: inventory_hostname == 'web1'
"""
)


@pytest.mark.parametrize(
    ("lock", "undone"),
    [
        ({"unreachable": True}, True),
        ({"failed": True, "msg": "no"}, True),
        ({"ours": True, "held_by": None}, True),
        ({"ours": False, "held_by": {"phase": "reopen"}}, True),
        ({"ours": True, "held_by": {"phase": "migrate"}}, True),
        ({"ours": True, "held_by": {"phase": "reopen"}}, False),
    ],
    ids=["lost", "failed", "over", "another's", "likewise", "lets visitors in"],
)
def test_a_host_is_undone_unless_another_lets_visitors_in(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], lock: dict[str, Any], undone: bool
) -> None:
    own = {"ours": True, "held_by": {"phase": "migrate"}}
    hosts = {
        name: {
            "__django_release_lock": its,
            "__django_release_here": "",
            "__django_release_went": {"begun": BEGUN[name]},
        }
        for name, its in {"web1": own, "web2": lock}.items()
    }
    shared = {
        "__intermission_hosts": list(hosts),
        "__intermission_leader": "web1",
        "__django_release_needs_window": True,
    }
    inventory = {"all": {"vars": shared, "children": {"web": {"hosts": hosts}}}}
    ran = ansible_playbook(WITHOUT_ANSWER, inventory=json.dumps(inventory))
    assert f"web1 {'migrate' if undone else 'reopen'} {undone}" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize(("begun", "phase"), [(BEGUN, "migrate"), ({"web1": BEGUN["web1"], "web2": []}, "close")])
def test_migrating_has_begun_where_one_host_has_come_to_it(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], begun: dict[str, list[str]], phase: str
) -> None:
    """The host that migrates may be lost with what it knows; the phase is noted a moment before."""
    own = {"ours": True, "held_by": {"phase": "migrate"}}
    hosts = {
        name: {"__django_release_lock": own, "__django_release_here": "", "__django_release_went": {"begun": stages}}
        for name, stages in begun.items()
    }
    shared = {
        "__intermission_hosts": list(hosts),
        "__intermission_leader": "web2",
        "__django_release_needs_window": True,
    }
    inventory = {"all": {"vars": shared, "children": {"web": {"hosts": hosts}}}}
    ran = ansible_playbook(WITHOUT_ANSWER, inventory=json.dumps(inventory))
    assert f"web1 {phase} True" in ran.stdout, ran.stdout + ran.stderr


ALIKE = """
- hosts: web
  connection: local
  gather_facts: false
  vars_files: ["{variables}"]
  tasks:
    - name: Say it
      intermission.django.report:
        text: "{{{{ __django_release_failures | join(' AND ') }}}} END"
      run_once: true
"""


def test_what_hosts_say_alike_is_said_once(ansible_playbook: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    said = {"web1": "Plan | Check: it is wrong", "web2": "", "web3": "Plan | Check: it is wrong", "web4": "No disk"}
    hosts = {name: {"__django_release_here": here} for name, here in said.items()}
    inventory = {"all": {"vars": {"__intermission_hosts": list(hosts)}, "children": {"web": {"hosts": hosts}}}}
    ran = ansible_playbook(ALIKE.format(variables=ROLE_VARIABLES / "main.yml"), inventory=json.dumps(inventory))
    assert "web1, web3: Plan | Check: it is wrong AND web4: No disk END" in ran.stdout, ran.stdout + ran.stderr


def test_an_account_claims_no_more_than_is_so(ansible_plays: Plays) -> None:
    """Later plays have the facts of earlier ones, so that those with commands of manage.py come last."""
    managed: dict[str, Any] = {"__django_release_managed": {"results": []}}
    facts = {
        "shop serves what it served before (v1).": {"__maintenance_page_installed": {"changed": False}},
        "shop serves the version from before, v1; this run has renewed Nginx's gate and pages.": {
            "__maintenance_page_installed": {"changed": True}
        },
        "has renewed Nginx's gate and pages, and what check and collectstatic --noinput wrote.": managed,
        "this run has renewed what check and collectstatic --noinput wrote.": {
            "__maintenance_page_installed": {"changed": False},
            **managed,
        },
        "shop serves what it served before (v1).\nNEXT": {"__django_release_collected": {}},
        "        web1: Run its own commands again: it failed\n        To have its own of what check and collectstatic wrote again: "
        "ansible-playbook deploy.yml -e django_release_version=v1\n": {
            "__django_release_collected": {"failed": True},
            "__django_release_not_collected": "web1: Run its own commands again: it failed",
        },
    }
    variables = {
        "__django_release_phase": "prepare",
        "__django_release_touched": False,
        "__django_release_goes_back": True,
        "__django_release_nothing_is_live": False,
        "django_release_manage_commands": [["check"], ["collectstatic", "--noinput"]],
    }
    off = {"status": {"on": False}}
    plays = {said: account(variables, __django_release_flag_now=off, **its) for said, its in facts.items()}
    for said, printed in ansible_plays(plays).items():
        assert said in printed


def test_an_account_of_a_rollback_says_what_the_database_has_gone_back_over_and_how_to_go_on(
    ansible_plays: Plays,
) -> None:
    variables = {
        "__django_release_phase": "activate",
        "__django_release_migrated": True,
        "__django_release_rolls_back": True,
        "__django_release_label": "v1",
        "__django_release_known": {"live": {"release": "def"}, "versions": {"def": "v2", "abc": "v1"}},
        "__django_migrate_result": {**RESULT, "failed_migration": None},
    }
    undone = {
        "__django_release_touched": True,
        "__django_release_is_back": True,
        "__django_migrate_undone": {"undone": "applied"},
        "__django_release_nothing_is_live": False,
        "__django_release_goes_back": True,
        "__django_release_stays_closed": False,
    }
    plays = {
        "closed": account(variables),
        "undone": account({**variables, **undone}, __django_release_flag_now={"status": {"on": False}}),
        "undoing failed": account({**variables, **undone}, __django_release_undo_failure="web1: it fails"),
    }
    said = {name: " ".join(printed.split()) for name, printed in ansible_plays(plays).items()}
    again = "roll back again: ansible-playbook playbooks/rollback.yml"
    assert "FAILED in the phase activate of v1 (abc)" in said["closed"]
    assert "The database has gone back over (tea.0002), and v1 is not proven to work." in said["closed"]
    assert (
        "roll back again, and the site opens when that succeeds: ansible-playbook playbooks/rollback.yml"
        in said["closed"]
    )
    assert "as tea, and deploy v2:" in said["closed"]
    applied = (
        "What this run had reversed is applied again. What was in the columns and tables that it took away is in"
        " /b/shop.dump on localhost."
    )
    assert (
        f"STATE {applied} shop serves what it served before (v2). NEXT Mend what failed, and {again}" in said["undone"]
    )
    assert f"web1: it fails {applied} Closed: localhost. Open: none." in said["undoing failed"]
    assert f"maintenance_status.yml Mend what failed, and {again}" in said["undoing failed"]


FAILURE = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{vars}"]
  tasks:
    - name: Fail and say it
      block:
        - name: Check
          ansible.builtin.fail:
            msg: "{{{{ item | default('it') }}}} is wrong"
          {loop}
      rescue:
        - name: Say it
          ansible.builtin.debug:
            msg: "SAID={{{{ __django_release_failed_messages | join('; ') }}}}=END"
"""


def test_what_a_failed_task_says(ansible_plays: Plays) -> None:
    loops = {
        "it is wrong": "",
        "one is wrong; two is wrong": "loop: [one, two]",
        "one is wrong": "loop: [one]",
    }
    variables = TEMPLATE.parents[1] / "vars/main/main.yml"
    printed = ansible_plays({said: FAILURE.format(vars=variables, loop=loop) for said, loop in loops.items()})
    for said in loops:
        assert f"SAID={said}=END" in printed[said]


PLANNED = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{vars}"]
  vars:
    __django_release_flag: {flag}
    __django_release_operators_window: true
    __django_release_needs_window: {needs}
    __django_release_unfinished_window: {unfinished}
    __django_release_known: {{closing_by_setting: false}}
    __django_release_pending: {pending}
    __django_release_label: v2
    __django_release_account: tea
    __django_migrate_plan: {{left: {left}, restore: {restore}}}
    __intermission_gone: []
    __intermission_leader: web1
    intermission_site: shop
    django_release_root: /srv/shop
    django_release_allow_older: false
  tasks:
    - name: Say what is wrong
      intermission.django.report:
        text: "SAID={{{{ (__django_release_plan_faults or '') | trim }}}}=END"
"""


def planned(needs: bool = True, **facts: Any) -> str:
    """Give a play that says what is wrong with a plan."""
    variables = TEMPLATE.parents[1] / "vars/main/faults.yml"
    known = {"flag": {"window": None}, "pending": [], "left": {}, "restore": [], "unfinished": True, **facts}
    return PLANNED.format(
        vars=variables, needs=json.dumps(needs), **{name: json.dumps(value) for name, value in known.items()}
    )


def test_a_release_that_does_not_run_the_migration_that_stopped_halfway_is_refused(ansible_plays: Plays) -> None:
    """It would be opened on a part of it, unless the operator has seen to that."""
    left = {"halfway": True, "parts": ["tea.0002"], "backup": "/b/shop.gz"}
    pending = [{"label": "tea.0002"}]
    plays = {
        "refused": planned(left=left, restore=RESULT["restore"]),
        "another": planned(left=left, pending=[{"label": "tea.0003"}]),
        "two": planned(left={**left, "parts": ["tea.0002", "tea.0003"]}, pending=pending),
        "runs it": planned(left=left, pending=pending),
        "visitors have it already": planned(left=left, unfinished=False),
        "whole": planned(left={"halfway": False, "parts": []}),
        "no job": planned(),
    }
    printed = {name: " ".join(text.split()) for name, text in ansible_plays(plays).items()}
    does_not = "may be in the database, and v2 does not run that: visitors would get it on a half migrated database"
    assert f"SAID=A part of tea.0002 {does_not}" in printed["refused"]
    commands = " ".join(RESULT["restore"])
    assert f"on web1 as tea: {commands} When you know that it is whole: -e django_migrate_d" in printed["refused"]
    assert f"SAID=A part of tea.0002 {does_not}" in printed["another"]
    assert "on web1 as tea, see docs/databases.md When you know" in printed["another"]
    assert f"SAID=A part of tea.0002, tea.0003 {does_not}" in printed["two"]
    assert [name for name in plays if "SAID==END" not in printed[name]] == ["refused", "another", "two"]


def test_no_database_is_migrated_behind_a_window_that_lets_visitors_pass(ansible_plays: Plays) -> None:
    asked: dict[str, dict[str, Any]] = {
        "localhost has a read-only window (one)": {"window": {"id": "one", "read_only": True}, "share": 0},
        "localhost has a window in which the app answers (one)": {
            "window": {"id": "one", "layer": "django"},
            "share": 0,
        },
        "localhost has a window that lets 20 of 100 visitors pass (one)": {"window": {"id": "one"}, "share": 20},
        "=END closed to all": {"window": {"id": "one"}, "share": 0},
        "=END by hand": {"window": None, "share": 0},
    }
    plays = {said: planned(flag=flag) for said, flag in asked.items()}
    plays["=END no window needed"] = planned(needs=False, flag={"window": {"id": "one"}, "share": 20})
    for said, printed in ansible_plays(plays).items():
        assert f"SAID={said.split(' ')[0] if said.startswith('=') else said}" in printed


TOLD = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{variables}"]
  vars:
    __intermission_hosts: [localhost, web2]
    __intermission_gone: []
    intermission_site: shop
    django_release_probe_rate: 0
    django_release_strategy: window
    __django_release_label: v2
    __django_release_id: abc
    __django_release_known: {{closed_by_setting: false, live: {{release: old}}}}
    __django_release_needs_window: true
    __django_release_holds: false
    __django_release_unfinished_window: {unfinished}
    __django_migrate_plan: {{host: "", left: {left}, pending: {pending}}}
    __intermission_leader: localhost
  tasks:
    - name: The other one
      ansible.builtin.add_host:
        name: web2
        __django_release_noted: {{status: {second}}}
      changed_when: false

    - name: Note it
      ansible.builtin.set_fact:
        __django_release_noted: {{status: {first}}}
        __django_release_app: {{running: {runs}}}

    - name: Say it
      intermission.django.report:
        text: "{{{{ lookup('ansible.builtin.template', '{template}') }}}}UNFINISHED {{{{ __django_release_is_unfinished }}}}"
"""
MIGRATION = {
    "app": "tea",
    "name": "0002",
    "label": "tea.0002",
    "operations": ["Add field price to leaf"],
    "backwards": False,
    "way": "window",
    "because": "it changes data",
}
MIGRATES = json.dumps(MIGRATION)
OPEN, BY_HAND = {"on": False, "window": None}, {"on": True, "window": None}
PLANNED_WINDOW = {"on": True, "window": {"id": "upgrade"}}
OF_DEPLOY = {"on": True, "window": {"id": "deploy-1"}}


def told(template: str, **facts: Any) -> str:
    """Give a play that says a plan, or the end of a deploy, of two hosts."""
    path = TEMPLATE.with_name(template)
    known = {"first": OPEN, "second": OPEN, "unfinished": False, "runs": True, "left": {}, "pending": [], **facts}
    written = {name: json.dumps(value) for name, value in known.items()}
    return TOLD.format(variables=ROLE_VARIABLES / "main.yml", template=path, **written)


def test_a_plan_and_the_end_say_what_keeps_visitors_out(ansible_plays: Plays) -> None:
    halfway = {"halfway": True, "parts": ["tea.0002"], "backup": "/b/shop.gz"}
    before: dict[str, Any] = {"parts": [], "backup": None, "before": []}
    plays = {
        "open": told("done.txt.j2", first=OF_DEPLOY),
        "one by hand": told("done.txt.j2", second=BY_HAND),
        "both": told("done.txt.j2", first=PLANNED_WINDOW, second=PLANNED_WINDOW),
        "plan": told("plan.txt.j2", pending=[MIGRATION]),
        "plan by hand": told("plan.txt.j2", pending=[MIGRATION], first=BY_HAND),
        "plan both": told("plan.txt.j2", pending=[MIGRATION], first=PLANNED_WINDOW, second=PLANNED_WINDOW),
        "plan unfinished": told("plan.txt.j2", pending=[MIGRATION], first=OF_DEPLOY, unfinished=True),
        "plan halfway": told("plan.txt.j2", pending=[MIGRATION], left=halfway),
        "plan serving by hand": told("plan.txt.j2", first=BY_HAND, left=before),
        "plan unfinished by hand": told("plan.txt.j2", first=BY_HAND, runs=False, unfinished=True, left=before),
        "plan open, not unfinished": told("plan.txt.j2", left=before),
        "plan whole": told("plan.txt.j2", pending=[MIGRATION], left={**halfway, "parts": []}),
    }
    printed = {name: " ".join(text.split()) for name, text in ansible_plays(plays).items()}
    sentences = {
        "Closed stays web2: somebody opened the window by hand before this deploy": ["one by hand"],
        "It stays closed: somebody opened the window upgrade before this deploy": ["both"],
        "To open the site: ansible-playbook playbooks/maintenance_off.yml": ["one by hand", "both"],
        "Somebody's window stays open: localhost.": ["plan by hand", "plan serving by hand", "plan unfinished by hand"],
        "Somebody's window stays open: localhost, web2 (upgrade).": ["plan both"],
        "A deploy did not finish. No migration is pending: it runs v2 (abc).": ["plan unfinished by hand"],
        "It is closed now, by a deploy that did not finish": ["plan unfinished"],
        "A part of tea.0002 may be in the database from a run before": ["plan halfway"],
        "The database as it was: /b/shop.gz on localhost": ["plan halfway"],
        "tea.0002: Add field price to leaf window, because": [name for name, text in plays.items() if MIGRATES in text],
        "UNFINISHED True": ["open", "plan unfinished", "plan unfinished by hand"],
    }
    assert {said: [name for name in plays if said in printed[name]] for said in sentences} == sentences
