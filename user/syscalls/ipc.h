// SPDX-License-Identifier: Apache-2.0
/// System V IPC and POSIX message queues.
#pragma once

#include <mqueue.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>

#include "user/abi/structs.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

LYREBIRD_STRUCT(struct shmid_ds)
LYREBIRD_STRUCT(struct semid_ds)  // as asm-generic has it
LYREBIRD_STRUCT(struct mq_attr)
/// semid_ds as x86 has it.
extern const StructDesc kX86Semid;

}  // namespace lyrebird::user

namespace lyrebird::user::sys::ipc {

Errno<Long> shmget(Thread& t, Int key, Size size, Flags flags);
Errno<Hex> shmat(Thread& t, Int id, Addr address, Flags flags);
Errno<Long> shmdt(Thread& t, Addr address);
Errno<Long> shmctl(Thread& t, Int id, Int command, Addr data);
Errno<Long> semget(Thread& t, Int key, Int count, Flags flags);
Errno<Long> semop(Thread& t, Int id, Addr operations, Size count);
Errno<Long> semtimedop(Thread& t, Int id, Addr operations, Size count, Ptr<struct timespec> timeout);
Errno<Long> semctl(Thread& t, Int id, Int number, Int command, Hex argument);
Errno<Long> msgget(Thread& t, Int key, Flags flags);
Errno<Long> msgsnd(Thread& t, Int id, Addr message, Size size, Flags flags);
Errno<Long> msgrcv(Thread& t, Int id, Addr message, Size size, Long type, Flags flags);
Errno<Long> msgctl(Thread& t, Int id, Int command, Addr data);

Errno<Fd> mq_open(Thread& t, Name name, OpenFlags flags, Mode mode, Ptr<struct mq_attr> attributes);
Errno<Long> mq_unlink(Thread& t, Name name);
Errno<Long> mq_timedsend(Thread& t, Fd queue, Buffer from, Size size, Uint priority,
                         Ptr<struct timespec> timeout);
Errno<Long> mq_timedreceive(Thread& t, Fd queue, Buffer to, Size size, Addr priority,
                            Ptr<struct timespec> timeout);
Errno<Long> mq_notify(Thread& t, Fd queue, Addr event);
Errno<Long> mq_getsetattr(Thread& t, Fd queue, Ptr<struct mq_attr> value, Ptr<struct mq_attr> old);

}  // namespace lyrebird::user::sys::ipc
