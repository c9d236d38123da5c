# Process 1 among the host's files: mount what a running system has, run the command, tell its
# status. Beside this script lie `settings` (shell variables), `shares` (lines of tag and directory)
# and `command` (a shell script).
vm=/run/vm
busybox=$vm/busybox
. $vm/settings # MARK NOW RELEASE MODULES

fail() {
	echo "vm: $1" >/dev/console
	$busybox poweroff -f
}

try_mount() { # type, options, directory
	[ -d "$3" ] || $busybox mkdir "$3"
	$busybox mount -t "$1" -o "$2" "$1" "$3" || echo "vm: no $1 on $3" >/dev/console
}

try_mount devtmpfs mode=755 /dev
try_mount proc nosuid,nodev,noexec /proc
try_mount sysfs nosuid,nodev,noexec /sys
try_mount devpts mode=620,ptmxmode=666,gid=5 /dev/pts
try_mount tmpfs mode=1777 /dev/shm
try_mount securityfs nosuid /sys/kernel/security
try_mount debugfs nosuid /sys/kernel/debug
try_mount tracefs nosuid /sys/kernel/tracing
# bpffs asks for an optional module: nobody to ask, nobody to wait for (0.5 s in emulation).
read -r modprobe </proc/sys/kernel/modprobe
echo >/proc/sys/kernel/modprobe
try_mount bpf mode=700 /sys/fs/bpf
echo "$modprobe" >/proc/sys/kernel/modprobe
try_mount cgroup2 nsdelegate /sys/fs/cgroup
for controller in cpu memory pids io; do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
$busybox ln -s /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
	$busybox ln -s "/proc/self/fd/${number%:*}" "/dev/${number#*:}"
done
$busybox mkdir -p /run/lock /lib/modules
$busybox rm -rf "/lib/modules/$RELEASE"
$busybox ln -s "$MODULES" "/lib/modules/$RELEASE"

$busybox hostname vm
read -r uptime _ </proc/uptime
$busybox date -s "@$((NOW + ${uptime%.*}))" >/dev/null
$busybox ip link set lo up
ulimit -n 65536
umask 022

while read -r tag directory; do
	$busybox mkdir -p "$directory"
	$busybox mount -t virtiofs "$tag" "$directory" || fail "$directory cannot be made writable"
done <$vm/shares

# The port comes up some time after its driver, and its device has no fixed name.
find_port() {
	for port in /sys/class/virtio-ports/*; do
		read -r name <"$port/name" && [ "$name" = vm.out ] && port=/dev/${port##*/} && return
	done 2>/dev/null
	return 1
}
tries=0
until find_port; do
	tries=$((tries + 1))
	[ $tries -lt 500 ] || fail "no port to the host for the output"
	$busybox usleep 10000
done

# The port can be open only once, a pipe any number of times (/dev/stdout): so a pipe comes between.
$busybox mkfifo $vm/out
$busybox cat $vm/out >"$port" &
reader=$!
exec 3>$vm/out
printf '\0%s ready\n' "$MARK" >&3
$busybox sh $vm/command >$vm/out 2>&1 3>&- </dev/null
status=$?

# Whatever the command left running ends here; kernel threads do not mind.
for process in /proc/[0-9]*; do
	process=${process##*/}
	[ "$process" = 1 ] || [ "$process" = $reader ] || kill -9 "$process"
done 2>/dev/null
$busybox sync
printf '\0%s exit %s\n' "$MARK" "$status" >&3
exec 3>&-
wait $reader
$busybox poweroff -f
