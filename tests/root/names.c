// SPDX-License-Identifier: Apache-2.0
// names DIRECTORY NAME...: what this Linux has under each name, by its path, from its directory and below a
// descriptor of it: "HOW NAME stat=SIZE open=SIZE nofollow=SIZE exec=STATUS", or the errno's name for each. Run by
// another name it says that it was found: status 42.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char* what, long value) {
  if (value < 0)
    printf(" %s=%s", what, strerrorname_np(errno));
  else
    printf(" %s=%ld", what, value);
}

static long size_of(int fd) {
  struct stat st;
  if (fd < 0) return -1;
  fstat(fd, &st);
  close(fd);
  return st.st_size;
}

static long run(int dir, const char* name, int flags) {
  const pid_t pid = vfork();
  if (pid == 0) {
    const char* const arguments[] = {"found", "exit", NULL};
    syscall(SYS_execveat, dir, name, arguments, environ, flags);
    _exit(errno);  // none of those that come here is 42
  }
  int status;
  waitpid(pid, &status, 0);
  if (WEXITSTATUS(status) == 42) return 42;
  errno = WEXITSTATUS(status);
  return -1;
}

static void show(const char* how, int dir, const char* path, const char* name) {
  struct stat st;
  printf("%s %s", how, name);
  say("stat", fstatat(dir, path, &st, 0) ? -1 : st.st_size);
  say("open", size_of(openat(dir, path, O_RDONLY)));
  say("nofollow", size_of(openat(dir, path, O_RDONLY | O_NOFOLLOW)));
  say("exec", run(dir, path, 0));
  say("exec-nofollow", run(dir, path, AT_SYMLINK_NOFOLLOW));
  puts("");
}

int main(int argc, char** argv) {
  if (!strstr(argv[0], "names")) return 42;
  setvbuf(stdout, NULL, _IONBF, 0);
  const int directory = open(argv[1], O_PATH | O_DIRECTORY);
  for (int i = 2; i < argc; ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", argv[1], argv[i]);
    chdir("/");
    show("path", AT_FDCWD, path, argv[i]);
    show("below", directory, argv[i], argv[i]);
    fchdir(directory);
    show("here", AT_FDCWD, argv[i], argv[i]);
  }
  return 0;
}
