"""What a deploy leaves on a web host: units, accounts, access."""

from __future__ import annotations

from testinfra.host import Host

from fleet import Fleet

testinfra_hosts = ["ansible://shop"]


def test_the_units_run_and_start_at_boot(host: Host) -> None:
    for unit in ("shop.socket", "shop", "shop-worker-ticker", "nginx"):
        assert host.service(unit).is_enabled
        assert host.service(unit).is_running
    assert host.check_output("systemctl is-system-running --wait") == "running"


def test_the_app_runs_without_privileges(host: Host) -> None:
    processes = host.process.filter(user="shop")
    assert {process.comm for process in processes} >= {"gunicorn"}
    pid = host.check_output("systemctl show --property=MainPID --value shop")
    status = host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert "CapBnd:\t0000000000000000" in status


def test_the_app_writes_below_shared_and_nowhere_else(host: Host) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value shop")
    inside = f"nsenter --target {pid} --mount --setuid $(id -u shop) --setgid $(id -g shop) touch"
    assert host.run(f"{inside} /srv/shop/shared/.written").succeeded
    host.check_output("rm /srv/shop/shared/.written")
    venv = host.check_output("readlink -f /srv/shop/current/.venv")
    for place in (venv, "/srv/shop/current", "/var/lib/intermission/shop", "/etc", "/var/tmp/../lib"):
        refused = host.run(f"{inside} {place}/.written")
        assert refused.failed
        assert "Read-only file system" in refused.stderr or "Permission denied" in refused.stderr


def test_only_root_reads_the_environment_file_and_only_nginx_connects_to_the_app(host: Host) -> None:
    environment = host.file(host.check_output("readlink -f /srv/shop/environment"))
    assert (environment.user, environment.mode) == ("root", 0o600)
    directory = host.file("/srv/shop/environments")
    assert (directory.user, directory.mode) == ("root", 0o700)
    socket = host.file("/run/shop/app.sock")
    assert (socket.user, socket.mode) == ("www-data", 0o600)


def test_what_the_app_prints_is_in_the_journal(host: Host) -> None:
    invocation = host.check_output("systemctl show --property=InvocationID --value shop")
    assert "Booting worker" in host.check_output(
        f"journalctl --no-pager --identifier shop _SYSTEMD_INVOCATION_ID={invocation}"
    )


def test_the_password_of_the_database_is_in_no_process_list_and_no_log(host: Host, site: Fleet) -> None:
    assert host.run("ps -eo args | grep 'only-for[-]this-test'").failed
    assert host.run("journalctl --no-pager | grep 'only-for[-]this-test'").failed
