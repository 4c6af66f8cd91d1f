// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/ipc.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/syscalls/time.h"

namespace lyrebird::user {

LYREBIRD_STRUCT(struct msqid_ds)
LYREBIRD_STRUCT(struct sembuf)
LYREBIRD_STRUCT(struct shminfo)
LYREBIRD_STRUCT(struct shm_info)
LYREBIRD_STRUCT(struct seminfo)

namespace {
#define F LYREBIRD_FIELD
using Shm = struct shmid_ds;
using Sem = struct semid_ds;
using Msg = struct msqid_ds;
using MqAttr = struct mq_attr;
// asm-generic/ipcbuf.h
#define PERM(type, member)                                                                                   \
  F(S32, type, member.__key), F(U32, type, member.uid), F(U32, type, member.gid), F(U32, type, member.cuid), \
      F(U32, type, member.cgid), F(U32, type, member.mode), F(U16, type, member.__seq), {Kind::Pad, 0, 2},   \
      F(ULong, type, member.__glibc_reserved1), F(ULong, type, member.__glibc_reserved2)
// asm-generic/shmbuf.h, sembuf.h and msgbuf.h for 64-bit guests
constexpr Field kShm[] = {PERM(Shm, shm_perm),
                          F(ULong, Shm, shm_segsz),
                          F(Long, Shm, shm_atime),
                          F(Long, Shm, shm_dtime),
                          F(Long, Shm, shm_ctime),
                          F(S32, Shm, shm_cpid),
                          F(S32, Shm, shm_lpid),
                          F(ULong, Shm, shm_nattch),
                          F(ULong, Shm, __glibc_reserved5),
                          F(ULong, Shm, __glibc_reserved6)};
constexpr Field kSem[] = {
    PERM(Sem, sem_perm),      F(Long, Sem, sem_otime),          F(Long, Sem, sem_ctime),
    F(ULong, Sem, sem_nsems), F(ULong, Sem, __glibc_reserved3), F(ULong, Sem, __glibc_reserved4)};
constexpr Field kMsg[] = {PERM(Msg, msg_perm),
                          F(Long, Msg, msg_stime),
                          F(Long, Msg, msg_rtime),
                          F(Long, Msg, msg_ctime),
                          F(ULong, Msg, __msg_cbytes),
                          F(ULong, Msg, msg_qnum),
                          F(ULong, Msg, msg_qbytes),
                          F(S32, Msg, msg_lspid),
                          F(S32, Msg, msg_lrpid),
                          F(ULong, Msg, __glibc_reserved4),
                          F(ULong, Msg, __glibc_reserved5)};
// x86 has gaps behind the times of semid_ds that asm-generic has not: with 32-bit longs they are the
// times' high halves, and so are those of the others.
constexpr Field kX86Sem[] = {PERM(Sem, sem_perm),
                             F(Long, Sem, sem_otime),
                             F(ULong, Sem, __sem_otime_high),
                             F(Long, Sem, sem_ctime),
                             F(ULong, Sem, __sem_ctime_high),
                             F(ULong, Sem, sem_nsems),
                             F(ULong, Sem, __glibc_reserved3),
                             F(ULong, Sem, __glibc_reserved4)};
#define NARROW_TIME(type, member) F(Long, type, member), {Kind::Pad, 0, 4}
constexpr Field kNarrowShm[] = {PERM(Shm, shm_perm),
                                F(ULong, Shm, shm_segsz),
                                NARROW_TIME(Shm, shm_atime),
                                NARROW_TIME(Shm, shm_dtime),
                                NARROW_TIME(Shm, shm_ctime),
                                F(S32, Shm, shm_cpid),
                                F(S32, Shm, shm_lpid),
                                F(ULong, Shm, shm_nattch),
                                F(ULong, Shm, __glibc_reserved5),
                                F(ULong, Shm, __glibc_reserved6)};
constexpr Field kNarrowMsg[] = {PERM(Msg, msg_perm),
                                NARROW_TIME(Msg, msg_stime),
                                NARROW_TIME(Msg, msg_rtime),
                                NARROW_TIME(Msg, msg_ctime),
                                F(ULong, Msg, __msg_cbytes),
                                F(ULong, Msg, msg_qnum),
                                F(ULong, Msg, msg_qbytes),
                                F(S32, Msg, msg_lspid),
                                F(S32, Msg, msg_lrpid),
                                F(ULong, Msg, __glibc_reserved4),
                                F(ULong, Msg, __glibc_reserved5)};
#undef NARROW_TIME
constexpr StructDesc kNarrowShmDesc = {"shmid_ds", sizeof(Shm), kNarrowShm};
constexpr StructDesc kNarrowMsgDesc = {"msqid_ds", sizeof(Msg), kNarrowMsg};
#undef PERM
constexpr Field kMqAttr[] = {F(Long, MqAttr, mq_flags),
                             F(Long, MqAttr, mq_maxmsg),
                             F(Long, MqAttr, mq_msgsize),
                             F(Long, MqAttr, mq_curmsgs),
                             {Kind::Pad, 0, 32}};
constexpr Field kSembuf[] = {F(U16, sembuf, sem_num), F(S16, sembuf, sem_op), F(S16, sembuf, sem_flg)};
using ShmLimits = struct shminfo;
constexpr Field kShminfo[] = {F(ULong, ShmLimits, shmmax), F(ULong, ShmLimits, shmmin),
                              F(ULong, ShmLimits, shmmni), F(ULong, ShmLimits, shmseg),
                              F(ULong, ShmLimits, shmall), {Kind::Pad, 0, 32}};
// Reserved longs at the ends.
constexpr Field kNarrowMqAttr[] = {F(Long, MqAttr, mq_flags),
                                   F(Long, MqAttr, mq_maxmsg),
                                   F(Long, MqAttr, mq_msgsize),
                                   F(Long, MqAttr, mq_curmsgs),
                                   {Kind::Pad, 0, 16}};
constexpr Field kNarrowShminfo[] = {F(ULong, ShmLimits, shmmax), F(ULong, ShmLimits, shmmin),
                                    F(ULong, ShmLimits, shmmni), F(ULong, ShmLimits, shmseg),
                                    F(ULong, ShmLimits, shmall), {Kind::Pad, 0, 16}};
constexpr StructDesc kNarrowMqAttrDesc = {"mq_attr", sizeof(MqAttr), kNarrowMqAttr};
constexpr StructDesc kNarrowShminfoDesc = {"shminfo", sizeof(ShmLimits), kNarrowShminfo};
using ShmUse = struct shm_info;
constexpr Field kShmUse[] = {F(S32, ShmUse, used_ids),        F(ULong, ShmUse, shm_tot),
                             F(ULong, ShmUse, shm_rss),       F(ULong, ShmUse, shm_swp),
                             F(ULong, ShmUse, swap_attempts), F(ULong, ShmUse, swap_successes)};
using SemLimits = struct seminfo;
constexpr Field kSeminfo[] = {F(S32, SemLimits, semmap), F(S32, SemLimits, semmni), F(S32, SemLimits, semmns),
                              F(S32, SemLimits, semmnu), F(S32, SemLimits, semmsl), F(S32, SemLimits, semopm),
                              F(S32, SemLimits, semume), F(S32, SemLimits, semusz), F(S32, SemLimits, semvmx),
                              F(S32, SemLimits, semaem)};
#undef F
}  // namespace

const StructDesc Desc<struct shmid_ds>::desc = {
    .name = "shmid_ds", .host_size = sizeof(struct shmid_ds), .fields = kShm, .narrow = &kNarrowShmDesc};
const StructDesc Desc<struct semid_ds>::desc = {.name = "semid_ds",
                                                .host_size = sizeof(struct semid_ds),
                                                .fields = kSem,
                                                .packed = false,
                                                .same_order = false};
const StructDesc kX86Semid = {"semid_ds", sizeof(struct semid_ds), kX86Sem};
const StructDesc Desc<struct msqid_ds>::desc = {
    .name = "msqid_ds", .host_size = sizeof(struct msqid_ds), .fields = kMsg, .narrow = &kNarrowMsgDesc};
const StructDesc Desc<struct mq_attr>::desc = {
    .name = "mq_attr", .host_size = sizeof(struct mq_attr), .fields = kMqAttr, .narrow = &kNarrowMqAttrDesc};
const StructDesc Desc<struct sembuf>::desc = {"sembuf", sizeof(struct sembuf), kSembuf};
const StructDesc Desc<struct shminfo>::desc = {.name = "shminfo",
                                               .host_size = sizeof(struct shminfo),
                                               .fields = kShminfo,
                                               .narrow = &kNarrowShminfoDesc};
const StructDesc Desc<struct shm_info>::desc = {"shm_info", sizeof(struct shm_info), kShmUse};
const StructDesc Desc<struct seminfo>::desc = {"seminfo", sizeof(struct seminfo), kSeminfo};

}  // namespace lyrebird::user

namespace lyrebird::user::sys::ipc {
namespace {

constexpr int kIpc64 = 0x100;  // old libcs set it everywhere

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
uint64_t word(int value) { return static_cast<uint64_t>(value); }

template <typename T>
Ptr<T> at(uint64_t address) {
  return Ptr<T>{{address}};
}

/// A host call that fills a T for the guest.
template <typename T>
int64_t out(Thread& t, uint64_t to, long number, int id, int command) {
  T value{};
  const int64_t result = host::call(number, id, command, &value);
  if (result < 0) return result;
  return at<T>(to).put(t, value) ? result : -EFAULT;
}
template <typename T>
int64_t in(Thread& t, uint64_t from, long number, int id, int command) {
  T value{};
  if (!at<T>(from).get(t, value)) return -EFAULT;
  return host::call(number, id, command, &value);
}

}  // namespace

// --- shared memory -------------------------------------------------------------------------------

Errno<Long> shmget(Thread&, Int key, Size size, Flags flags) {
  return host::call(SYS_shmget, key.value, size.value, flags.value);
}

Errno<Hex> shmat(Thread& t, Int id, Addr address, Flags flags) {
  struct shmid_ds segment;
  const int64_t known = host::call(SYS_shmctl, id.value, IPC_STAT, &segment);
  if (known < 0) return known;
  return t.memory().attach(id, segment.shm_segsz, address, static_cast<int>(flags.value));
}
Errno<Long> shmdt(Thread& t, Addr address) { return t.memory().detach(address); }

Errno<Long> shmctl(Thread& t, Int id, Int raw_command, Addr data) {
  const int command = raw_command & ~kIpc64;
  switch (command) {
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
      return out<struct shmid_ds>(t, data, SYS_shmctl, id, command);
    case IPC_SET:
      return in<struct shmid_ds>(t, data, SYS_shmctl, id, command);
    case IPC_INFO:
      return out<struct shminfo>(t, data, SYS_shmctl, id, command);
    case SHM_INFO:
      return out<struct shm_info>(t, data, SYS_shmctl, id, command);
    case IPC_RMID:
    case SHM_LOCK:
    case SHM_UNLOCK:
      return host::call(SYS_shmctl, id.value, command, nullptr);
    default:
      return -EINVAL;
  }
}

// --- semaphores ----------------------------------------------------------------------------------

Errno<Long> semget(Thread&, Int key, Int count, Flags flags) {
  return host::call(SYS_semget, key.value, count.value, flags.value);
}
Errno<Long> semop(Thread& t, Int id, Addr operations, Size count) {
  return semtimedop(t, id, operations, count, at<struct timespec>(0));
}
Errno<Long> semtimedop(Thread& t, Int id, Addr operations, Size count, Ptr<struct timespec> timeout) {
  constexpr uint64_t kMost = 4096;
  if (count > kMost) return -E2BIG;
  std::vector<struct sembuf> host(count);
  for (uint64_t i = 0; i < count; ++i)
    if (!at<struct sembuf>(operations).at(t, i).get(t, host[i])) return -EFAULT;
  struct timespec limit;
  if (!timeout.null() && !timeout.get(t, limit)) return -EFAULT;
  return host::safe_syscall(SYS_semtimedop, word(id.value), word(host.data()), host.size(),
                            timeout.null() ? 0 : word(&limit));
}

Errno<Long> semctl(Thread& t, Int id, Int number, Int raw_command, Hex argument) {
  const int command = raw_command & ~kIpc64;
  const uint64_t address = untag(t, argument);
  switch (command) {
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY: {
      struct semid_ds value{};
      const int64_t result = host::call(SYS_semctl, id.value, number.value, command, &value);
      if (result < 0) return result;
      return at<struct semid_ds>(address).put(t, value) ? result : -EFAULT;
    }
    case IPC_SET: {
      struct semid_ds value{};
      if (!at<struct semid_ds>(address).get(t, value)) return -EFAULT;
      return host::call(SYS_semctl, id.value, number.value, command, &value);
    }
    case IPC_INFO:
    case SEM_INFO: {
      struct seminfo value{};
      const int64_t result = host::call(SYS_semctl, id.value, number.value, command, &value);
      if (result < 0) return result;
      return at<struct seminfo>(address).put(t, value) ? result : -EFAULT;
    }
    case GETALL:
    case SETALL: {
      struct semid_ds value{};
      const int64_t known = host::call(SYS_semctl, id.value, 0, IPC_STAT, &value);
      if (known < 0) return known;
      std::vector<uint16_t> all(value.sem_nsems);
      if (command == SETALL) {
        if (!t.memory().read(address, all.data(), all.size() * 2)) return -EFAULT;
        if (t.abi().model.big_endian)
          for (uint16_t& one : all) one = __builtin_bswap16(one);
      }
      const int64_t result = host::call(SYS_semctl, id.value, 0, command, all.data());
      if (result < 0 || command == SETALL) return result;
      if (t.abi().model.big_endian)
        for (uint16_t& one : all) one = __builtin_bswap16(one);
      return t.memory().write(address, all.data(), all.size() * 2) ? result : -EFAULT;
    }
    case SETVAL: {
      // union semun by value: its int.
      const bool high = t.abi().model.big_endian && word_size(t) == 8;
      return host::call(SYS_semctl, id.value, number.value, command,
                        static_cast<int>(high ? argument >> 32 : argument));
    }
    case IPC_RMID:
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
      return host::call(SYS_semctl, id.value, number.value, command, 0);
    default:
      return -EINVAL;
  }
}

// --- messages ------------------------------------------------------------------------------------

Errno<Long> msgget(Thread&, Int key, Flags flags) { return host::call(SYS_msgget, key.value, flags.value); }

namespace {
constexpr uint64_t kLongestMessage = 1u << 20;

/// struct msgbuf { long type; char text[] } on the host.
struct Message {
  std::vector<long> words;
  explicit Message(uint64_t size) : words(1 + (size + sizeof(long) - 1) / sizeof(long)) {}
  char* text() { return reinterpret_cast<char*>(&words[1]); }
};
}  // namespace

Errno<Long> msgsnd(Thread& t, Int id, Addr from, Size size, Flags flags) {
  if (size > kLongestMessage) return -EINVAL;
  Message message(size);
  uint64_t type;
  if (!get_word(t, from, type) || !t.memory().read(from + word_size(t), message.text(), size)) return -EFAULT;
  message.words[0] = word_size(t) == 8 ? static_cast<long>(type) : static_cast<int32_t>(type);
  const int64_t result =
      host::safe_syscall(SYS_msgsnd, word(id.value), word(message.words.data()), size, flags);
  return result;
}
Errno<Long> msgrcv(Thread& t, Int id, Addr to, Size size, Long type, Flags flags) {
  if (static_cast<int64_t>(size.value) < 0) return -EINVAL;
  const uint64_t length = std::min<uint64_t>(size, kLongestMessage);
  Message message(length);
  const int64_t result = host::safe_syscall(SYS_msgrcv, word(id.value), word(message.words.data()), length,
                                            static_cast<uint64_t>(type.value), flags);
  if (result < 0) return result;
  if (!put_word(t, to, static_cast<uint64_t>(message.words[0])) ||
      !t.memory().write(to + word_size(t), message.text(), static_cast<size_t>(result)))
    return -EFAULT;
  return result;
}
Errno<Long> msgctl(Thread& t, Int id, Int raw_command, Addr data) {
  const int command = raw_command & ~kIpc64;
  switch (command) {
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
      return out<struct msqid_ds>(t, data, SYS_msgctl, id, command);
    case IPC_SET:
      return in<struct msqid_ds>(t, data, SYS_msgctl, id, command);
    case IPC_INFO:
    case MSG_INFO: {
      struct msginfo value{};  // ints and a short, the same everywhere
      const int64_t result = host::call(SYS_msgctl, id.value, command, &value);
      if (result < 0) return result;
      return t.memory().put(data, value) ? result : -EFAULT;
    }
    case IPC_RMID:
      return host::call(SYS_msgctl, id.value, command, nullptr);
    default:
      return -EINVAL;
  }
}

// --- POSIX message queues ------------------------------------------------------------------------

Errno<Fd> mq_open(Thread& t, Name name, OpenFlags flags, Mode mode, Ptr<struct mq_attr> attributes) {
  if (name.error) return name.error;
  struct mq_attr value{};
  const bool given = (flags & O_CREAT) && !attributes.null();
  if (given && !attributes.get(t, value)) return -EFAULT;
  return host::call(SYS_mq_open, name.text.c_str(), flags.value, mode.value, given ? &value : nullptr);
}
Errno<Long> mq_unlink(Thread&, Name name) {
  if (name.error) return name.error;
  return host::call(SYS_mq_unlink, name.text.c_str());
}
Errno<Long> mq_timedsend(Thread& t, Fd queue, Buffer from, Size size, Uint priority,
                         Ptr<struct timespec> timeout) {
  struct timespec limit;
  if (!timeout.null() && !timeout.get(t, limit)) return -EFAULT;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(from, length);
  if (length != size) return -EFAULT;
  return host::safe_syscall(SYS_mq_timedsend, word(queue.value), word(data), length, priority,
                            timeout.null() ? 0 : word(&limit));
}
Errno<Long> mq_timedreceive(Thread& t, Fd queue, Buffer to, Size size, Addr priority,
                            Ptr<struct timespec> timeout) {
  struct timespec limit;
  if (!timeout.null() && !timeout.get(t, limit)) return -EFAULT;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(to, length);
  if (length != size) return -EFAULT;
  uint32_t got = 0;
  const int64_t result = host::safe_syscall(SYS_mq_timedreceive, word(queue.value), word(data), length,
                                            word(&got), timeout.null() ? 0 : word(&limit));
  if (result < 0 || !priority) return result;
  return put_u32(t, priority, got) ? result : -EFAULT;
}
Errno<Long> mq_notify(Thread& t, Fd queue, Addr guest_event) {
  struct sigevent event;
  if (!guest_event) return host::call(SYS_mq_notify, queue.value, nullptr);
  if (!time::get_sigevent(t, guest_event, event)) return -EFAULT;
  // SIGEV_THREAD comes with a cookie in guest memory and a socket: the libc's way.
  if (event.sigev_notify == SIGEV_THREAD) {
    uint64_t size = 32;
    event.sigev_value.sival_ptr =
        t.memory().for_kernel(untag(t, reinterpret_cast<uint64_t>(event.sigev_value.sival_ptr)), size);
  }
  return host::call(SYS_mq_notify, queue.value, &event);
}
Errno<Long> mq_getsetattr(Thread& t, Fd queue, Ptr<struct mq_attr> from, Ptr<struct mq_attr> old) {
  struct mq_attr value{}, was{};
  if (!from.null() && !from.get(t, value)) return -EFAULT;
  const int64_t result = host::call(SYS_mq_getsetattr, queue.value, from.null() ? nullptr : &value, &was);
  if (result < 0 || old.null()) return result;
  return old.put(t, was) ? result : -EFAULT;
}

}  // namespace lyrebird::user::sys::ipc
