# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=postgresql against real servers."""

import os
import signal
import time

import pytest

import servers
from mounts import two_addresses
from process import children, free_port, wait_until

COMMON = ("[Check]\nType=postgresql\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=1s\n")
SLOW = COMMON.replace("Interval=1s", "Interval=60s", 1).replace("RetryInterval=200ms",
                                                                "RetryInterval=60s")
PASSWORD = "s3cr3t Passw0rd"
URI_PASSWORD = "s3cr3t%20Passw0rd"


def section(*lines):
    return "\n".join(["[PostgreSQL]", *lines, ""])


def keys(server, *lines):
    """The same server by Host= and the rest."""
    return section("Host=127.0.0.1", f"Port={server.port}", "User=postgres", *lines)


def string(server, more="", *lines):
    """The same server by ConnectionString=."""
    return section(f"ConnectionString=host=127.0.0.1 port={server.port} user=postgres {more}",
                   *lines)




def monitoring_backends(server):
    return server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'healthd'")


def kill_backends(server):
    """SIGKILL to one that serves healthd, after which the server restarts them all."""
    pid = server.sql("SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'healthd'")
    os.kill(int(pid), signal.SIGKILL)


def test_ways_to_connect(daemon, postgres):
    port, directory = postgres.port, postgres.socket_directory
    daemon.write_check("keys", COMMON + keys(postgres, "Database=template1",
                                             "Query=SELECT current_database()"))
    daemon.write_check("string", COMMON + string(postgres, "dbname=postgres"))
    daemon.write_check("uri", COMMON + section(
        f"ConnectionString=postgresql://postgres@localhost:{port}/postgres"))
    daemon.write_check("socket", COMMON + section(f"Host={directory}", f"Port={port}",
                                                  "User=postgres"))
    daemon.write_check("socket-string", COMMON + section(
        f"ConnectionString=host={directory} port={port} user=postgres"))
    daemon.write_check("kept", COMMON + keys(postgres, "Connection=persistent"))
    daemon.write_check("several", COMMON + section(
        "ConnectionString=host=no-such-host.invalid,127.0.0.1,localhost "
        f"port={free_port()},{free_port()},{port} user=postgres target_session_attrs=read-write"))
    daemon.write_check("hostaddr", COMMON + section(
        f"ConnectionString=host=no-such-host.invalid hostaddr=127.0.0.1 port={port} user=postgres"))
    names = ("keys", "string", "uri", "socket", "socket-string", "kept", "several", "hostaddr")
    daemon.start()
    checks = daemon.first_results(*names)
    for name in names:
        assert checks[name]["status"] == "healthy", checks[name]
        details = checks[name]["details"]
        assert details["connected"] is True
        assert details["in_recovery"] is False
        assert details["server_version"][0].isdigit()
        assert details["connect_ms"] > 0 and details["query_ms"] > 0
        assert details["query_result"] == (1 if name != "keys" else "template1")
    daemon.wait_details("kept", connect_ms=0)


def test_the_first_row(daemon, postgres):
    daemon.write_check("columns", COMMON + keys(
        postgres, "Query=SELECT 42::bigint AS stuck, 'two words' AS text, true AS flag, "
        "1.5::numeric AS ratio, NULL AS nothing, 'NaN'::float8 AS strange, 7 AS connected, "
        "interval '1 day' AS age UNION ALL SELECT 0, '', false, 0, '', 0, 0, '0'"))
    daemon.write_check("empty", COMMON + keys(postgres, "Query=SELECT 1 AS one WHERE false"))
    daemon.write_check("command", COMMON + keys(postgres, "Query=SET work_mem = '1MB'"))
    daemon.write_check("endless", COMMON + keys(
        postgres, "Connection=persistent", "Query=SELECT generate_series(1, 100000000) AS number"))
    daemon.write_check("settings", COMMON + string(
        postgres, "options='-c search_path=elsewhere'",
        "Query=SELECT current_setting('application_name') AS name, "
        "current_setting('search_path') AS path, "
        "extract(epoch FROM current_setting('statement_timeout')::interval) AS limit"))
    daemon.start()
    checks = daemon.first_results("columns", "empty", "command", "endless", "settings")
    for name in ("columns", "empty", "command", "endless", "settings"):
        assert checks[name]["status"] == "healthy", checks[name]
    details = checks["columns"]["details"]
    assert details["query_result"] == details["stuck"] == 42
    assert (details["text"], details["flag"], details["ratio"]) == ("two words", True, 1.5)
    assert "nothing" not in details
    assert details["strange"] == "NaN"
    assert details["connected"] is True
    assert details["age"] == "1 day"
    assert "query_result" not in checks["empty"]["details"]
    assert "query_result" not in checks["command"]["details"]
    assert checks["endless"]["details"]["number"] == 1
    details = checks["settings"]["details"]
    assert (details["name"], details["path"]) == ("healthd", "elsewhere")
    assert 0.5 < details["limit"] <= 0.9


def test_conditions(daemon, postgres):
    postgres.sql("CREATE TABLE jobs (state text)")
    daemon.write_check("jobs", COMMON + "UnhealthyWhen=stuck > 10\n"
                       "DegradedWhen=query_result > 5\n" +
                       keys(postgres, "Query=SELECT count(*) AS stuck FROM jobs"))
    daemon.write_check("null", COMMON + "UnhealthyWhen=query_result > 10\n" +
                       keys(postgres, "Query=SELECT max(state) FROM jobs WHERE false"))
    daemon.start()
    daemon.wait_status("jobs", "healthy")
    assert "query_result" in daemon.wait_status("null", "error")["reason"]
    postgres.sql("INSERT INTO jobs SELECT 'stuck' FROM generate_series(1, 7)")
    assert daemon.wait_status("jobs", "degraded")["reason"] == "query_result > 5 (is 7)"
    postgres.sql("INSERT INTO jobs SELECT 'stuck' FROM generate_series(1, 5)")
    assert daemon.wait_status("jobs", "unhealthy")["reason"] == "stuck > 10 (is 12)"
    postgres.sql("DELETE FROM jobs")
    daemon.wait_status("jobs", "healthy")


def test_failures_name_their_cause(daemon, postgres):
    postgres.sql("CREATE TABLE numbers (n int)")
    postgres.sql("INSERT INTO numbers SELECT * FROM generate_series(1, 30)")
    failures = {
        "database": (keys(postgres, "Database=nothing"), 'database "nothing" does not exist'),
        "role": (section("Host=127.0.0.1", f"Port={postgres.port}", "User=nobody-here",
                         "Database=postgres"), 'role "nobody-here" does not exist'),
        "refused": (section("Host=127.0.0.1", f"Port={free_port()}"), "failed: Connection refused"),
        "directory": (section("Host=/nonexistent"), "/nonexistent/.s.PGSQL.5432"),
        "name": (section("Host=no-such-host.invalid"), "cannot resolve no-such-host.invalid"),
        "relation": (keys(postgres, "Query=SELECT * FROM nowhere"),
                     'Query= failed: relation "nowhere" does not exist'),
        "late": (keys(postgres, "Query=SELECT 1 / (20 - n) FROM numbers ORDER BY n"),
                 "Query= failed: division by zero"),
        "two": (keys(postgres, "Query=SELECT 1; DROP TABLE numbers"), "multiple commands"),
        "out": (keys(postgres, "Query=COPY numbers TO STDOUT"), "must not be a COPY"),
        "in": (keys(postgres, "Query=COPY numbers FROM STDIN"), "must not be a COPY"),
        "sleep": (keys(postgres, "Query=SELECT pg_sleep(60)"), "more than 90 % of Timeout="),
        "suicide": (keys(postgres, "Connection=persistent",
                         "Query=SELECT pg_terminate_backend(pg_backend_pid())"),
                    "terminating connection due to administrator command"),
        "standby": (string(postgres, "target_session_attrs=standby"), "not in hot standby mode"),
    }
    for name, (text, _) in failures.items():
        daemon.write_check(name, COMMON + text)
    daemon.start()
    checks = daemon.first_results(*failures)
    for name, (_, said) in failures.items():
        assert checks[name]["status"] == "unhealthy", (name, checks[name])
        assert said in checks[name]["error"]
        assert "\n" not in checks[name]["error"]
    for name in ("database", "role", "refused", "directory", "name", "standby"):
        assert checks[name]["details"]["connected"] is False
    for name in ("relation", "late", "two", "out", "in", "sleep"):
        assert checks[name]["details"]["connected"] is True
    assert postgres.sql("SELECT count(*) FROM numbers") == "30"


def test_statements_do_not_pile_up(daemon, postgres):
    often = COMMON.replace("Interval=1s", "Interval=300ms", 1).replace("Timeout=1s",
                                                                       "Timeout=300ms")
    daemon.write_check("sleep", often + "BreakerAfter=0\n" + keys(postgres, "Query=SELECT pg_sleep(60)"))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["checks"]["sleep"]["consecutive_failures"] >= 6)
    assert int(monitoring_backends(postgres)) <= 2


def test_standby(daemon):
    server = servers.Postgres()
    try:
        (server.data / "standby.signal").touch()
        server.start()
        daemon.write_check("standby", COMMON + "UnhealthyWhen=in_recovery == false\n" +
                           keys(server, "Connection=persistent"))
        daemon.start()
        assert daemon.wait_status("standby", "healthy")["details"]["in_recovery"] is True
        server.sql("SELECT pg_promote()")
        assert daemon.wait_status("standby", "unhealthy")["details"]["in_recovery"] is False
    finally:
        server.close()


def test_tls(daemon, certificates):
    query = "Query=SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    with servers.Postgres(certificates=certificates) as server:
        uri = f"ConnectionString=postgresql://postgres@localhost:{server.port}/postgres?sslmode="
        trusted = f"verify-full&sslrootcert={certificates.ca}"
        daemon.write_check("right", COMMON + section(uri + trusted, query))
        daemon.write_check("kept", COMMON + section(uri + trusted, query, "Connection=persistent"))
        daemon.write_check("require", COMMON + keys(server, "SSLMode=require", query))
        daemon.write_check("disable", COMMON + keys(server, "SSLMode=disable", query))
        daemon.write_check("stranger", COMMON + section(
            uri + "verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt", query))
        daemon.start()
        checks = daemon.first_results("right", "kept", "require", "disable", "stranger")
        for name in ("right", "kept", "require"):
            assert checks[name]["details"].get("query_result") is True, checks[name]
        assert checks["disable"]["details"]["query_result"] is False
        assert "certificate verify failed" in checks["stranger"]["error"]
        assert "sslrootcert=" in checks["stranger"]["error"]
        daemon.wait_details("kept", connect_ms=0)
        server.kill9()
        daemon.wait_status("kept", "unhealthy", 5)


@pytest.mark.parametrize("connection", ["fresh", "persistent"])
def test_killed_and_back(daemon, postgres, connection):
    daemon.write_check("database", COMMON + keys(postgres, f"Connection={connection}"))
    daemon.start()
    daemon.wait_status("database", "healthy")
    postgres.kill9()
    # The first to fail may have been connected while the server died.
    refused = f'"127.0.0.1", port {postgres.port} failed: Connection refused'
    daemon.wait_for(lambda answer: refused in
                    (answer.json["checks"]["database"].get("error") or ""))
    assert daemon.check("database")["status"] == "unhealthy"
    postgres.start()
    daemon.wait_status("database", "healthy")


@pytest.mark.parametrize("connection, stage", [("fresh", "the log-in"), ("persistent", "Query=")])
def test_hang(daemon, postgres, connection, stage):
    daemon.write_check("database", COMMON + keys(postgres, f"Connection={connection}"))
    daemon.start()
    daemon.wait_status("database", "healthy")
    postgres.sigstop()
    check = daemon.wait_status("database", "unhealthy")
    assert check["error"].startswith(f"timed out after 1s: no answer to {stage} from "
                                     f"127.0.0.1:{postgres.port}")
    assert 999 <= check["duration_ms"] < 2000
    postgres.sigcont()
    daemon.wait_status("database", "healthy")


def several(*places, more=""):
    """The places are (host, port)."""
    return section("ConnectionString=user=postgres dbname=postgres"
                   f" host={','.join(host for host, _ in places)}"
                   f" port={','.join(str(port) for _, port in places)} {more}",
                   "Query=SELECT current_setting('port')::int AS port")


def test_a_silent_server_is_passed_over(daemon, postgres):
    healthy = ("127.0.0.1", postgres.port)
    refused = ("127.0.0.1", free_port())
    with servers.full_backlog("127.0.0.2") as port, servers.full_backlog("127.0.0.3") as other:
        silent, silent_too = ("127.0.0.2", port), ("127.0.0.3", other)
        long = COMMON.replace("Timeout=1s", "Timeout=5s")
        daemon.write_check("first", COMMON + several(silent, healthy))
        daemon.write_check("long", long + several(silent, healthy))
        daemon.write_check("middle", COMMON + several(refused, silent, healthy))
        daemon.write_check("two", COMMON + several(silent, silent_too, healthy))
        daemon.write_check("odd", COMMON + section(
            "ConnectionString=user=postgres host=no-such-host.invalid,/nonexistent,localhost "
            f"hostaddr=127.0.0.2,,127.0.0.1 port={port},{port},{postgres.port}"))
        daemon.write_check("mapped", COMMON + section(
            "ConnectionString=user=postgres host=a,b hostaddr=::FFFF:127.0.0.2,127.0.0.1 "
            f"port={port},{postgres.port}"))
        daemon.write_check("ports", COMMON + several(("127.0.0.2", free_port()), silent, healthy,
                                                     more="dbname=nothing"))
        daemon.write_check("none", COMMON + several(silent, refused))
        daemon.write_check("late", COMMON + several(refused, silent, silent_too))
        daemon.start()
        checks = daemon.first_results("first", "long", "middle", "two", "odd", "mapped",
                                      "ports", "none", "late")
    for name in ("first", "long", "middle", "two", "odd", "mapped"):
        assert checks[name]["status"] == "healthy", checks[name]
    assert 450 <= checks["first"]["details"]["connect_ms"] < 900
    assert 1950 <= checks["long"]["details"]["connect_ms"] < 2450
    assert checks["ports"]["error"].count("no answer") == 1
    assert checks["ports"]["error"].endswith('database "nothing" does not exist')
    error = checks["none"]["error"]
    assert error.startswith(f"no answer from 127.0.0.2:{port}; connection to server at")
    assert f"port {refused[1]} failed: Connection refused" in error
    error = checks["late"]["error"]
    assert error.startswith("timed out after 1s: connection to server at")
    assert f"port {refused[1]} failed: Connection refused" in error
    assert error.endswith(f"; no answer from 127.0.0.2:{port}; connecting to 127.0.0.3:{other}")
    for name in ("none", "late"):
        assert checks[name]["details"] == {"connected": False}
        assert checks[name]["error"].count("127.0.0.2") == 1


def test_a_silent_address_of_a_name_is_passed_over(daemon, tmp_path):
    mount = two_addresses(tmp_path)
    with servers.Postgres(settings=["listen_addresses=127.0.0.3"]) as server, \
            servers.full_backlog("127.0.0.1", server.port):
        place = ("two.test", server.port)
        daemon.write_check("name", COMMON + several(place))
        daemon.write_check("wrong", COMMON + several(place, more="dbname=nothing"))
        daemon.start(prefix=mount)
        checks = daemon.first_results("name", "wrong")
    assert checks["name"]["status"] == "healthy", checks["name"]
    assert checks["wrong"]["error"].startswith(
        f"no answer from two.test (127.0.0.1:{server.port}); connection to server at \"127.0.0.3")


def test_the_right_server_of_several(daemon, postgres):
    """One that will not do is passed over, whether or not another one is silent."""
    with servers.Postgres(settings=["default_transaction_read_only=on"]) as other, \
            servers.full_backlog("127.0.0.2") as port:
        silent = ("127.0.0.2", port)
        fixed, writable = ("127.0.0.1", other.port), ("127.0.0.1", postgres.port)
        lists = {
            "read-write": ([(fixed, writable), (silent, fixed, writable),
                            (fixed, silent, writable)], postgres.port),
            "read-only": ([(writable, silent, fixed)], other.port),
            "prefer-standby": ([(writable, silent), (silent, writable)], postgres.port),
        }
        expected = {}
        for attributes, (tried, right) in lists.items():
            for number, places in enumerate(tried):
                name = f"{attributes}-{number}"
                expected[name] = right
                daemon.write_check(name, COMMON + several(
                    *places, more=f"target_session_attrs={attributes}"))
        daemon.start()
        checks = daemon.first_results(*expected)
    for name, right in expected.items():
        assert checks[name]["status"] == "healthy", (name, checks[name])
        assert checks[name]["details"]["port"] == right, name


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_end_of_a_kept_connection_runs_the_check_at_once(daemon, postgres, end):
    daemon.write_check("database", SLOW + keys(postgres, "Connection=persistent"))
    daemon.start()
    daemon.wait_status("database", "healthy")
    if end == "kill":
        postgres.kill9()
    else:
        postgres.process.send_signal(signal.SIGINT)
    daemon.wait_status("database", "unhealthy", 5)


def test_an_ended_session_alone_is_no_failure(daemon, postgres):
    daemon.write_check("database", SLOW + keys(postgres, "Connection=persistent"))
    daemon.start()
    first = daemon.wait_status("database", "healthy")
    assert monitoring_backends(postgres) == "1"
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE application_name = 'healthd'")
    wait_until("it runs again",
               lambda: daemon.check("database")["checked_at"] > first["checked_at"], 5)
    check = daemon.check("database")
    assert (check["status"], check["consecutive_failures"]) == ("healthy", 0)
    assert check["details"]["connect_ms"] > 0
    assert monitoring_backends(postgres) == "1"


def wait_reused(daemon, name):
    """Until a run that begins from now on has used a kept connection."""
    now = time.time()

    def reused(answer):
        check = answer.json["checks"][name]
        return (check["checked_at"] or 0) > now and check["details"].get("connect_ms") == 0
    daemon.wait_for(reused)


def test_a_connection_that_died_unseen_is_tried_once_more(daemon, postgres):
    """While healthd is stopped its kept connection ends, and its next run is due."""
    daemon.write_check("database", COMMON.replace("Interval=1s", "Interval=100ms", 1) +
                       keys(postgres, "Connection=persistent"))
    daemon.start()
    for _ in range(10):
        wait_reused(daemon, "database")
        daemon.process.send_signal(signal.SIGSTOP)
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     "WHERE application_name = 'healthd'")
        time.sleep(0.15)
        daemon.process.send_signal(signal.SIGCONT)
    wait_reused(daemon, "database")
    assert "database is unhealthy" not in daemon.stderr()


def test_a_crashed_backend(daemon, postgres):
    daemon.write_check("database", COMMON + keys(postgres, "Connection=persistent"))
    daemon.start()
    daemon.wait_status("database", "healthy")
    kill_backends(postgres)
    wait_until("the server has recovered", postgres.is_ready)
    daemon.wait_status("database", "healthy")
    assert children(postgres.process.pid)


def test_no_transaction_is_left_open(daemon, postgres):
    daemon.write_check("database", COMMON + keys(postgres, "Connection=persistent", "Query=BEGIN"))
    daemon.start()
    daemon.wait_status("database", "healthy")
    wait_until("the session has ended", lambda: monitoring_backends(postgres) == "0")


@pytest.fixture
def locked():
    with servers.Postgres(password=PASSWORD) as server:
        yield server


def test_passwords_and_secrets(daemon, locked, tmp_path):
    (tmp_path / "db-pw").write_text(PASSWORD + "\n", encoding="utf-8")
    (tmp_path / "db").write_text(f"postgresql://postgres:{URI_PASSWORD}@127.0.0.1:{locked.port}/",
                                 encoding="utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "PGPASSWORD": "of-another",
                   "PGHOST": "elsewhere.invalid"}
    port = locked.port
    daemon.write_check("key", COMMON + keys(locked, f"Password={PASSWORD}"))
    daemon.write_check("credential", COMMON + string(locked, "", "Password=credential:db-pw"))
    daemon.write_check("string", COMMON + string(locked, f"password='{PASSWORD}'",
                                                 f"Query=SELECT '{PASSWORD}' AS leak"))
    daemon.write_check("uri", COMMON + section("ConnectionString=credential:db",
                                               f"Query=SELECT {PASSWORD.split()[0]}"))
    daemon.write_check("wrong", COMMON + string(locked, "password=another-secret"))
    daemon.write_check("none", COMMON + keys(locked))
    daemon.write_check("refused", COMMON + section(
        f"ConnectionString=postgresql://postgres:{URI_PASSWORD}@127.0.0.1:{free_port()}/x"))
    daemon.write_check("broken", COMMON + section(
        f"ConnectionString=host=127.0.0.1 port={port} pasword={URI_PASSWORD}"))
    daemon.write_check("spaces", COMMON + section(
        f"ConnectionString=host=127.0.0.1 port={port} password={PASSWORD}"))
    daemon.start(env=environment)
    checks = daemon.first_results("key", "credential", "string", "uri", "wrong", "none",
                                  "refused")
    for name in ("key", "credential", "string"):
        assert checks[name]["status"] == "healthy", checks[name]
    assert "does not exist" in checks["uri"]["error"]
    assert "check the user and Password=" in checks["wrong"]["error"]
    assert "set Password=" in checks["none"]["error"]
    assert "Connection refused" in checks["refused"]["error"]
    verification = daemon.verify(env=environment)
    said = verification.stdout + verification.stderr
    assert "broken.check" in said and "unknown parameter" in said
    assert "spaces.check" in said and "quotes" in said
    health = daemon.get("/health").text
    with open(f"/proc/{daemon.process.pid}/cmdline", encoding="utf-8") as file:
        command_line = file.read()
    daemon.terminate()
    for text in (said, health, command_line, daemon.stderr()):
        for secret in (PASSWORD, URI_PASSWORD, "Passw0rd", "another-secret", "of-another"):
            assert secret not in text


@pytest.mark.parametrize("lines, said", [
    (["ConnectionString=host=a", "Host=b"], "does not go together"),
    (["ConnectionString=service=mine"], "service="),
    (["ConnectionString=host=a,b port=1,2,3"], "one for each host"),
    (["ConnectionString=postgresql://a/b?nonsense=1"], "unknown parameter"),
    (["ConnectionString=postgresql://[::1"], "postgresql://"),
    (["Port=99999"], "Port"),
    (["SSLMode=perhaps"], "verify-full"),
])
def test_mistakes_are_explained(daemon, lines, said):
    daemon.write_check("database", COMMON + section(*lines))
    result = daemon.verify()
    assert result.returncode != 0
    number = len((COMMON + section(*lines)).splitlines())
    assert f"database.check:{number}: " in result.stderr
    assert said in result.stderr


def test_what_a_credential_holds_is_not_judged_without_it(daemon):
    daemon.write_check("database", COMMON + section("ConnectionString=credential:x",
                                                    "Password=credential:y"))
    result = daemon.verify()
    assert result.returncode == 0, result.stderr
    daemon.write_check("database", COMMON + section("ConnectionString=credential:x", "User=me"))
    result = daemon.verify()
    assert result.returncode != 0
    assert f"database.check:{len(COMMON.splitlines()) + 3}: " in result.stderr
    assert "does not go together" in result.stderr


def test_a_mistake_in_a_drop_in_is_named_there(daemon):
    daemon.write_check("database", COMMON + section("Host=a"))
    drop_in = daemon.config / "checks" / "database.check.d" / "10-x.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(section("", "Host=", "ConnectionString=nonsense"), encoding="utf-8")
    result = daemon.verify()
    assert result.returncode != 0
    assert "database.check.d/10-x.conf:4: " in result.stderr
    assert "quotes" in result.stderr
