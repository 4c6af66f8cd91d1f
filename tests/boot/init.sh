#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's first and only program: says what it sees, as lines that run.py looks for, and switches off.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
echo "boot: uptime $(cut -d' ' -f1 /proc/uptime)"
echo "boot: kernel $(uname -r) $(uname -m)"
echo "boot: cpus $(nproc)"
echo "boot: memory $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
for word in $(cat /proc/cmdline); do
  case $word in
    boot.script=*) . "/${word#boot.script=}" ;;
  esac
done
echo "boot: interrupts $(awk '/arch_timer/ {print ($2 > 0)}' /proc/interrupts)"
echo "boot: done"
poweroff -f
