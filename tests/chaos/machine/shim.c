/* Preloaded: once the file SHIM_ARMED is there, the SHIM_NTH call of the kind SHIM_CALL (sync: fsync, fdatasync; write: write,
   pwrite, pwrite64) on a path that holds SHIM_PATH answers EIO without doing anything, and the file SHIM_DONE says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int calls;

static int fails(int fd, const char *call) {
    const char *armed = getenv("SHIM_ARMED"), *done = getenv("SHIM_DONE");
    const char *nth = getenv("SHIM_NTH"), *wanted = getenv("SHIM_PATH"), *kind = getenv("SHIM_CALL");
    if (!armed || !done || !nth || !wanted || !kind || strcmp(kind, call) != 0 || access(armed, F_OK) != 0 || access(done, F_OK) == 0) {
        return 0;
    }
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = '\0';
    if (!strstr(path, wanted) || __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != atoi(nth)) {
        return 0;
    }
    close(open(done, O_CREAT | O_WRONLY, 0666));
    errno = EIO;
    return 1;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) {
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    }
    return fails(fd, "sync") ? -1 : real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) {
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    return fails(fd, "sync") ? -1 : real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) {
        real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    }
    return fails(fd, "write") ? -1 : real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) {
        real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    }
    return fails(fd, "write") ? -1 : real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) {
        real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    }
    return fails(fd, "write") ? -1 : real(fd, bytes, count, at);
}
