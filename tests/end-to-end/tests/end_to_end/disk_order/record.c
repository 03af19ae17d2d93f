/* Preloaded into the host: appends one line for each call that changes a name or makes data durable. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void record(const char *call, const char *path) {
    char line[2 * PATH_MAX];
    const char *log = getenv("RECORD_TO");
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    int file = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file < 0 || length < 0) return;
    if (write(file, line, (size_t)length) != length) abort();
    close(file);
}

static void record_file(const char *call, int file) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    record(call, path);
}

#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, name))

int fsync(int file) {
    int result = NEXT("fsync", int (*)(int))(file);
    if (result == 0) record_file("sync", file);
    return result;
}

int fdatasync(int file) {
    int result = NEXT("fdatasync", int (*)(int))(file);
    if (result == 0) record_file("sync", file);
    return result;
}

int rename(const char *from, const char *to) {
    int result = NEXT("rename", int (*)(const char *, const char *))(from, to);
    if (result == 0) record("rename", to);
    return result;
}

int unlink(const char *path) {
    int result = NEXT("unlink", int (*)(const char *))(path);
    if (result == 0) record("unlink", path);
    return result;
}
