// SPDX-License-Identifier: Apache-2.0
/// Calls that late ports of Linux left out, made of those that every port has: names without `at`,
/// times in other units, ids of 16 bits, multiplexers. Each guest that has one lists it in its table.
#pragma once

#include "user/abi/structs.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::old {

// Files by name.
Errno<Fd> open(Thread& t, Path path, OpenFlags flags, Mode mode);
Errno<Fd> creat(Thread& t, Path path, Mode mode);
Errno<Long> stat(Thread& t, Path path, Ptr<struct stat> to);
Errno<Long> lstat(Thread& t, Path path, Ptr<struct stat> to);
Errno<Long> access(Thread& t, Path path, Flags mode);
Errno<Long> rename(Thread& t, Path from, Path to);
Errno<Long> mkdir(Thread& t, Path path, Mode mode);
Errno<Long> rmdir(Thread& t, Path path);
Errno<Long> unlink(Thread& t, Path path);
Errno<Long> link(Thread& t, Path from, Path to);
Errno<Long> symlink(Thread& t, Name target, Path path);
Errno<Long> readlink(Thread& t, Path path, Buffer to, Int size);
Errno<Long> mknod(Thread& t, Path path, Mode mode, Uint device);
Errno<Long> chmod(Thread& t, Path path, Mode mode);
Errno<Long> chown(Thread& t, Path path, Int user, Int group);
Errno<Long> lchown(Thread& t, Path path, Int user, Int group);
Errno<Long> umount(Thread& t, Path path);
Errno<Long> utime(Thread& t, Path path, Addr times);
Errno<Long> utimes(Thread& t, Path path, Ptr<struct timeval> times);
Errno<Long> futimesat(Thread& t, Fd dir, Path path, Ptr<struct timeval> times);
/// The struct's size comes before its address.
Errno<Long> statfs64(Thread& t, Path path, Size size, Ptr<struct statfs> to);
Errno<Long> fstatfs64(Thread& t, Fd fd, Size size, Ptr<struct statfs> to);

// Descriptors.
Errno<Fd> dup2(Thread& t, Fd from, Fd to);
Errno<Long> pipe(Thread& t, Addr to);
Errno<Long> poll(Thread& t, Addr fds, Uint count, Int timeout_ms);
Errno<Long> select(Thread& t, Int count, Addr in, Addr out, Addr except, Ptr<struct timeval> timeout);
/// The arguments of select in memory.
Errno<Long> select_block(Thread& t, Addr arguments);
Errno<Fd> epoll_create(Thread& t, Int size);
Errno<Long> epoll_wait(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max, Int timeout_ms);
Errno<Fd> inotify_init(Thread& t);
Errno<Fd> eventfd(Thread& t, Uint value);
Errno<Fd> signalfd(Thread& t, Fd fd, Addr set, Size set_size);

// Processes.
Errno<Int> fork(Thread& t);
Errno<Int> vfork(Thread& t);
/// clone with the child's thread id before the TLS.
Errno<Int> clone(Thread& t, Hex flags, Addr stack, Addr parent_tid, Addr child_tid, Hex tls);
Errno<Int> pause(Thread& t);
Errno<Int> waitpid(Thread& t, Int pid, Addr status, Flags options);
Errno<Int> getpgrp(Thread& t);
Errno<Int> nice(Thread& t, Int increment);
/// Numbers up to 2^31 - 1 only.
Errno<Int> getrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit);

// Time.
Errno<Long> alarm(Thread& t, Uint seconds);
Errno<Long> time(Thread& t, Addr to);
Errno<Long> stime(Thread& t, Addr from);

// Ids of 16 bits; those that do not fit are told as 65534.
Errno<Uint> getuid16(Thread& t);
Errno<Uint> geteuid16(Thread& t);
Errno<Uint> getgid16(Thread& t);
Errno<Uint> getegid16(Thread& t);
Errno<Int> getresuid16(Thread& t, Addr real, Addr effective, Addr saved);
Errno<Int> getresgid16(Thread& t, Addr real, Addr effective, Addr saved);
Errno<Int> getgroups16(Thread& t, Int count, Addr list);
Errno<Int> setgroups16(Thread& t, Int count, Addr list);

// Signals with a mask of one word.
Errno<Hex> signal(Thread& t, Signal signal, Addr handler);
Errno<Int> sigaction(Thread& t, Signal signal, Addr action, Addr old);
Errno<Int> sigprocmask(Thread& t, Int how, Addr set, Addr old);
Errno<Int> sigpending(Thread& t, Addr set);
Errno<Int> sigsuspend(Thread& t, Hex unused, Hex unused2, Hex mask);
Errno<Hex> sgetmask(Thread& t);
Errno<Hex> ssetmask(Thread& t, Hex mask);

// Memory: the offset in pages, and the arguments in memory with the offset in bytes.
Errno<Hex> mmap2(Thread& t, Hex address, Size size, Flags prot, Flags flags, Fd fd, Hex page);
Errno<Hex> mmap_block(Thread& t, Addr arguments);

// Many calls under one number.
Errno<Long> socketcall(Thread& t, Int call, Addr arguments);
Errno<Long> ipc(Thread& t, Uint call, Int first, Hex second, Hex third, Addr pointer, Hex fifth);

// Names of the system in shorter structs.
Errno<Long> olduname(Thread& t, Addr to);
Errno<Long> oldolduname(Thread& t, Addr to);

}  // namespace lyrebird::user::sys::old
