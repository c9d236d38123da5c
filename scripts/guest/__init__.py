"""Boot a Linux kernel under QEMU on top of this host's files and run one command there.

errors.py     what can go wrong, each with its own exit status
apt.py        Debian's package client, with its own state beside the system's
kernels.py    which kernels there are; download and unpack one
initramfs.py  the first file system of the guest: busybox, kernel modules, our two scripts
stage1.sh     in that file system: mounts the host's files and goes there
stage2.sh     in the host's files: mounts the rest, runs the command, tells its status
process.py    the host's processes around a guest
virtiofs.py   directories of the host in the guest
stream.py     what comes from the guest: output and marks
machine.py    one guest, from its start to the exit status
"""
