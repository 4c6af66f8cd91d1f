// SPDX-License-Identifier: Apache-2.0
// Files: open flags, links, attributes, directories, locks, offsets, copies between descriptors.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "show.h"

static void show_flags(const char* what, int fd) {
  const int flags = fcntl(fd, F_GETFL);
  printf("%s:%s%s%s%s%s%s\n", what, flags & O_APPEND ? " append" : "", flags & O_NONBLOCK ? " nonblock" : "",
         flags & O_DIRECTORY ? " directory" : "", flags & O_NOFOLLOW ? " nofollow" : "",
         flags & O_DIRECT ? " direct" : "", fcntl(fd, F_GETFD) ? " cloexec" : "");
}

static void show_stat(const char* path, int flags) {
  struct stat st;
  struct statx x;
  if (fstatat(AT_FDCWD, path, &st, flags) != 0) {
    printf("%s: %s\n", path, strerrorname_np(errno));
    return;
  }
  CHECK(statx(AT_FDCWD, path, flags, STATX_ALL, &x) == 0);
  CHECK(x.stx_ino == st.st_ino && x.stx_size == (unsigned long)st.st_size && x.stx_mode == st.st_mode);
  CHECK(x.stx_mtime.tv_sec == st.st_mtim.tv_sec && x.stx_nlink == st.st_nlink);
  printf("%s: mode %o links %lu size %ld blocks %ld blksize %ld mtime %ld.%09ld\n", path, st.st_mode,
         (unsigned long)st.st_nlink, (long)st.st_size, (long)st.st_blocks, (long)st.st_blksize,
         (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
}

static void names(void) {
  int fd = open("a", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  CHECK(fd >= 0);
  SHOW(open("a", O_RDWR | O_CREAT | O_EXCL, 0600));
  SHOW(write(fd, "hello world", 11));
  show_flags("a", fd);
  SHOW(symlink("a", "link"));
  SHOW(symlink("nowhere", "dangling"));
  SHOW(link("a", "hard"));
  SHOW(mkdir("dir", 0750));
  SHOW(open("link", O_RDONLY | O_NOFOLLOW));
  SHOW(open("a", O_RDONLY | O_DIRECTORY));
  SHOW(open("dangling", O_RDONLY));
  SHOW(open("dangling", O_RDONLY | O_CREAT | O_EXCL, 0600));
  SHOW(open("dir", O_WRONLY));
  int dir = open("dir", O_RDONLY | O_DIRECTORY);
  show_flags("dir", dir);
  int path = open("link", O_PATH | O_NOFOLLOW);
  SHOW(read(path, &dir + 1, 0));
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  SHOW(utimensat(AT_FDCWD, "a", times, 0));
  SHOW(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
  show_stat("a", 0);
  show_stat("link", 0);
  show_stat("link", AT_SYMLINK_NOFOLLOW);
  show_stat("none", 0);
  SHOW(chmod("a", 0604));
  SHOW(fchmodat(AT_FDCWD, "dir", 0700, 0));
  SHOW(access("a", R_OK));
  SHOW(access("none", R_OK));
  SHOW(rename("hard", "dir/moved"));
  SHOW(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "link", 1));
  SHOW(rmdir("dir"));
  SHOW(unlink("dir"));
  SHOW(openat(dir, "moved", O_RDONLY));
  SHOW(unlinkat(dir, "moved", 0));
  SHOW(rmdir("dir"));
  char text[64] = "";
  SHOW(readlink("link", text, sizeof text));
  printf("%s\n", text);
  SHOW(truncate("a", 5));
  SHOW(utimensat(AT_FDCWD, "a", times, 0));
  show_stat("a", 0);
  struct statfs fs;
  SHOW(statfs(".", &fs));
  SHOW(fs.f_bsize);
  SHOW(setxattr("a", "user.x", "value", 5, 0));
  SHOW(getxattr("a", "user.x", text, sizeof text));
  SHOW(getxattr("a", "user.none", text, sizeof text));
  close(fd);
}

static void directories(void) {
  mkdir("list", 0700);
  for (char name[] = "list/a"; name[5] <= 'e'; ++name[5]) close(creat(name, 0600));
  struct dirent** entries;
  const int n = scandir("list", &entries, 0, alphasort);
  for (int i = 0; i < n; ++i) printf("%s %d\n", entries[i]->d_name, entries[i]->d_type);
}

static void offsets(void) {
  int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600),
      out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (int i = 0; i < 1000; ++i) CHECK(dprintf(fd, "%07d\n", i) == 8);
  SHOW(lseek(fd, -8, SEEK_END));
  SHOW(lseek(fd, -1, SEEK_SET));
  SHOW(lseek(fd, 1ll << 40, SEEK_SET) == 1ll << 40);
  char text[9] = "";
  SHOW(pread(fd, text, 8, 80));
  SHOW(pwrite(fd, "XXXX", 4, 82));
  struct iovec parts[2] = {{text, 3}, {text + 4, 3}};
  SHOW(preadv(fd, parts, 2, 160));
  SHOW(preadv2(fd, parts, 2, 160, 0));
  SHOW(pwritev(fd, parts, 2, 7000));
  off_t at = 16;
  SHOW(sendfile(out, fd, &at, 100));
  SHOW(at);
  off_t in = 0, to = 4000;
  SHOW(copy_file_range(fd, &in, out, &to, 500, 0));
  SHOW(in);
  SHOW(to);
  SHOW(posix_fallocate(out, 0, 10000));
  SHOW(lseek(out, 0, SEEK_END));
  SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
  int ends[2];
  SHOW(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
  show_flags("pipe", ends[0]);
  SHOW(read(ends[0], text, 1));
  SHOW(splice(fd, &in, ends[1], 0, 64, 0));
  SHOW(in);
  int bytes = 0;
  SHOW(ioctl(ends[0], FIONREAD, &bytes));
  printf("%d\n", bytes);
  SHOW(fcntl(ends[0], F_GETPIPE_SZ));
  SHOW(fcntl(ends[0], F_SETFL, 0));
  show_flags("pipe", ends[0]);
  SHOW(dup3(fd, fd, 0));
  SHOW(dup2(fd, 50));
  SHOW(dup3(fd, 51, O_CLOEXEC));
  SHOW(fcntl(51, F_GETFD));
  SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 60));
  SHOW(syscall(SYS_close_range, 50, 70, 0));
  SHOW(fcntl(51, F_GETFD));
  SHOW(fcntl(fd, 12345));
}

static void locks(void) {
  int a = open("data", O_RDWR), b = open("data", O_RDWR);
  SHOW(flock(a, LOCK_EX));
  SHOW(flock(b, LOCK_EX | LOCK_NB));
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
  SHOW(fcntl(a, F_OFD_SETLK, &lock));
  SHOW(fcntl(b, F_OFD_SETLK, &lock));
  struct flock ask = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
  SHOW(fcntl(b, F_OFD_GETLK, &ask));
  printf("%d %d %ld %ld\n", ask.l_type, ask.l_whence, (long)ask.l_start, (long)ask.l_len);
  int m = memfd_create("m", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  SHOW(ftruncate(m, 100));
  SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK));
  SHOW(ftruncate(m, 50));
  SHOW(fcntl(m, F_GET_SEALS));
}

int main(void) {
  char name[] = "/tmp/files.XXXXXX";
  CHECK(mkdtemp(name) && chdir(name) == 0);
  umask(022);
  names();
  directories();
  offsets();
  locks();
  CHECK(chdir("/") == 0);
  char command[64];
  snprintf(command, sizeof command, "rm -rf %s", name);
  return system(command);
}
