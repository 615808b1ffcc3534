# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages for Fedora, as far as Debian's rpm, rpmlint and dnf can tell.

The tests with `machine` are one story: installed, upgraded and erased under a real systemd.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from container import Container, Unavailable, library_packages
from process import wait_until

SOURCE = pathlib.Path(os.environ["HEALTHD_SOURCE"])
SPEC = SOURCE / "rpm/healthd.spec"
NAMES = ["healthctl", "healthd", "healthd-amqp", "healthd-kafka"]
SOCKETS = ["healthd.socket", "healthd-http.socket", "healthd-guard.socket"]

# Build-Depends of debian/control and what the spec asks for in their place.
TWINS = {
    "bind9-dnsutils": "bind-utils", "chromium-driver": "chromedriver",
    "clang-format": "clang-tools-extra", "clang-tidy": "clang-tools-extra",
    "dnsmasq-base": "dnsmasq", "iputils-ping": "iputils",
    "libcjson-dev": "pkgconfig(libcjson)", "libclang-rt-dev": "clang",
    "libcmocka-dev": "pkgconfig(cmocka)", "libcurl4-openssl-dev": "pkgconfig(libcurl)",
    "libgnutls28-dev": "pkgconfig(gnutls)", "libhiredis-dev": "pkgconfig(hiredis)",
    "libmicrohttpd-dev": "pkgconfig(libmicrohttpd)",
    "libpq-dev": "pkgconfig(libpq)", "librabbitmq-dev": "pkgconfig(librabbitmq)",
    "librdkafka-dev": "pkgconfig(rdkafka)", "libsmartcols-dev": "pkgconfig(smartcols)",
    "libssl-dev": "pkgconfig(libssl)", "libsystemd-dev": "pkgconfig(libsystemd)",
    "monitoring-plugins-basic": "nagios-plugins-all",
    "monitoring-plugins-standard": "nagios-plugins-all", "nginx-light": "nginx",
    "openssh-client": "openssh-clients",
    "postgresql": "postgresql-server", "prometheus": "golang-github-prometheus",
    "prometheus-alertmanager": "golang-github-prometheus-alertmanager",
    "prometheus-node-exporter": "golang-github-prometheus-node-exporter",
    "python3-gi": "python3-gobject-base", "python3-prometheus-client": "python3-prometheus_client",
    "redis-server": "redis", "redis-tools": "redis", "shellcheck": "ShellCheck",
    "systemd-dev": "pkgconfig(systemd)", "zlib1g-dev": "pkgconfig(zlib)",
}
# Debian's way of packaging, and what only runs on Debian: its packages, its containers.
DEBIAN_ONLY = {"blhc", "debhelper-compat", "debian-archive-keyring", "dh-sequence-installsysusers",
               "dnf", "dnf-plugins-core", "lintian", "mmdebstrap", "pkgconf", "rpm", "rpmlint"}
# Part of every installation of Fedora.
NOT_ASKED_FOR = {"mount", "systemd", "util-linux", "zstd"}
# What Debian's build-essential and its -dev packages bring along.
FEDORA_ONLY = {"gcc", "libasan", "libubsan", "pkgconfig(libcrypto)", "systemd-rpm-macros"}


def call(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with all packages of this tree."""
    if not shutil.which("dpkg-buildpackage"):
        pytest.skip("elsewhere it is built by rpmbuild")
    directory = tmp_path_factory.mktemp("packages")
    call(str(SOURCE / "dev"), "package", str(directory), "rpm")
    return directory


def package(directory, name):
    return str(next(directory.glob(f"{name}-[0-9]*.rpm")))


def query(path, *options):
    return call("rpm", "-qp", "--nosignature", *options, path)


def build_requires():
    options = ["--define", "_with_lint 1", "--load", str(SOURCE / "rpm/macros.debian")]
    return call("rpmspec", "-q", "--buildrequires", *options, str(SPEC)).splitlines()


def build_depends():
    """The names in debian/control, the first of alternatives; ./dev bench is for Debian alone."""
    paragraph = (SOURCE / "debian/control").read_text(encoding="utf-8").split("Build-Depends:")[1]
    lines = paragraph.split("\n\n")[0].split(",")
    return {re.match(r"\s*([^\s:|(<]+)", line).group(1) for line in lines
            if "pkg.healthd.bench" not in line}


def test_rpmlint_has_nothing_to_say(built):
    output = call("rpmlint", "-c", str(SOURCE / "rpm/healthd.rpmlint.toml"), str(SPEC),
                  *(package(built, name) for name in NAMES))
    assert "4 packages and 1 specfiles checked; 0 errors, 0 warnings" in output, output


def test_the_two_lists_of_build_dependencies_say_the_same():
    ours = {line.split()[0] for line in build_requires()}
    theirs = build_depends()
    expected = {TWINS.get(name, name) for name in theirs - DEBIAN_ONLY - NOT_ASKED_FOR}
    assert ours == expected | FEDORA_ONLY
    assert set(TWINS) | DEBIAN_ONLY | NOT_ASKED_FOR <= theirs, "the map names what nobody asks for"


def test_versions_of_libraries_are_those_of_meson():
    introspected = json.loads(call("meson", "introspect", "--scan-dependencies",
                                   str(SOURCE / "meson.build")))
    wanted = {found["name"]: found["version"] for found in introspected if found["version"]}
    assert wanted["libsystemd"] and wanted["libmicrohttpd"]
    for line in build_requires():
        name, *version = line.split(maxsplit=1)
        library = re.fullmatch(r"pkgconfig\((.*)\)", name)
        if library and library.group(1) in wanted:
            assert [wanted[library.group(1)][0].replace(" ", "")] == \
                [text.replace(" ", "") for text in version], line


def test_dnf_reads_what_is_needed():
    """There is no repository here: dnf names all it would install, and that there is none."""
    result = subprocess.run(["dnf", "--releasever=41", "--disablerepo=*", "--disableplugin=local",
                             "builddep", "--assumeno", str(SPEC)], capture_output=True, text=True,
                            check=False)
    asked = set(re.findall(r"No matching package to install: '(.*?)'", result.stderr + result.stdout))
    without_lint = call("rpmspec", "-q", "--buildrequires", "--load",
                        str(SOURCE / "rpm/macros.debian"), str(SPEC)).splitlines()
    assert asked == set(without_lint), result.stderr


def test_version_is_of_the_project(built):
    version = json.loads(call("meson", "introspect", "--projectinfo",
                              str(SOURCE / "meson.build")))["version"]
    for name in NAMES:
        assert query(package(built, name), "--qf", "%{VERSION}") == version


def test_every_file_is_in_one_package(built):
    """What `meson install` installs, in packages; with the packages' own."""
    lists = {name: query(package(built, name), "-l").splitlines() for name in NAMES}
    files = [path for paths in lists.values() for path in paths]
    assert len(files) == len(set(files)), "two packages have the same file"
    installed = set(json.loads(call("meson", "introspect", "--installed",
                                    os.environ["HEALTHD_BUILD"])).values())
    documents = {f"/usr/share/doc/healthd/{name}"
                 for name in ("README.md", "CHANGELOG.md", "SECURITY.md")}
    licences = {f"/usr/share/licenses/{name}/LICENSE" for name in NAMES}
    directories = {path for path in files if any(other.startswith(path + "/") for other in files)}
    directories |= {"/etc/healthd/checks"}
    # A directory that meson installs as a whole counts for what is in it.
    whole = {path.removesuffix("/.") for path in installed} & directories
    ours = {path for path in set(files) - directories - documents - licences
            if not path.startswith(tuple(path + "/" for path in whole))}
    assert ours == {path.removesuffix("/.") for path in installed} - directories
    assert documents | licences <= set(files)
    assert "/usr/bin/healthctl" in lists["healthctl"]
    assert "/usr/share/zsh/site-functions/_healthctl" in lists["healthctl"]
    assert "/usr/lib/healthd/check-amqp" in lists["healthd-amqp"]
    assert "/usr/lib/healthd/check-kafka" in lists["healthd-kafka"]
    assert "/usr/sbin/healthd" in lists["healthd"]


def test_what_is_loaded_later_is_recommended(built):
    wanted = query(package(built, "healthd"), "--recommends")
    assert {"hiredis", "libcurl", "libpq", "openssl-libs"} <= \
        {line.split("(")[0] for line in wanted.split()}


def test_scriptlets_have_their_order(built):
    scripts = query(package(built, "healthd"), "--scripts")
    assert "%" not in re.sub(r"%\w*\)", "", scripts), "a macro nobody knew"
    after, before = scripts.split("preuninstall scriptlet")
    assert after.index("systemd-sysusers") < after.index("systemd-tmpfiles") < \
        after.index("preset healthd.socket")
    assert "try-restart" not in before.split("postuninstall scriptlet")[0]
    assert "restart healthd.service healthd-guard.service" in before
    assert not re.search(r"restart .*\.socket", scripts)


@pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root needs root")
def test_installs_into_a_tree(built, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    rpms = [package(built, name) for name in NAMES]
    call("rpm", "--root", str(tree), "--initdb")
    call("rpm", "--root", str(tree), "-i", "--nodeps", "--noscripts", "--nosignature", *rpms)
    assert os.access(tree / "usr/sbin/healthd", os.X_OK)
    assert (tree / "etc/healthd/checks").is_dir()
    assert call("rpm", "--root", str(tree), "-Va", "--nodeps", "--nosignature") == ""
    # What others require goes last, as rpm does it by itself with dependencies.
    for name in sorted(NAMES, reverse=True):
        call("rpm", "--root", str(tree), "-e", "--nodeps", "--noscripts", name)
    assert not [path for path in tree.rglob("heal*")], "left behind by rpm -e"


# ---- the life of a machine


@pytest.fixture(scope="module")
def machine(built):
    libraries = library_packages(os.environ["HEALTHD_BINARY"])
    try:
        with Container(packages=["rpm", *libraries]) as container:
            for name in NAMES:
                shutil.copy(package(built, name), container.path(f"/tmp/{name}.rpm"))
            yield container
    except Unavailable as reason:
        pytest.skip(str(reason))


def facts(machine):
    sockets = [machine.properties(unit)["ActiveEnterTimestampMonotonic"] for unit in SOCKETS]
    return machine.properties("healthd.service")["MainPID"], sockets


def state(machine, unit, verb="is-active"):
    return machine.enter("systemctl", verb, unit, check=False).stdout.strip()


def test_installation_enables_and_starts_nothing(machine):
    result = machine.enter("rpm", "-i", "--nodeps", "--nosignature", "/tmp/healthd.rpm",
                           "/tmp/healthctl.rpm")
    assert "scriptlet failed" not in result.stderr
    assert machine.enter("getent", "passwd", "healthd").stdout.startswith("healthd:")
    for unit in SOCKETS + ["healthd.service"]:
        # Fedora's policy: what is preset is enabled, and started with the next boot.
        assert (state(machine, unit, "is-enabled"), state(machine, unit)) == \
            ("enabled", "inactive"), unit
    machine.enter("systemctl", "start", *SOCKETS, "healthd.service")

    def answers():
        output = machine.enter("curl", "--silent", "http://127.0.0.1:9797/health").stdout
        return "system_resources" in json.loads(output)["checks"]
    wait_until("healthd answers", answers)


def test_upgrade_restarts_the_service_and_no_socket(machine):
    pid, sockets = facts(machine)
    with machine.steady_client() as (result, _):
        output = machine.enter("rpm", "-U", "--replacepkgs", "--nodeps", "--nosignature",
                               "/tmp/healthd.rpm")
    assert "scriptlet failed" not in output.stderr
    pid_after, sockets_after = facts(machine)
    assert pid_after not in ("0", pid) and sockets_after == sockets
    assert result["failed"] == 0 and result["per_second"] > 300, result


def test_erasure_stops_all_and_leaves_nothing(machine):
    machine.enter("rpm", "-e", "--nodeps", "healthctl", "healthd")
    for unit in SOCKETS + ["healthd.service", "healthd-guard.service"]:
        assert state(machine, unit) in ("inactive", "unknown"), unit
    assert machine.enter("sh", "-c", "pgrep -l healthd || true").stdout == ""
    assert machine.enter("sh", "-c", "find /etc/systemd /usr /lib -name '*healthd*' "
                         "-not -path '*/python3*'").stdout == ""
