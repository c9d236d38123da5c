"""/proc, cgroupfs and the host: text of the kernel in, values out.

process     one process, or all of them, from /proc/<pid>/
namespaces  namespace inode numbers of a process and of the host
cgroup      cgroup mode, controllers, a process's cgroup path, container id
host        kernel release, node name, boot time, BTF file, lockdown, is this the host's /proc
privileges  what this process may do: capabilities, user namespace
mounts      mount table; bpffs, tracefs and cgroup2, mounted where they are missing
users       uid to user name
rundir      run directory and info file
pidfile     pid file: one agent per host
"""
