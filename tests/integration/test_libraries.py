# SPDX-License-Identifier: LGPL-2.1-or-later
"""Libraries that are loaded when a check needs them, and what is said where they are not there."""

import pathlib
import re
import shutil

import elf_notes
from healthd import binary

HOME = pathlib.Path(__file__).resolve().parents[2]
LATE = ("libcrypto", "libcurl", "libhiredis", "libpq")
FAST = "Interval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\nTimeout=800ms\n"


def redis_check(redis):
    return f"[Check]\nType=redis\n{FAST}[Redis]\nAddress=127.0.0.1:{redis.port}\n"


def postgresql_check(postgres):
    return (f"[Check]\nType=postgresql\n{FAST}[PostgreSQL]\nHost=127.0.0.1\n"
            f"Port={postgres.port}\nUser=postgres\n")


def mapped(daemon):
    """Which of the libraries that come late are in its memory."""
    maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text(encoding="utf-8")
    return sorted(name for name in LATE if re.search(rf"/{name}\.so", maps))


def spoil(daemon, *names):
    """Puts something else in the way of libraries; returns the environment that finds it."""
    directory = daemon.directory / "spoilt"
    directory.mkdir()
    for name in names:
        (directory / name).write_text("no library", encoding="ascii")
    return {"LD_LIBRARY_PATH": str(directory)}


def soname(stem):
    return next(name for note in elf_notes.dlopen_notes(binary()) for name in note["soname"]
                if name.startswith(stem + ".so"))


def test_the_program_says_what_it_may_load():
    notes = elf_notes.dlopen_notes(binary())
    assert {note["feature"] for note in notes} == {"http", "postgresql", "redis", "signature"}
    assert sorted(name.split(".")[0] for note in notes for name in note["soname"]) == list(LATE)
    for note in notes:
        assert note["priority"] in ("required", "recommended", "suggested")
        assert note["description"]


def test_the_shipped_checks_load_nothing(daemon):
    for file in (HOME / "checks").glob("*.check"):
        shutil.copy(file, daemon.config / "checks")
    daemon.start()
    daemon.wait_for(lambda answer: all(check["checked_at"]
                                       for check in answer.json["checks"].values()))
    assert not mapped(daemon)


def test_a_reload_loads_what_it_needs(daemon, redis):
    daemon.write_check("self", f"[Check]\nType=application\n{FAST}")
    daemon.start()
    daemon.wait_status("self", "healthy")
    assert not mapped(daemon)
    daemon.write_check("sessions", redis_check(redis))
    daemon.reload()
    daemon.wait_for(lambda answer: "sessions" in answer.json["checks"])
    daemon.wait_status("sessions", "healthy")
    # libcurl carries the bytes, and brings libcrypto along.
    assert mapped(daemon) == ["libcrypto", "libcurl", "libhiredis"]


def test_a_missing_library_is_named(daemon, redis, postgres):
    libpq = soname("libpq")
    daemon.write_check("db", postgresql_check(postgres))
    daemon.write_check("sessions", redis_check(redis))
    environment = spoil(daemon, libpq)
    result = daemon.verify(env=environment)
    assert result.returncode == 1
    said = (rf"db\.check:2: Type=postgresql: a library cannot be loaded \(\S*{libpq}: [^)]+\); "
            rf"install \S+")
    assert re.search(said, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1

    daemon.start(env=environment)
    check = daemon.wait_status("db", "error")
    assert libpq in check["error"] and "install" in check["error"], check
    assert re.search(said, daemon.stderr())
    # Nobody else minds.
    assert daemon.wait_status("sessions", "healthy")["details"]["connected"] is True
    assert "libpq" not in mapped(daemon)

    # Installed later, a reload is enough.
    (daemon.directory / "spoilt" / libpq).unlink()
    daemon.reload()
    daemon.wait_status("db", "healthy")
    assert "libpq" in mapped(daemon)
    assert daemon.check("sessions")["status"] == "healthy"


def test_every_type_says_what_it_lacks(daemon):
    environment = spoil(daemon, soname("libcurl"), soname("libhiredis"))
    types = {"http": "[HTTP]\nURL=http://localhost/\n",
             "metrics": "[Metrics]\nURL=http://localhost/\nValue=a\n",
             "redis": "[Redis]\nAddress=localhost\n",
             "tcp": "[TCP]\nAddress=localhost:1\n",
             "queue": "[Queue]\nBackend=redis-list\nQueue=jobs\n"}
    for name, section in types.items():
        daemon.write_check(name, f"[Check]\nType={name}\n{section}")
    (daemon.config / "alerts").mkdir()
    (daemon.config / "alerts/hook.alert").write_text(
        "[Alert]\nType=webhook\n[Webhook]\nURL=http://localhost/\n", encoding="ascii")
    result = daemon.verify(env=environment)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    for name in (*(f"{name}.check" for name in types), "hook.alert"):
        mine = [line for line in lines if name in line]
        assert len(mine) == 1 and "a library cannot be loaded" in mine[0], lines
    assert len(lines) == len(types) + 1

    # What comes without a library has none to miss.
    daemon.write_check("self", f"[Check]\nType=application\n{FAST}")
    daemon.start(env=environment)
    daemon.wait_status("self", "healthy")
    assert {check["status"] for name, check in daemon.get("/health").json["checks"].items()
            if name != "self"} == {"error"}
