/* Between a broker and the files of its data directory: what is written and synced is noted, and fails on demand.
 *
 * Loaded by LD_PRELOAD into the real binary. DISK_ROOT is the directory; what is elsewhere passes untouched. DISK_LOG
 * takes a record for each step, written before the step is done, so that a kill -9 never leaves a write that was not
 * noted; a sync is noted once it has returned. model.rs makes of this what a power cut would have left. DISK_CONTROL is
 * an array of numbers that both sides map: what is to fail, and how often it was asked (`enum control`, mod.rs).
 *
 * What the C library is not asked for is not seen: rustix renames by a system call of its own, so a renamed file is
 * recognised by its inode when it is opened next. Ways to write that are not modelled end the process, loudly. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kinds of records, and what `a` and the payload are. */
enum kind {
  OPENED = 1,    /* flags (1 created, 2 directory, 4 truncated); path */
  WRITTEN = 2,   /* offset; bytes */
  CUT = 3,       /* length */
  SYNCED = 4,    /* records that were there before it began; a byte where it was fdatasync */
  RENAMED = 5,   /* -; path, 0, path */
  UNLINKED = 6,  /* -; path */
  MADE = 7,      /* -; path */
  LOST = 8,      /* a sync has failed: records that were there before it began */
  SHORTENED = 9, /* bytes of the write before that were written */
};

enum control {
  SPACE,        /* bytes that may be written, -1 without a limit */
  FAILING_SYNC, /* syncs that fail, -1 all */
  SHORT_WRITES, /* 1: a write takes half of what it is given */
  READ_ONLY,    /* an errno: whatever opens for writing or changes a name fails with it */
  FROZEN,       /* an errno: writes to open files fail with it, too */
  SYNCS,        /* seen: of files */
  FOLDER_SYNCS, /* seen: of directories */
  WRITES,       /* seen */
  CONTROLS
};

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static size_t root_length;
static int log_fd = -1;
static uint64_t records;
static volatile int64_t *control;

/* What a descriptor refers to: an inode, 0 where it is not ours. */
#define DESCRIPTORS (1 << 20)
static ino_t inodes[DESCRIPTORS];

static void give_up(const char *what) {
  dprintf(2, "disk layer: %s is not modelled\n", what);
  abort();
}

#define REAL(type, name, ...)                                   \
  static type (*real)(__VA_ARGS__);                             \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("DISK_ROOT"), *log = getenv("DISK_LOG"), *file = getenv("DISK_CONTROL");
  if (!folder || !log || !file) return;
  snprintf(root, sizeof root, "%s", folder);
  root_length = strlen(root);
  int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) give_up("an absent DISK_CONTROL");
  control = mmap(NULL, CONTROLS * sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (control == MAP_FAILED) give_up("an unreadable DISK_CONTROL");
  syscall(SYS_close, fd);
  log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) give_up("an unwritable DISK_LOG");
}

/* With `order` held. */
static void note(enum kind kind, ino_t inode, uint64_t a, const void *payload, size_t length) {
  uint64_t head[4] = {kind, inode, a, length};
  struct iovec parts[2] = {{head, sizeof head}, {(void *)payload, length}};
  if (syscall(SYS_writev, log_fd, parts, 2) != (ssize_t)(sizeof head + length)) give_up("a full log");
  records++;
}

/* The absolute path in `out`; whether it is ours. */
static int resolve(int folder, const char *path, char *out) {
  char raw[8192];
  if (log_fd < 0 || !path) return 0;
  if (path[0] == '/') {
    snprintf(raw, sizeof raw, "%s", path);
  } else {
    char base[4096] = "";
    if (folder == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return 0;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
      ssize_t length = readlink(link, base, sizeof base - 1);
      if (length < 0) return 0;
      base[length] = 0;
    }
    snprintf(raw, sizeof raw, "%s/%s", base, path);
  }
  size_t end = 0;
  char *rest = NULL;
  for (char *part = strtok_r(raw, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
    size_t length = strlen(part);
    if (!strcmp(part, ".")) continue;
    if (!strcmp(part, "..") || end + length + 2 > 4096) return 0;
    out[end++] = '/';
    memcpy(out + end, part, length);
    end += length;
  }
  out[end] = 0;
  return !strncmp(out, root, root_length) && (out[root_length] == 0 || out[root_length] == '/');
}

static ino_t ours(int fd) {
  if (log_fd < 0 || fd < 0 || fd >= DESCRIPTORS || !inodes[fd]) return 0;
  struct stat status;
  /* Closed and used again by a way that was not seen. */
  if (fstat(fd, &status) || status.st_ino != inodes[fd]) return inodes[fd] = 0;
  return inodes[fd];
}

static int fails(int error) {
  if (error) errno = error;
  return error != 0;
}

static int open_file(int folder, const char *path, int flags, mode_t mode) {
  char full[4096];
  if (!resolve(folder, path, full)) {
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS) inodes[fd] = 0;
    return fd;
  }
  if ((flags & O_TMPFILE) == O_TMPFILE) give_up("O_TMPFILE");
  int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
  if (writes && fails(control[READ_ONLY])) return -1;
  pthread_mutex_lock(&order);
  struct stat before, status;
  int existed = !fstatat(AT_FDCWD, full, &before, 0);
  int fd = syscall(SYS_openat, folder, path, flags, mode);
  int error = errno;
  if (fd >= DESCRIPTORS) give_up("so many descriptors");
  if (fd >= 0 && !fstat(fd, &status)) {
    int is_folder = S_ISDIR(status.st_mode);
    inodes[fd] = S_ISREG(status.st_mode) || is_folder ? status.st_ino : 0;
    if (inodes[fd])
      note(OPENED, status.st_ino, (existed ? 0 : 1) | (is_folder ? 2 : 0) | (flags & O_TRUNC ? 4 : 0), full, strlen(full));
  }
  pthread_mutex_unlock(&order);
  errno = error;
  return fd;
}

#define MODE                                      \
  mode_t mode = 0;                                \
  if (flags & (O_CREAT | O_TMPFILE)) {            \
    va_list arguments;                            \
    va_start(arguments, flags);                   \
    mode = va_arg(arguments, mode_t);             \
    va_end(arguments);                            \
  }
int open(const char *path, int flags, ...) { MODE return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return open_file(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return open_file(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) inodes[fd] = 0;
  return syscall(SYS_close, fd);
}

static int control_file(int fd, int command, void *argument) {
  int result = syscall(SYS_fcntl, fd, command, argument);
  if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && result >= 0 && result < DESCRIPTORS)
    inodes[result] = fd >= 0 && fd < DESCRIPTORS ? inodes[fd] : 0;
  return result;
}
#define ARGUMENT                          \
  va_list arguments;                      \
  va_start(arguments, command);           \
  void *argument = va_arg(arguments, void *); \
  va_end(arguments);
int fcntl(int fd, int command, ...) { ARGUMENT return control_file(fd, command, argument); }
int fcntl64(int fd, int command, ...) { ARGUMENT return control_file(fd, command, argument); }

/* One write, at an offset or (-1) where the file stands. */
static ssize_t write_file(int fd, ino_t inode, const void *bytes, size_t length, off_t offset) {
  pthread_mutex_lock(&order);
  control[WRITES]++;
  if (fails(control[FROZEN])) {
    pthread_mutex_unlock(&order);
    return -1;
  }
  if (control[SHORT_WRITES] && length > 1) length /= 2;
  int64_t space = control[SPACE];
  if (space >= 0 && (int64_t)length > space) length = space;
  if (space == 0 && length == 0) {
    pthread_mutex_unlock(&order);
    errno = ENOSPC;
    return -1;
  }
  struct stat status;
  off_t at = offset;
  if (at < 0) at = fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &status) ? status.st_size : lseek(fd, 0, SEEK_CUR);
  note(WRITTEN, inode, at, bytes, length);
  ssize_t written = offset < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
  int error = errno;
  if (written != (ssize_t)length) note(SHORTENED, inode, written < 0 ? 0 : written, NULL, 0);
  if (space >= 0 && written > 0) control[SPACE] = space - written;
  pthread_mutex_unlock(&order);
  errno = error;
  return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  ino_t inode = ours(fd);
  return inode ? write_file(fd, inode, bytes, length, -1) : syscall(SYS_write, fd, bytes, length);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  ino_t inode = ours(fd);
  return inode ? write_file(fd, inode, bytes, length, offset) : syscall(SYS_pwrite64, fd, bytes, length, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

/* The first part only: who writes has to go on with the rest. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
  ino_t inode = ours(fd);
  if (!inode) return syscall(SYS_writev, fd, parts, count);
  for (int part = 0; part < count; part++)
    if (parts[part].iov_len) return write_file(fd, inode, parts[part].iov_base, parts[part].iov_len, -1);
  return 0;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  if (ours(fd)) give_up("pwritev");
  REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
  return real(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

static int cut(int fd, off_t length) {
  ino_t inode = ours(fd);
  if (!inode) return syscall(SYS_ftruncate, fd, length);
  if (fails(control[FROZEN])) return -1;
  pthread_mutex_lock(&order);
  note(CUT, inode, length, NULL, 0);
  int result = syscall(SYS_ftruncate, fd, length);
  pthread_mutex_unlock(&order);
  return result;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int sync_file(int fd, int number) {
  ino_t inode = ours(fd);
  if (!inode) return syscall(number, fd);
  struct stat status;
  int is_folder = !fstat(fd, &status) && S_ISDIR(status.st_mode);
  pthread_mutex_lock(&order);
  control[is_folder ? FOLDER_SYNCS : SYNCS]++;
  uint64_t before = records;
  int is_failing = control[FAILING_SYNC] != 0;
  if (control[FAILING_SYNC] > 0) control[FAILING_SYNC]--;
  if (is_failing) note(LOST, inode, before, NULL, 0);
  pthread_mutex_unlock(&order);
  if (is_failing) {
    errno = EIO;
    return -1;
  }
  int result = syscall(number, fd);
  if (!result) {
    pthread_mutex_lock(&order);
    note(SYNCED, inode, before, "d", number == SYS_fdatasync);
    pthread_mutex_unlock(&order);
  }
  return result;
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* A step that changes names; `to` is NULL but for a rename. */
static int change_name(enum kind kind, int folder, const char *from, int to_folder, const char *to, long (*step)(int, const char *, int, const char *, int), int extra) {
  char payload[8192], other[4096];
  int is_ours = resolve(folder, from, payload);
  if (to && resolve(to_folder, to, other) != is_ours) give_up("a rename across its border");
  if (!is_ours) return step(folder, from, to_folder, to, extra);
  if (fails(control[READ_ONLY])) return -1;
  pthread_mutex_lock(&order);
  struct stat status;
  int exists = !fstatat(AT_FDCWD, payload, &status, AT_SYMLINK_NOFOLLOW);
  size_t length = strlen(payload);
  if (to) {
    strcpy(payload + length + 1, other);
    length += 1 + strlen(other);
  }
  int result = step(folder, from, to_folder, to, extra);
  int error = errno;
  if (!result) {
    if (kind == MADE && !fstatat(AT_FDCWD, payload, &status, AT_SYMLINK_NOFOLLOW)) exists = 1;
    if (exists) note(kind, status.st_ino, 0, payload, length);
  }
  pthread_mutex_unlock(&order);
  errno = error;
  return result;
}
static long step_make(int folder, const char *path, int to_folder, const char *to, int mode) {
  (void)to_folder, (void)to;
  return syscall(SYS_mkdirat, folder, path, mode);
}
static long step_remove(int folder, const char *path, int to_folder, const char *to, int flags) {
  (void)to_folder, (void)to;
  return syscall(SYS_unlinkat, folder, path, flags);
}
static long step_rename(int folder, const char *from, int to_folder, const char *to, int flags) {
  return syscall(SYS_renameat2, folder, from, to_folder, to, flags);
}
int mkdir(const char *path, mode_t mode) { return change_name(MADE, AT_FDCWD, path, 0, NULL, step_make, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return change_name(MADE, folder, path, 0, NULL, step_make, mode); }
int unlink(const char *path) { return change_name(UNLINKED, AT_FDCWD, path, 0, NULL, step_remove, 0); }
int unlinkat(int folder, const char *path, int flags) { return change_name(UNLINKED, folder, path, 0, NULL, step_remove, flags); }
int rmdir(const char *path) { return change_name(UNLINKED, AT_FDCWD, path, 0, NULL, step_remove, AT_REMOVEDIR); }
int rename(const char *from, const char *to) { return change_name(RENAMED, AT_FDCWD, from, AT_FDCWD, to, step_rename, 0); }
int renameat(int folder, const char *from, int to_folder, const char *to) { return change_name(RENAMED, folder, from, to_folder, to, step_rename, 0); }
int renameat2(int folder, const char *from, int to_folder, const char *to, unsigned flags) { return change_name(RENAMED, folder, from, to_folder, to, step_rename, flags); }

/* What is not modelled. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && flags & MAP_SHARED && protection & PROT_WRITE && ours(fd)) give_up("a writable mapping");
  return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) { return mmap(at, length, protection, flags, fd, offset); }
int fallocate(int fd, int mode, off_t offset, off_t length) {
  if (ours(fd)) give_up("fallocate");
  return syscall(SYS_fallocate, fd, mode, offset, length);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
  if (ours(to)) give_up("copy_file_range");
  return syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags);
}
int link(const char *from, const char *to) {
  char full[4096];
  if (resolve(AT_FDCWD, to, full)) give_up("link");
  return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int folder, const char *from, int to_folder, const char *to, int flags) {
  char full[4096];
  if (resolve(to_folder, to, full)) give_up("linkat");
  return syscall(SYS_linkat, folder, from, to_folder, to, flags);
}
