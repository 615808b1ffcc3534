# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=file: files of every kind, directories that may not be read, and a file system that hangs."""

import contextlib
import os
import pathlib
import socket
import time

import pytest

from mounts import hung_mount
from process import children, wait_until

COMMON = ("[Check]\nType=file\nInterval=500ms\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=5s\n")
NOBODY = 65534


def section(*paths, pick=None):
    return "\n".join(["[File]", *(f"Path={path}" for path in paths),
                      *([f"Pick={pick}"] if pick else []), ""])


def make(path, age=0, size=0, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    path.chmod(mode)
    then = time.time() - age
    os.utime(path, (then, then))
    return path



def run_checks(daemon, sections, common=COMMON, **options):
    """One check of each section; returns their first results."""
    return daemon.run_checks({name: common + text for name, text in sections.items()}, **options)


def test_details_of_one_file(daemon, tmp_path):
    make(tmp_path / "with space", age=7200, size=300, mode=0o640)
    os.chown(tmp_path / "with space", NOBODY, 4242)
    check = run_checks(daemon, {"one": section(tmp_path / "with space")})["one"]
    assert check["status"] == "healthy", check
    details = check["details"]
    assert 7200 <= details.pop("age_s") < 7300
    assert 7200 <= details.pop("age_min_s") == details.pop("age_max_s") < 7300
    assert details == {
        "exists": True, "count": 1, "absent": "none", "path": f"{tmp_path}/with space",
        "size": 300, "size_min": 300, "size_max": 300, "size_total": 300, "mode": "0640",
        "owner": "nobody", "group": "4242", "type": "file"}


def test_newest_oldest_all(daemon, tmp_path):
    make(tmp_path / "a" / "1.dump", age=3000, size=10)
    make(tmp_path / "a" / "2.dump", age=1000, size=30, mode=0o600)
    make(tmp_path / "b" / "3.dump", age=2000, size=20)
    make(tmp_path / "b" / "4.log", age=10)
    make(tmp_path / "b" / ".5.dump", age=10)
    pattern = tmp_path / "?" / "*.dump"
    checks = run_checks(daemon, {
        "usual": section(pattern),
        "newest": section(pattern, pick="newest"),
        "oldest": section(pattern, pick="oldest"),
        "all": section(tmp_path / "a" / "*", tmp_path / "b" / "[0-3].dump", pick="all"),
        "dot": section(tmp_path / "b" / ".*"),
    })
    for name, path, size in (("usual", "a/2.dump", 30), ("newest", "a/2.dump", 30),
                             ("oldest", "a/1.dump", 10)):
        details = checks[name]["details"]
        assert (details["path"], details["size"]) == (f"{tmp_path}/{path}", size)
    for name in ("usual", "all"):
        details = checks[name]["details"]
        assert (details["count"], details["size_min"], details["size_max"],
                details["size_total"]) == (3, 10, 30, 60)
        assert 1000 <= details["age_min_s"] < 1100 and 3000 <= details["age_max_s"] < 3100
    assert 1000 <= checks["newest"]["details"]["age_s"] < 1100
    assert 3000 <= checks["oldest"]["details"]["age_s"] < 3100
    details = checks["all"]["details"]
    assert "age_s" not in details and "size" not in details
    assert (details["mode"], details["owner"], details["type"]) == ("various", "root", "file")
    assert details["path"] == f"{tmp_path}/a/1.dump"  # the oldest
    assert checks["dot"]["details"]["count"] == 1


def test_absent(daemon, tmp_path):
    make(tmp_path / "there")
    (tmp_path / "link").symlink_to("/nonexistent/target")
    checks = run_checks(daemon, {
        "file": section(tmp_path / "gone"),
        "glob": section(tmp_path / "gone-*"),
        "directory": section(tmp_path / "no" / "such" / "*.dump"),
        "link": section(tmp_path / "link"),
        "beneath": section(tmp_path / "there" / "file"),
        "any": section(tmp_path / "gone", tmp_path / "there"),
        "each": section(tmp_path / "gone", tmp_path / "there", pick="all"),
        "unwanted": "UnhealthyWhen=\nUnhealthyWhen=exists == yes\n" + section(tmp_path / "gone"),
        "judged": "UnhealthyWhen=age_s > 60\n" + section(tmp_path / "gone"),
    }, COMMON + "BreakerAfter=1\n")
    for name, said in {
            "file": f"absent != none (is there is no {tmp_path}/gone)",
            "glob": f"nothing matches {tmp_path}/gone-*",
            "directory": f"(there is no directory {tmp_path}/no/such)",
            "link": f"{tmp_path}/link is a link to /nonexistent/target, which is not there",
            "beneath": f"there is no {tmp_path}/there/file",
            "each": f"there is no {tmp_path}/gone",
            "judged": "absent != none",
    }.items():
        assert checks[name]["status"] == "unhealthy", checks[name]
        assert said in checks[name]["reason"], checks[name]
        assert checks[name]["breaker"]["position"] == "closed"
    assert checks["file"]["details"] == {"exists": False, "count": 0,
                                         "absent": f"there is no {tmp_path}/gone"}
    assert checks["any"]["status"] == "healthy"
    assert checks["unwanted"]["status"] == "healthy"
    make(tmp_path / "gone")
    daemon.wait_status("file", "healthy")
    daemon.wait_status("unwanted", "unhealthy")


def test_conditions_and_a_clock_that_ran_ahead(daemon, tmp_path):
    dump = make(tmp_path / "orders.dump", age=100, size=2048)
    future = make(tmp_path / "future", age=-86400)
    checks = run_checks(daemon, {
        "old": "UnhealthyWhen=age_s > 60\n" + section(dump),
        "small": "DegradedWhen=size < 1M\n" + section(dump),
        "open": "UnhealthyWhen=mode ~ [2367]$\n" + section(dump),
        "future": "UnhealthyWhen=age_s > 60\n" + section(future),
    })
    assert checks["old"]["status"] == "unhealthy"
    assert checks["old"]["reason"].startswith("age_s > 60 (is 100.")
    assert checks["small"]["status"] == "degraded"
    assert checks["open"]["status"] == "healthy"
    assert checks["future"]["status"] == "healthy"
    assert checks["future"]["details"]["age_s"] == 0
    make(dump, size=2048, mode=0o666)
    daemon.wait_status("old", "healthy")
    daemon.wait_status("open", "unhealthy")


def test_what_is_no_plain_file(daemon, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    make(tmp_path / "target", size=77)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "loop").symlink_to("loop")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "socket"))
        checks = run_checks(daemon, {
            "fifo": section(tmp_path / "fifo"),
            "link": section(tmp_path / "link"),
            "loop": section(tmp_path / "loop"),
            "socket": section(tmp_path / "socket"),
            "directory": section(f"{tmp_path}/"),
            "device": section("/dev/null"),
        })
    for name, kind in {"fifo": "fifo", "link": "file", "socket": "socket", "device":
                       "character device", "directory": "directory"}.items():
        assert checks[name]["status"] == "healthy", checks[name]
        assert checks[name]["details"]["type"] == kind
    assert checks["link"]["details"]["size"] == 77
    assert checks["loop"]["status"] == "error"
    assert "symbolic links" in checks["loop"]["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not look")
def test_directories_that_may_not_be_read(daemon, tmp_path):
    for directory in (tmp_path, *list(tmp_path.parents)[:-2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    make(tmp_path / "closed" / "file")
    make(tmp_path / "open" / "file")
    make(tmp_path / "listed" / "closed" / "file")
    for directory in (tmp_path / "closed", tmp_path / "listed" / "closed"):
        directory.chmod(0o700)
    daemon.directory.chmod(0o777)
    checks = run_checks(daemon, {
        "file": section(tmp_path / "closed" / "file"),
        "glob": section(tmp_path / "closed" / "*"),
        "below": section(tmp_path / "listed" / "*" / "file"),
        "partly": section(tmp_path / "*" / "*"),
        "absent": section(tmp_path / "open" / "gone"),
    }, prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))
    for name in ("file", "glob", "below", "partly"):
        assert checks[name]["status"] == "error", checks[name]
        assert "Permission denied" in checks[name]["error"]
        assert "namei -l" in checks[name]["error"]
        assert "absent" not in checks[name].get("details", {})
    assert checks["absent"]["status"] == "unhealthy"


def test_a_file_system_that_hangs(daemon, tmp_path):
    hung = tmp_path / "mnt"
    hung.mkdir()
    well = make(tmp_path / "well")
    with hung_mount(hung):
        checks = {f"hung-{i}": "Timeout=1s\n" + section(path)
                  for i, path in enumerate((hung / "file", hung / "*", tmp_path / "*" / "x"))}
        checks["well"] = section(well)
        checks["self"] = "Type=application\n"
        results = run_checks(daemon, checks)
        for name in checks:
            if not name.startswith("hung-"):
                continue
            assert results[name]["status"] == "unhealthy", results[name]
            assert "no end while looking at" in results[name]["error"]
            assert "findmnt" in results[name]["error"]
        # Nobody else waits for it.
        before = daemon.check("well")["checked_at"]
        daemon.wait_for(lambda answer: answer.json["checks"]["well"]["checked_at"] > before + 2)
        assert daemon.check("well")["status"] == "healthy"
        assert daemon.check("self")["details"]["loop_lag_ms"] < 1000
        for name in checks:
            daemon.remove_check(name)
        daemon.write_check("well", COMMON + section(well))
        daemon.reload()
        daemon.wait_for(lambda answer: list(answer.json["checks"]) == ["well"])
        # What hung is killed, and leaves no zombie.
        wait_until("only the look at a good file is left",
                   lambda: len(children(daemon.process.pid)) == 0)


def test_many_files(daemon, tmp_path):
    for i in range(20000):
        (tmp_path / f"{i}.job").touch()
    check = run_checks(daemon, {"spool": "UnhealthyWhen=count >= 20000\n" +
                                         section(tmp_path / "*.job")})["spool"]
    assert check["reason"] == "count >= 20000 (is 20000)"


def test_refused(daemon):
    for name, text in {"none": "[File]\n", "relative": section("orders.dump"),
                       "pick": section("/a", pick="biggest")}.items():
        daemon.write_check(name, "[Check]\nType=file\n" + text)
    said = daemon.verify().stderr
    assert "Path= is missing in [File]; write for example Path=/var/backups" in said
    assert "relative.check:4: Path=orders.dump: it must begin with" in said
    assert "pick.check:5: " in said and "newest" in said


def test_program_that_is_not_there(daemon, tmp_path):
    daemon.write_check("one", COMMON + section("/etc/hostname"))
    daemon.start(env={"HEALTHD_HELPER_DIRECTORY": str(tmp_path)})
    check = daemon.wait_status("one", "error")
    assert f"{tmp_path}/check-file is not there" in check["error"]
    assert pathlib.Path("/etc/hostname").exists()
