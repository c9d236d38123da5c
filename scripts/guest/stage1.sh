#!/bin/busybox sh
# Process 1 in the initramfs: mount the host's files read-only, a memory file system over them, and
# go there. Nothing the guest writes reaches the host, save in the directories that stage2 mounts.
busybox=/bin/busybox

fail() {
	echo "vm: $1" >/dev/console
	$busybox poweroff -f
}

for module in /modules/*.ko; do
	[ -e "$module" ] || continue
	$busybox insmod "$module" || fail "insmod $module failed"
done

$busybox mkdir -p /host /over
$busybox mount -t virtiofs -o ro host /host || fail "no host file system"
$busybox mount -t tmpfs -o size=75%,mode=755 over /over
$busybox mkdir /over/upper /over/work
$busybox mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work root /root ||
	fail "no overlay"
# The overlay holds its layers; without these mounts no process of the guest can reach them.
$busybox umount -l /host
$busybox umount -l /over

$busybox mount -t tmpfs -o mode=755 run /root/run || fail "no /run"
$busybox cp -a /vm /root/run/vm
$busybox cp /bin/busybox /root/run/vm/busybox
exec $busybox switch_root /root /run/vm/busybox sh /run/vm/stage2
