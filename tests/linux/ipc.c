// SPDX-License-Identifier: Apache-2.0
// System V shared memory, semaphores and messages; POSIX message queues; sysinfo and its like.
#include <fcntl.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include "show.h"

int main(void) {
  const int shm = shmget(IPC_PRIVATE, 10000, 0600);
  char *a = shmat(shm, 0, 0), *b = shmat(shm, 0, SHM_RDONLY);
  strcpy(a + 9000, "shared");
  printf("%s\n", b + 9000);
  struct shmid_ds shm_info;
  SHOW(shmctl(shm, IPC_STAT, &shm_info));
  printf("%lu %lu %o %d\n", (unsigned long)shm_info.shm_segsz, (unsigned long)shm_info.shm_nattch,
         shm_info.shm_perm.mode, shm_info.shm_cpid == getpid());
  SHOW(shmdt(a));
  SHOW(shmdt(a));
  SHOW(shmdt(b));
  SHOW(shmctl(shm, IPC_RMID, 0));
  SHOW(shmat(shm, 0, 0));

  const int sem = semget(IPC_PRIVATE, 3, 0600);
  unsigned short values[3] = {1, 2, 3};
  SHOW(semctl(sem, 0, SETALL, values));
  SHOW(semctl(sem, 2, GETVAL));
  SHOW(semctl(sem, 1, SETVAL, 7));
  memset(values, 0, sizeof values);
  SHOW(semctl(sem, 0, GETALL, values));
  printf("%d %d %d\n", values[0], values[1], values[2]);
  struct sembuf ops[2] = {{0, -1, 0}, {2, 4, 0}}, wait = {0, -1, IPC_NOWAIT};
  SHOW(semop(sem, ops, 2));
  SHOW(semop(sem, &wait, 1));
  struct timespec limit = {0, 10000000};
  wait.sem_flg = 0;
  SHOW(semtimedop(sem, &wait, 1, &limit));
  struct semid_ds sem_info;
  SHOW(semctl(sem, 0, IPC_STAT, &sem_info));
  printf("%lu %o %d\n", (unsigned long)sem_info.sem_nsems, sem_info.sem_perm.mode, sem_info.sem_otime > 1000);
  SHOW(semctl(sem, 0, IPC_RMID));

  const int queue = msgget(IPC_PRIVATE, 0600);
  struct {
    long type;
    char text[16];
  } message = {5, "message"};
  SHOW(msgsnd(queue, &message, 8, 0));
  struct msqid_ds queue_info;
  SHOW(msgctl(queue, IPC_STAT, &queue_info));
  printf("%lu %lu\n", (unsigned long)queue_info.msg_qnum, (unsigned long)queue_info.__msg_cbytes);
  message.type = 0;
  SHOW(msgrcv(queue, &message, 4, 0, 0));
  SHOW(msgrcv(queue, &message, 16, 5, 0));
  printf("%ld %s\n", message.type, message.text);
  SHOW(msgrcv(queue, &message, 16, 5, IPC_NOWAIT));
  SHOW(msgctl(queue, IPC_RMID, 0));

  char name[32];
  snprintf(name, sizeof name, "/lyrebird-%d", getpid());
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 32};
  const mqd_t mq = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
  if (mq != -1) {
    mq_unlink(name);
    SHOW(mq_send(mq, "low", 4, 1));
    SHOW(mq_send(mq, "high", 5, 9));
    char text[32];
    unsigned priority;
    SHOW(mq_receive(mq, text, sizeof text, &priority));
    printf("%s %u\n", text, priority);
    SHOW(mq_getattr(mq, &attributes));
    printf("%ld %ld %ld\n", attributes.mq_maxmsg, attributes.mq_msgsize, attributes.mq_curmsgs);
  }

  struct sysinfo info;
  SHOW(sysinfo(&info));
  printf("%d %d\n", info.totalram > 1 << 20, info.mem_unit);
  struct utsname uts;
  SHOW(uname(&uts));
  printf("%s %s\n", uts.sysname, uts.release);
  char from[] = "across", to[8] = "";
  struct iovec here = {to, 7}, there = {from, 7};
  SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
  printf("%s\n", to);
  return 0;
}
