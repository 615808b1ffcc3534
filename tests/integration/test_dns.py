# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=dns against dnsmasq, and against name servers that misbehave."""

import contextlib
import os
import socket
import subprocess
import threading

import pytest

import servers
from process import free_port

COMMON = ("[Check]\nType=dns\nInterval=500ms\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=1s\nBreakerAfter=0\n")
PATIENT = COMMON.replace("Timeout=1s", "Timeout=5s")
ZONE = [
    "--local=/test/", "--host-record=orders.test,10.0.0.1,fd00::1",
    "--host-record=orders.test,10.0.0.2", "--host-record=four.test,10.0.0.4",
    "--mx-host=orders.test,Mail.orders.test,10", "--mx-host=orders.test,backup.test,20",
    "--txt-record=orders.test,v=spf1 -all", "--srv-host=_pg._tcp.test,db1.test,5432,1,2",
    "--cname=web.test,orders.test", "--ptr-record=1.0.0.10.in-addr.arpa,orders.test",
    *[f"--txt-record=long.test,{str(i) * 200}" for i in range(8)],
]


def section(name, *lines):
    return "\n".join(["[DNS]", f"Name={name}", *lines, ""])


def run_checks(daemon, sections, common=PATIENT, **options):
    """One check of each section; returns their first results."""
    return daemon.run_checks({name: common + text for name, text in sections.items()}, **options)


@pytest.fixture(name="dnsmasq")
def fixture_dnsmasq():
    server = servers.Dnsmasq(*ZONE)
    try:
        yield server.start()
    finally:
        server.close()


def test_records(daemon, dnsmasq):
    server = f"Server=127.0.0.1:{dnsmasq.port}"
    expected = {
        "any": ([], "10.0.0.1, 10.0.0.2, fd00::1"),
        "a": (["RecordType=A"], "10.0.0.1, 10.0.0.2"),
        "aaaa": (["RecordType=AAAA"], "fd00::1"),
        "mx": (["RecordType=MX"], "10 mail.orders.test, 20 backup.test"),
        "txt": (["RecordType=TXT"], "v=spf1 -all"),
    }
    checks = run_checks(daemon, {
        **{name: section("orders.test", server, *lines)
           for name, (lines, _) in expected.items()},
        "srv": section("_pg._tcp.test", server, "RecordType=SRV"),
        "cname": section("web.test", server, "RecordType=CNAME"),
        "through_cname": section("web.test", server, "RecordType=A"),
        "ptr": section("1.0.0.10.in-addr.arpa", server, "RecordType=PTR"),
        # 1600 bytes, which come over TCP.
        "long": section("long.test", server, "RecordType=TXT"),
        "nobody": section("nobody.test", server),
        "empty": section("four.test", server, "RecordType=AAAA"),
        "refused": section("elsewhere.example", server),
        "closed": section("orders.test", f"Server=127.0.0.1:{free_port()}"),
        "lags": "DegradedWhen=ttl < 100\n" + section("four.test", server),
    })
    for name, (_, text) in expected.items():
        assert checks[name]["status"] == "healthy", (name, checks[name])
        kind = "addresses" if name in ("any", "a", "aaaa") else "records"
        assert checks[name]["details"][kind] == text
        assert checks[name]["details"]["count"] == text.count(",") + 1
        assert 0 < checks[name]["details"]["resolve_ms"] < 5000
        assert "missing" not in checks[name]["details"]
    assert checks["a"]["details"]["ttl"] == 60
    assert checks["srv"]["details"]["records"] == "1 2 5432 db1.test"
    assert checks["cname"]["details"]["records"] == "orders.test"
    assert checks["through_cname"]["details"]["addresses"] == "10.0.0.1, 10.0.0.2"
    assert checks["ptr"]["details"]["records"] == "orders.test"
    assert checks["long"]["details"]["count"] == 8
    asking = f"asking 127.0.0.1:{dnsmasq.port} for "
    assert checks["nobody"]["error"] == (
        asking + "the addresses of nobody.test: there is no such name (NXDOMAIN)")
    assert checks["nobody"]["details"]["count"] == 0
    assert checks["empty"]["error"] == (
        asking + "AAAA of four.test: the name has no record of this type")
    assert checks["refused"]["error"].endswith("does not answer this host (REFUSED)")
    assert checks["closed"]["error"].endswith("orders.test: Connection refused")
    assert checks["lags"]["status"] == "degraded"


def test_expected_records(daemon, dnsmasq):
    server = f"Server=127.0.0.1:{dnsmasq.port}"
    four = ["RecordType=A", server]
    checks = run_checks(daemon, {
        "all": section("orders.test", server, "Expect=fd00:0::1 10.0.0.2", "Expect=10.0.0.1"),
        "missing": section("orders.test", *four, "Expect=10.0.0.1 10.0.0.2 10.0.0.7"),
        "extra": section("orders.test", *four, "Expect=10.0.0.1"),
        "other": section("orders.test", *four, "Expect=10.0.0.8 10.0.0.9"),
        "at_least": "UnhealthyWhen=\nUnhealthyWhen=missing != none\n" +
                    section("orders.test", *four, "Expect=10.0.0.1"),
        "mx": section("orders.test", server, "RecordType=MX", "Expect=20 BACKUP.test.",
                      "Expect=10 mail.orders.test"),
        "txt": section("orders.test", server, "RecordType=TXT", "Expect=v=spf1 -ALL"),
    })
    for name in ("all", "at_least", "mx"):
        assert checks[name]["status"] == "healthy", (name, checks[name])
        assert checks[name]["details"]["missing"] == "none"
    assert checks["all"]["details"]["unexpected"] == "none"
    assert checks["missing"]["reason"] == "missing != none (is 10.0.0.7)"
    assert checks["extra"]["reason"] == "unexpected != none (is 10.0.0.2)"
    assert checks["other"]["reason"] == "missing != none (is 10.0.0.8, 10.0.0.9)"
    assert checks["other"]["details"]["unexpected"] == "10.0.0.1, 10.0.0.2"
    assert checks["txt"]["status"] == "unhealthy"
    for name in ("missing", "extra", "other", "txt"):
        assert checks[name]["status"] == "unhealthy"
        assert "error" not in checks[name]


def with_resolv_conf(tmp_path, text):
    """A command that runs another with this /etc/resolv.conf."""
    path = tmp_path / "resolv.conf"
    path.write_text(text, encoding="ascii")
    prefix = ["unshare", "--mount", "sh", "-c",
              f'mount --bind {path} /etc/resolv.conf && exec "$@"', "sh"]
    if os.geteuid() != 0 or subprocess.run([*prefix, "true"], check=False).returncode != 0:
        pytest.skip("needs another /etc/resolv.conf, which only root can make")
    return prefix


def test_the_look_up_of_the_system(daemon, tmp_path):
    prefix = with_resolv_conf(tmp_path, "nameserver 127.0.0.253\nsearch test\n"
                                        "options timeout:1 attempts:1\n")
    quick = COMMON.replace("Interval=500ms", "Interval=200ms", 1).replace("Timeout=1s",
                                                                          "Timeout=3s")
    with servers.Dnsmasq("--local=/test/", host="127.0.0.253", port=53) as dnsmasq:
        dnsmasq.hosts.write_text("10.0.0.1 moving.test\nfd00::1 moving.test\n", encoding="ascii")
        dnsmasq.reload()
        for name, lines in {
            "any": [], "a": ["RecordType=A"], "aaaa": ["RecordType=AAAA"],
            "expected": ["RecordType=A", "Expect=10.0.0.1"],
        }.items():
            daemon.write_check(name, quick + section("moving.test", *lines))
        daemon.write_check("searched", quick + section("moving"))
        daemon.write_check("local", quick + section("localhost"))
        daemon.write_check("nobody", quick + section("nobody.test"))
        # Who uses a name may be answered from memory; who checks it may not.
        daemon.write_check("http", quick.replace("Type=dns", "Type=http") +
                           f"[HTTP]\nURL=http://moving.test:{free_port()}/\n")
        daemon.start(prefix=prefix)
        for name, text in {"any": "10.0.0.1, fd00::1", "a": "10.0.0.1", "aaaa": "fd00::1",
                           "expected": "10.0.0.1", "searched": "10.0.0.1, fd00::1"}.items():
            check = daemon.wait_status(name, "healthy")
            assert check["details"]["addresses"] == text
        assert "127.0.0.1" in daemon.wait_status("local", "healthy")["details"]["addresses"]
        assert daemon.wait_status("nobody", "unhealthy")["error"].startswith(
            "looking up nobody.test: ")
        # It is seen at the next run, not when the resolver forgets (after five seconds).
        dnsmasq.hosts.write_text("10.0.0.3 moving.test\n", encoding="ascii")
        dnsmasq.reload()
        check = daemon.wait_status("expected", "unhealthy", timeout=4)
        assert check["reason"] == "missing != none (is 10.0.0.1)"
        assert check["details"]["unexpected"] == "10.0.0.3"
        dnsmasq.sigstop()
        # Nor is what was found before the answer of a name server that is silent.
        check = daemon.wait_status("a", "unhealthy", timeout=30)
        assert "moving.test: " in check["error"]
        dnsmasq.sigcont()
        assert daemon.wait_status("a", "healthy", timeout=30)


def test_hang_and_back(daemon, dnsmasq):
    daemon.write_check("name", COMMON + section("orders.test", f"Server=127.0.0.1:{dnsmasq.port}"))
    daemon.start()
    daemon.wait_status("name", "healthy")
    dnsmasq.sigstop()
    check = daemon.wait_status("name", "unhealthy")
    assert check["error"] == (f"timed out after 1s: asking 127.0.0.1:{dnsmasq.port} for the "
                              "addresses of orders.test: no answer")
    dnsmasq.sigcont()
    daemon.wait_status("name", "healthy")
    dnsmasq.kill9()
    assert "Connection refused" in daemon.wait_status("name", "unhealthy")["error"]
    dnsmasq.start()
    daemon.wait_status("name", "healthy")


ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01"


def reply(question, flags=b"\x81\x80", answers=1, records=ANSWER):
    return question[:2] + flags + b"\x00\x01" + answers.to_bytes(2, "big") + bytes(4) + \
        question[12:] + records


def wrong_id(question):
    return bytes([question[0] ^ 1]) + reply(question)[1:]


# What each answers to a question, and what is said about it then.
MISCHIEF = {
    "nothing": (lambda question: [b""], "no answer"),
    "garbage": (lambda question: [os.urandom(300) for _ in range(50)], "no answer"),
    "wrong_id": (lambda question: [wrong_id(question)], "no answer"),
    "wrong_name": (lambda question: [reply(question.replace(b"orders", b"others"))], "no answer"),
    "the_question": (lambda question: [question], "no answer"),
    "cut": (lambda question: [reply(question)[:-3]], "cut off or broken"),
    "too_few": (lambda question: [reply(question, answers=9)], "cut off or broken"),
    "bad_length": (lambda question: [reply(question, records=ANSWER[:11] + b"\x03abc")],
                   "a record of its answer is broken"),
    "bad_second": (lambda question: [reply(question, answers=2, records=ANSWER + ANSWER[:11] +
                                           b"\x03abc")], "a record of its answer is broken"),
    "loop": (lambda question: [reply(question, records=b"\xc0" + bytes([len(question)]) +
                                     ANSWER[2:])], "cut off or broken"),
    "odd_code": (lambda question: [reply(question, flags=b"\x81\x8b")], "unknown error"),
    "truncated": (lambda question: [reply(question, flags=b"\x83\x80")], "Connection refused"),
    "late_but_right": (lambda question: [b"", wrong_id(question), b"x" * 4000, reply(question)],
                       None),
}


@contextlib.contextmanager
def name_server(act):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    question, peer = server.recvfrom(4096)
                    for words in act(question):
                        server.sendto(words, peer)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join(5)


def test_hostile_servers(daemon):
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(name_server(act))
                 for name, (act, _) in MISCHIEF.items()}
        checks = run_checks(daemon, {
            name: section("orders.test", "RecordType=A", f"Server=127.0.0.1:{port}")
            for name, port in ports.items()
        }, COMMON)
    for name, (_, said) in MISCHIEF.items():
        if said:
            assert checks[name]["status"] == "unhealthy", (name, checks[name])
            assert said in checks[name]["error"], (name, checks[name])
        else:
            assert checks[name]["details"]["addresses"] == "10.0.0.1", checks[name]


# What is said of an answer for A with this answer for AAAA beside it, and its errors.
HALVES = {
    "servfail": (lambda question: [reply(question, b"\x81\x82", 0, b"")], "SERVFAIL): look at its log"),
    "nxdomain": (lambda question: [reply(question, b"\x81\x83", 0, b"")], "(NXDOMAIN)"),
    "broken": (lambda question: [reply(question)[:-3]], "cut off or broken"),
    "silent": (lambda question: [], "no answer"),
    "none": (lambda question: [reply(question, answers=0, records=b"")], None),
}


def test_half_an_answer_is_none(daemon):
    """Both A and AAAA are asked for: an error of one is not made good by the other."""
    def half(act, broken_type):
        return lambda question: act(question) if question[-3] == broken_type else \
            [reply(question, records=ANSWER if question[-3] == 1 else
                   ANSWER[:3] + b"\x1c" + ANSWER[4:10] + b"\x00\x10\xfd" + bytes(14) + b"\x01")]
    types = {"A": 1, "AAAA": 28}
    with contextlib.ExitStack() as stack:
        checks = run_checks(daemon, {
            f"{name}-{kind}": section("orders.test", "Server=127.0.0.1:" + str(
                stack.enter_context(name_server(half(act, types[kind])))))
            for name, (act, _) in HALVES.items() for kind in types
        }, COMMON)
    for name, (_, said) in HALVES.items():
        for kind, other in ("A", "AAAA"), ("AAAA", "A"):
            check = checks[f"{name}-{kind}"]
            if not said:
                assert check["status"] == "healthy", check
            else:
                assert check["status"] == "unhealthy", (name, kind, check)
                assert f" for {kind} of orders.test: " in check["error"] and said in check["error"]
                assert check["error"].endswith(f"; it answered for {other}"), check["error"]
            if name != "silent":
                assert check["details"]["addresses"] == {"A": "10.0.0.1", "AAAA": "fd00::1"}[other]


MISTAKES = {
    "no_name": ([], "Name= is missing"),
    "name": (["Name=" + "a" * 64 + ".test"], "no domain name"),
    "type": (["Name=h", "RecordType=MXX"], "RecordType="),
    "no_server": (["Name=h", "RecordType=MX"], "needs Server="),
    "server": (["Name=h", "Server=ns.example"], "numeric address"),
    "expect": (["Name=h", "Expect=ten"], "no address"),
    "family": (["Name=h", "RecordType=A", "Expect=::1"], "no address"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(daemon, name):
    lines, said = MISTAKES[name]
    daemon.write_check(name, COMMON + "\n".join(["[DNS]", *lines, ""]))
    result = daemon.verify()
    assert result.returncode != 0
    found = [line for line in result.stderr.splitlines() if f"/{name}.check" in line]
    assert len(found) == 1 and said in found[0], found
