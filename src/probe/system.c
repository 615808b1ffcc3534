/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=system: the host's processors, memory, file systems, pressure, descriptors, processes. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/time-util.h"
#include "check/probe.h"

#define FIRST_CPU_WINDOW_USEC USEC_PER_SEC
#define MOUNTS_SHOWN          64
#define MOUNTS_TRUSTED_TIMES  60

typedef struct CpuTimes {
        uint64_t busy, total;
} CpuTimes;

typedef struct MountPoint {
        char *path;
        dev_t device;
} MountPoint;

typedef struct SystemProbe {
        StringList mounts;
        StringList exclude;
        FILE *mountinfo;        /* open while mount_points are what it says */
        unsigned times_trusted; /* how often they will do before it is read anyway */
        MountPoint *mount_points;
        size_t n_mount_points;
        CpuTimes cpu; /* of the run before; total 0: none yet */
        ProcessCounter processes;
        Timer cpu_timer;
        Check *check;
        Sample sample;
} SystemProbe;

static int cpu_times_read(CpuTimes *ret) {
        uint64_t user, nice, kernel, idle, iowait, irq, softirq, steal;
        char text[512];
        int r;

        r = file_read_small("/proc/stat", text, sizeof(text));
        if (r < 0)
                return r;
        if (sscanf(text,
                   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64,
                   &user, &nice, &kernel, &idle, &iowait, &irq, &softirq, &steal) != 8)
                return -EBADMSG;
        ret->busy = user + nice + kernel + irq + softirq + steal;
        ret->total = ret->busy + idle + iowait;
        return 0;
}

static void measure_cpu(SystemProbe *probe, const CpuTimes *now) {
        uint64_t total = now->total - probe->cpu.total, busy = now->busy - probe->cpu.busy;

        /* Counters of single processors may run backwards when one goes offline. */
        if (now->total > probe->cpu.total && now->busy >= probe->cpu.busy && busy <= total)
                sample_add_number(&probe->sample, "cpu_percent",
                                  100.0 * (double) busy / (double) total);
        else
                sample_add_number(&probe->sample, "cpu_percent", 0);
}

/* The value in kB after "MemTotal:" and the like, or 0. */
static double meminfo_value(const char *text, const char *name) {
        const char *found = strstr(text, name);

        return found ? strtod(found + strlen(name), NULL) : 0;
}

static double percent_of(double part, double whole) {
        return whole > 0 ? 100.0 * part / whole : 0;
}

static void measure_memory(Sample *sample) {
        char text[4096];
        double total, available, swap_total, swap_free;

        if (file_read_small("/proc/meminfo", text, sizeof(text)) < 0)
                return;
        total = meminfo_value(text, "MemTotal:");
        available = meminfo_value(text, "MemAvailable:");
        swap_total = meminfo_value(text, "SwapTotal:");
        swap_free = meminfo_value(text, "SwapFree:");
        sample_add_number(sample, "memory_percent", percent_of(total - available, total));
        sample_add_number(sample, "swap_percent", percent_of(swap_total - swap_free, swap_total));
}

static void measure_load(Sample *sample, ProcessCounter *counter) {
        double load1, load5, load15, used, limit;
        unsigned processes;
        char text[256];

        if (file_read_small("/proc/loadavg", text, sizeof(text)) >= 0 &&
            sscanf(text, "%lf %lf %lf", &load1, &load5, &load15) == 3) {
                sample_add_number(sample, "load1", load1);
                sample_add_number(sample, "load5", load5);
                sample_add_number(sample, "load15", load15);
        }
        if (file_read_small("/proc/sys/fs/file-nr", text, sizeof(text)) >= 0 &&
            sscanf(text, "%lf %*u %lf", &used, &limit) == 2)
                sample_add_number(sample, "open_files_percent", percent_of(used, limit));
        if (process_counter_read(counter, "/proc", &processes) >= 0)
                sample_add_number(sample, "processes", processes);
}

/* How much of the last ten seconds something (some) or everything (full) waited; in per cent. */
static void measure_pressure(Sample *sample) {
        static const char *const resources[] = { "cpu", "memory", "io" };
        static const char *const kinds[] = { "some", "full" };

        for (size_t i = 0; i < ELEMENTS(resources); i++) {
                char path[64], text[256], name[64];

                snprintf(path, sizeof(path), "/proc/pressure/%s", resources[i]);
                /* A kernel without PSI has no such file, or one that cannot be read. */
                if (file_read_small(path, text, sizeof(text)) < 0)
                        continue;
                for (size_t j = 0; j < ELEMENTS(kinds); j++) {
                        const char *line = strstr(text, kinds[j]);
                        double average;

                        if (!line || sscanf(line, "%*s avg10=%lf", &average) != 1)
                                continue;
                        snprintf(name, sizeof(name), "pressure_%s_%s", resources[i], kinds[j]);
                        sample_add_number(sample, name, average);
                }
        }
}

typedef struct Mount {
        unsigned major, minor;
        char point[512];
        char type[64];
        bool read_only; /* the file system itself; the mount may be so only for this service */
} Mount;

/* Undoes the octal escapes of mountinfo, in place. */
static void unescape_octal(char *text) {
        char *out = text;

        for (; *text; text++) {
                if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
                        *out++ = (char) ((text[1] - '0') << 6 | (text[2] - '0') << 3 |
                                         (text[3] - '0'));
                        text += 3;
                } else {
                        *out++ = *text;
                }
        }
        *out = '\0';
}

/* One line of /proc/self/mountinfo; false if it is not understood. */
static bool mount_parse(char *line, Mount *ret) {
        char *rest = strstr(line, " - "), super_options[512];

        if (!rest ||
            sscanf(line, "%*u %*u %u:%u %*s %511s", &ret->major, &ret->minor, ret->point) != 3)
                return false;
        if (sscanf(rest, " - %63s %*s %511s", ret->type, super_options) != 2)
                return false;
        ret->read_only = strncmp(super_options, "ro", 2) == 0 &&
                         (super_options[2] == ',' || !super_options[2]);
        unescape_octal(ret->point);
        return true;
}

/* Asking about a file system whose server is gone blocks for ever: these are never asked. */
static bool mount_may_block(const Mount *mount) {
        static const char *const types[] = {
                "nfs",  "nfs4",   "cifs",   "smb3",     "smbfs", "ceph",     "glusterfs", "9p",
                "afs",  "kafs",   "lustre", "ocfs2",    "gfs2",  "gpfs",     "autofs",    "ncpfs",
                "coda", "beegfs", "panfs",  "orangefs", "pvfs2", "virtiofs", "vboxsf",    NULL,
        };

        for (size_t i = 0; types[i]; i++)
                if (strcmp(mount->type, types[i]) == 0)
                        return true;
        return strncmp(mount->type, "fuse", 4) == 0;
}

/* The kernel's and systemd's own trees hold no data; a read-only image is always full. */
static bool mount_holds_data(const Mount *mount) {
        static const char *const trees[] = { "/dev", "/sys", "/proc", "/run/credentials", NULL };
        const char *rest;

        for (size_t i = 0; trees[i]; i++) {
                rest = string_after_prefix(mount->point, trees[i]);
                if (rest && (*rest == '/' || !*rest))
                        return strcmp(mount->point, "/dev/shm") == 0;
        }
        return !mount->read_only && strcmp(mount->type, "devtmpfs") != 0;
}

/* Without Mounts=: what fills up. Overlays share the space of what they lie on. */
static bool mount_is_wanted(const SystemProbe *probe, const Mount *mount) {
        if (string_list_matches(probe->exclude, mount->point))
                return false;
        if (probe->mounts)
                return string_list_matches(probe->mounts, mount->point);
        if (!mount_holds_data(mount))
                return false;
        return strcmp(mount->type, "overlay") != 0 || strcmp(mount->point, "/") == 0;
}

typedef struct MountsMeasured {
        dev_t *devices;
        size_t n_devices;
        double disk_worst, inode_worst;
        const char *disk_worst_mount;
} MountsMeasured;

static void mounts_measured_done(MountsMeasured *measured) {
        free(measured->devices);
}

/* A path that leads through a dead server's mount blocks as well. */
static bool mount_is_behind(const Mount *mount, char *const *points) {
        for (; points && *points; points++) {
                const char *rest = string_after_prefix(mount->point, *points);

                if (rest && (*rest == '/' || !*rest))
                        return true;
        }
        return false;
}

static bool device_is_known(const MountsMeasured *measured, dev_t device) {
        for (size_t i = 0; i < measured->n_devices; i++)
                if (measured->devices[i] == device)
                        return true;
        return false;
}

static int note_device(MountsMeasured *measured, dev_t device) {
        dev_t *grown = reallocarray(measured->devices, measured->n_devices + 1, sizeof(dev_t));

        if (!grown)
                return -ENOMEM;
        measured->devices = grown;
        grown[measured->n_devices++] = device;
        return 0;
}

/* The worst of all mounts, and each of the first ones by its name. */
static void add_mount_percent(Sample *sample, const char *what, const MountPoint *point,
                              size_t number, double percent) {
        char name[600];

        if (number > MOUNTS_SHOWN)
                return;
        snprintf(name, sizeof(name), "%s:%s", what, point->path);
        sample_add_number(sample, name, percent);
}

static void measure_mount(Sample *sample, const MountPoint *point, MountsMeasured *measured) {
        double used, percent;
        struct statvfs fs;
        struct stat st;

        if (device_is_known(measured, point->device))
                return;
        /* A single file may be a mount point too, of a file system that is elsewhere. */
        if (stat(point->path, &st) < 0 || !S_ISDIR(st.st_mode))
                return;
        if (statvfs(point->path, &fs) < 0 || fs.f_blocks == 0)
                return;
        if (note_device(measured, point->device) < 0)
                return;
        /* As df counts: what is kept for root is not free for anybody who asks. */
        used = (double) (fs.f_blocks - fs.f_bfree);
        percent = percent_of(used, used + (double) fs.f_bavail);
        add_mount_percent(sample, "disk_percent", point, measured->n_devices, percent);
        if (percent >= measured->disk_worst) {
                measured->disk_worst = percent;
                measured->disk_worst_mount = point->path;
        }
        /* Some file systems have no fixed number of inodes. */
        if (fs.f_files == 0)
                return;
        percent = percent_of((double) (fs.f_files - fs.f_ffree), (double) fs.f_files);
        add_mount_percent(sample, "inode_percent", point, measured->n_devices, percent);
        if (percent > measured->inode_worst)
                measured->inode_worst = percent;
}

static void mount_points_forget(SystemProbe *probe) {
        for (size_t i = 0; i < probe->n_mount_points; i++)
                free(probe->mount_points[i].path);
        free(probe->mount_points);
        probe->mount_points = NULL;
        probe->n_mount_points = 0;
        if (probe->mountinfo)
                fclose(TAKE_PTR(probe->mountinfo));
}

static int mount_points_add(SystemProbe *probe, const Mount *mount) {
        MountPoint *grown = reallocarray(probe->mount_points, probe->n_mount_points + 1,
                                         sizeof(MountPoint));

        if (!grown)
                return -ENOMEM;
        probe->mount_points = grown;
        grown += probe->n_mount_points;
        grown->device = makedev(mount->major, mount->minor);
        grown->path = strdup(mount->point);
        if (!grown->path)
                return -ENOMEM;
        probe->n_mount_points++;
        return 0;
}

static int mount_points_read(SystemProbe *probe) {
        _cleanup_(string_list_freep) StringList blocking = NULL;
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        Mount mount;
        int r = 0;

        while (r >= 0 && getline(&line, &allocated, probe->mountinfo) >= 0) {
                if (!mount_parse(line, &mount))
                        continue;
                if (mount_may_block(&mount))
                        r = string_list_add(&blocking, mount.point);
                else if (mount_is_wanted(probe, &mount) && !mount_is_behind(&mount, blocking))
                        r = mount_points_add(probe, &mount);
        }
        return r < 0 ? r : ferror(probe->mountinfo) ? -EIO : 0;
}

/*
 * What is mounted, wanted, and will not block. It changes rarely, is told by poll(), and is dear to
 * read: a service with a sandbox has dozens of mounts, a host with containers hundreds. Nobody is
 * told in our namespace that a file system became writable in another one: so now and then it is
 * read all the same.
 */
static int mount_points_update(SystemProbe *probe) {
        int r;

        if (probe->mountinfo) {
                struct pollfd changed = { .fd = fileno(probe->mountinfo), .events = POLLPRI };

                if (probe->times_trusted > 0 && poll(&changed, 1, 0) == 0) {
                        probe->times_trusted--;
                        return 0;
                }
                mount_points_forget(probe);
        }
        probe->mountinfo = fopen("/proc/self/mountinfo", "re");
        if (!probe->mountinfo)
                return -errno;
        probe->times_trusted = MOUNTS_TRUSTED_TIMES;
        r = mount_points_read(probe);
        /* Out of memory, for example: rather measure nothing than hang. */
        if (r < 0)
                mount_points_forget(probe);
        return r;
}

static void measure_disks(SystemProbe *probe) {
        _cleanup_(mounts_measured_done) MountsMeasured measured = {};
        int r;

        r = mount_points_update(probe);
        if (r < 0) {
                sample_fail_internal(&probe->sample, "reading /proc/self/mountinfo: %s",
                                     strerror(-r));
                return;
        }
        for (size_t i = 0; i < probe->n_mount_points; i++)
                measure_mount(&probe->sample, &probe->mount_points[i], &measured);
        if (measured.n_devices > 0) {
                sample_add_number(&probe->sample, "disk_percent", measured.disk_worst);
                sample_add_string(&probe->sample, "disk_worst", measured.disk_worst_mount);
                sample_add_number(&probe->sample, "inode_percent", measured.inode_worst);
        } else if (probe->mounts) {
                sample_fail(&probe->sample,
                            "no local file system is mounted at what Mounts= names (%s%s); network "
                            "and FUSE file systems are not measured, since a dead server would "
                            "hang the reader",
                            probe->mounts[0], probe->mounts[1] ? ", ..." : "");
        }
}

static void system_finish(SystemProbe *probe, const CpuTimes *now) {
        measure_cpu(probe, now);
        probe->cpu = *now;
        measure_memory(&probe->sample);
        measure_disks(probe);
        measure_load(&probe->sample, &probe->processes);
        measure_pressure(&probe->sample);
        check_report(probe->check, &probe->sample);
}

static void system_on_cpu_window(Timer *timer, void *userdata) {
        SystemProbe *probe = userdata;
        CpuTimes now;

        (void) timer;
        if (cpu_times_read(&now) < 0)
                now = probe->cpu;
        system_finish(probe, &now);
}

static int system_start(void *instance, Check *check) {
        SystemProbe *probe = instance;
        uint64_t window_usec = (check_deadline_usec(check) - now_monotonic_usec()) / 2;
        CpuTimes now;
        int r;

        if (window_usec > FIRST_CPU_WINDOW_USEC)
                window_usec = FIRST_CPU_WINDOW_USEC;
        r = cpu_times_read(&now);
        if (r < 0)
                return r;
        probe->check = check;
        if (probe->cpu.total > 0) {
                system_finish(probe, &now);
                return 0;
        }
        /* The first run has nothing to compare with: it looks twice. */
        probe->cpu = now;
        timer_init(&probe->cpu_timer, check->runtime->scheduler, system_on_cpu_window, probe);
        return timer_arm_after(&probe->cpu_timer, window_usec);
}

static void system_cancel(void *instance, Sample *sample) {
        SystemProbe *probe = instance;

        (void) sample;
        timer_disarm(&probe->cpu_timer);
}

static void system_done(void *instance) {
        SystemProbe *probe = instance;

        string_list_free(probe->mounts);
        string_list_free(probe->exclude);
        mount_points_forget(probe);
        sample_done(&probe->sample);
}

static const ConfigKey system_keys[] = {
        { "Mounts", config_parse_words, offsetof(SystemProbe, mounts) },
        { "Exclude", config_parse_words, offsetof(SystemProbe, exclude) },
        {},
};

static const char *const system_unhealthy_when[] = {
        "cpu_percent >= 80",
        "memory_percent >= 85",
        "disk_percent >= 90",
        NULL,
};

const ProbeType system_probe = {
        .name = "system",
        .section = "System",
        .instance_size = sizeof(SystemProbe),
        .keys = system_keys,
        .unhealthy_when = system_unhealthy_when,
        .start = system_start,
        .cancel = system_cancel,
        .done = system_done,
};
