"""System calls: a number and its ABI in, the name out; a name in, its parameters out.

Parameters are as the kernel declares them and its `syscalls` trace events name them.

Owns    nothing; the tables are parsed at first use.
Source  asm/unistd*.h and the SYSCALL_DEFINE declarations of Linux 6.1 to 6.17
"""

from functools import cache
from typing import Final


@cache
def names(abi: str) -> dict[int, str]:
    """Return the names of an ABI (x64, i386, arm64, arm32) by number; empty for others."""
    found: dict[int, str] = {}
    number = 0
    for word in _NAMES.get(abi, "").split():
        if word.isdigit():
            number = int(word)
        else:
            found[number] = word
            number += 1
    return found


@cache
def parameters() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return (type, name) of each parameter by system call; ``*`` ends the type of a pointer."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for line in _PARAMETERS.splitlines():
        name, _, declared = line.partition(": ")
        found[name] = tuple(map(_parameter, declared.split(", ")))
    return found


def _parameter(declared: str) -> tuple[str, str]:
    at = max(declared.rfind("*"), declared.rfind(" ")) + 1
    return declared[:at].rstrip(), declared[at:]


# A number sets where the names behind it begin.
_NAMES: Final = {
    "x64": """
        0 read write open close stat fstat lstat poll lseek mmap mprotect munmap brk
        rt_sigaction rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe
        select sched_yield mremap msync mincore madvise shmget shmat shmctl dup dup2 pause
        nanosleep getitimer alarm setitimer getpid sendfile socket connect accept sendto
        recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair
        setsockopt getsockopt clone fork vfork execve exit wait4 kill uname semget semop semctl
        shmdt msgget msgsnd msgrcv msgctl fcntl flock fsync fdatasync truncate ftruncate
        getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink readlink chmod
        fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo times ptrace
        getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid
        setreuid setregid getgroups setgroups setresuid getresuid setresgid getresgid getpgid
        setfsuid setfsgid getsid capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo
        rt_sigsuspend sigaltstack utime mknod uselib personality ustat statfs fstatfs sysfs
        getpriority setpriority sched_setparam sched_getparam sched_setscheduler
        sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
        mlock munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl
        adjtimex setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot
        sethostname setdomainname iopl ioperm create_module init_module delete_module
        get_kernel_syms query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall
        security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
        listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex
        sched_setaffinity sched_getaffinity set_thread_area io_setup io_destroy io_getevents
        io_submit io_cancel get_thread_area lookup_dcookie epoll_create epoll_ctl_old
        epoll_wait_old remap_file_pages getdents64 set_tid_address restart_syscall semtimedop
        fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
        clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl
        tgkill utimes vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend
        mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key request_key keyctl
        ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages
        openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat
        readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list
        splice tee sync_file_range vmsplice move_pages utimensat epoll_pwait signalfd
        timerfd_create eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4
        eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo
        perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at
        open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv
        process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp
        getrandom memfd_create kexec_file_load bpf execveat userfaultfd membarrier mlock2
        copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents
        rseq 424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree
        move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2
        pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd
        landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret
        process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
        map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
        lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat
        listxattrat removexattrat open_tree_attr file_getattr file_setattr
    """,
    "i386": """
        0 restart_syscall exit fork read write open close waitpid creat link unlink execve chdir
        time mknod chmod lchown break oldstat lseek getpid mount umount setuid getuid stime
        ptrace alarm oldfstat pause utime stty gtty access nice ftime sync kill rename mkdir
        rmdir dup pipe times prof brk setgid getgid signal geteuid getegid acct umount2 lock
        ioctl fcntl mpx setpgid ulimit oldolduname umask chroot ustat dup2 getppid getpgrp
        setsid sigaction sgetmask ssetmask setreuid setregid sigsuspend sigpending sethostname
        setrlimit getrlimit getrusage gettimeofday settimeofday getgroups setgroups select
        symlink oldlstat readlink uselib swapon reboot readdir mmap munmap truncate ftruncate
        fchmod fchown getpriority setpriority profil statfs fstatfs ioperm socketcall syslog
        setitimer getitimer stat lstat fstat olduname iopl vhangup idle vm86old wait4 swapoff
        sysinfo ipc fsync sigreturn clone setdomainname uname modify_ldt adjtimex mprotect
        sigprocmask create_module init_module delete_module get_kernel_syms quotactl getpgid
        fchdir bdflush sysfs personality afs_syscall setfsuid setfsgid _llseek getdents
        _newselect flock msync readv writev getsid fdatasync _sysctl mlock munlock mlockall
        munlockall sched_setparam sched_getparam sched_setscheduler sched_getscheduler
        sched_yield sched_get_priority_max sched_get_priority_min sched_rr_get_interval
        nanosleep mremap setresuid getresuid vm86 query_module poll nfsservctl setresgid
        getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait
        rt_sigqueueinfo rt_sigsuspend pread64 pwrite64 chown getcwd capget capset sigaltstack
        sendfile getpmsg putpmsg vfork ugetrlimit mmap2 truncate64 ftruncate64 stat64 lstat64
        fstat64 lchown32 getuid32 getgid32 geteuid32 getegid32 setreuid32 setregid32 getgroups32
        setgroups32 fchown32 setresuid32 getresuid32 setresgid32 getresgid32 chown32 setuid32
        setgid32 setfsuid32 setfsgid32 pivot_root mincore madvise getdents64 fcntl64 224 gettid
        readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr
        flistxattr removexattr lremovexattr fremovexattr tkill sendfile64 futex
        sched_setaffinity sched_getaffinity set_thread_area get_thread_area io_setup io_destroy
        io_getevents io_submit io_cancel fadvise64 252 exit_group lookup_dcookie epoll_create
        epoll_ctl epoll_wait remap_file_pages set_tid_address timer_create timer_settime
        timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres
        clock_nanosleep statfs64 fstatfs64 tgkill utimes fadvise64_64 vserver mbind
        get_mempolicy set_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify
        mq_getsetattr kexec_load waitid 286 add_key request_key keyctl ioprio_set ioprio_get
        inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat
        fchownat futimesat fstatat64 unlinkat renameat linkat symlinkat readlinkat fchmodat
        faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice sync_file_range
        tee vmsplice move_pages getcpu epoll_pwait utimensat signalfd timerfd_create eventfd
        fallocate timerfd_settime timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2
        inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init
        fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs
        sendmmsg setns process_vm_readv process_vm_writev kcmp finit_module sched_setattr
        sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat socket socketpair
        bind connect listen accept4 getsockopt setsockopt getsockname getpeername sendto sendmsg
        recvfrom recvmsg shutdown userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
        pkey_mprotect pkey_alloc pkey_free statx arch_prctl io_pgetevents rseq 393 semget semctl
        shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl clock_gettime64 clock_settime64
        clock_adjtime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64
        timer_settime64 timerfd_gettime64 timerfd_settime64 utimensat_time64 pselect6_time64
        ppoll_time64 416 io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64
        mq_timedreceive_time64 semtimedop_time64 rt_sigtimedwait_time64 futex_time64
        sched_rr_get_interval_time64 pidfd_send_signal io_uring_setup io_uring_enter
        io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3
        close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
        quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self
        memfd_secret process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
        map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
        lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat
        listxattrat removexattrat open_tree_attr file_getattr file_setattr
    """,
    "arm64": """
        0 io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr
        getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr
        fremovexattr getcwd lookup_dcookie eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3
        fcntl inotify_init1 inotify_add_watch inotify_rm_watch ioctl ioprio_set ioprio_get flock
        mknodat mkdirat unlinkat symlinkat linkat renameat umount2 mount pivot_root nfsservctl
        statfs fstatfs truncate ftruncate fallocate faccessat chdir fchdir chroot fchmod
        fchmodat fchownat fchown openat close vhangup pipe2 quotactl getdents64 lseek read write
        readv writev pread64 pwrite64 preadv pwritev sendfile pselect6 ppoll signalfd4 vmsplice
        splice tee readlinkat newfstatat fstat sync fsync fdatasync sync_file_range
        timerfd_create timerfd_settime timerfd_gettime utimensat acct capget capset personality
        exit exit_group waitid set_tid_address unshare futex set_robust_list get_robust_list
        nanosleep getitimer setitimer kexec_load init_module delete_module timer_create
        timer_gettime timer_getoverrun timer_settime timer_delete clock_settime clock_gettime
        clock_getres clock_nanosleep syslog ptrace sched_setparam sched_setscheduler
        sched_getscheduler sched_getparam sched_setaffinity sched_getaffinity sched_yield
        sched_get_priority_max sched_get_priority_min sched_rr_get_interval restart_syscall kill
        tkill tgkill sigaltstack rt_sigsuspend rt_sigaction rt_sigprocmask rt_sigpending
        rt_sigtimedwait rt_sigqueueinfo rt_sigreturn setpriority getpriority reboot setregid
        setgid setreuid setuid setresuid getresuid setresgid getresgid setfsuid setfsgid times
        setpgid getpgid getsid setsid getgroups setgroups uname sethostname setdomainname
        getrlimit setrlimit getrusage umask prctl getcpu gettimeofday settimeofday adjtimex
        getpid getppid getuid geteuid getgid getegid gettid sysinfo mq_open mq_unlink
        mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd semget
        semctl semtimedop semop shmget shmctl shmat shmdt socket socketpair bind listen accept
        connect getsockname getpeername sendto recvfrom setsockopt getsockopt shutdown sendmsg
        recvmsg readahead brk munmap mremap add_key request_key keyctl clone execve mmap
        fadvise64 swapon swapoff mprotect msync mlock munlock mlockall munlockall mincore
        madvise remap_file_pages mbind get_mempolicy set_mempolicy migrate_pages move_pages
        rt_tgsigqueueinfo perf_event_open accept4 recvmmsg 260 wait4 prlimit64 fanotify_init
        fanotify_mark name_to_handle_at open_by_handle_at clock_adjtime syncfs setns sendmmsg
        process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr
        renameat2 seccomp getrandom memfd_create bpf execveat userfaultfd membarrier mlock2
        copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents
        rseq kexec_file_load 424 pidfd_send_signal io_uring_setup io_uring_enter
        io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3
        close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
        quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self
        memfd_secret process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
        map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
        lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat
        listxattrat removexattrat open_tree_attr file_getattr file_setattr
    """,
    "arm32": """
        0 restart_syscall exit fork read write open close 8 creat link unlink execve chdir 14
        mknod chmod lchown 19 lseek getpid mount 23 setuid getuid 26 ptrace 29 pause 33 access
        nice 36 sync kill rename mkdir rmdir dup pipe times 45 brk setgid getgid 49 geteuid
        getegid acct umount2 54 ioctl fcntl 57 setpgid 60 umask chroot ustat dup2 getppid
        getpgrp setsid sigaction 70 setreuid setregid sigsuspend sigpending sethostname
        setrlimit 77 getrusage gettimeofday settimeofday getgroups setgroups 83 symlink 85
        readlink uselib swapon reboot 91 munmap truncate ftruncate fchmod fchown getpriority
        setpriority 99 statfs fstatfs 103 syslog setitimer getitimer stat lstat fstat 111
        vhangup 114 wait4 swapoff sysinfo 118 fsync sigreturn clone setdomainname uname 124
        adjtimex mprotect sigprocmask 128 init_module delete_module 131 quotactl getpgid fchdir
        bdflush sysfs personality 138 setfsuid setfsgid _llseek getdents _newselect flock msync
        readv writev getsid fdatasync _sysctl mlock munlock mlockall munlockall sched_setparam
        sched_getparam sched_setscheduler sched_getscheduler sched_yield sched_get_priority_max
        sched_get_priority_min sched_rr_get_interval nanosleep mremap setresuid getresuid 168
        poll nfsservctl setresgid getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask
        rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend pread64 pwrite64 chown
        getcwd capget capset sigaltstack sendfile 190 vfork ugetrlimit mmap2 truncate64
        ftruncate64 stat64 lstat64 fstat64 lchown32 getuid32 getgid32 geteuid32 getegid32
        setreuid32 setregid32 getgroups32 setgroups32 fchown32 setresuid32 getresuid32
        setresgid32 getresgid32 chown32 setuid32 setgid32 setfsuid32 setfsgid32 getdents64
        pivot_root mincore madvise fcntl64 224 gettid readahead setxattr lsetxattr fsetxattr
        getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr
        fremovexattr tkill sendfile64 futex sched_setaffinity sched_getaffinity io_setup
        io_destroy io_getevents io_submit io_cancel exit_group lookup_dcookie epoll_create
        epoll_ctl epoll_wait remap_file_pages 256 set_tid_address timer_create timer_settime
        timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres
        clock_nanosleep statfs64 fstatfs64 tgkill utimes arm_fadvise64_64 pciconfig_iobase
        pciconfig_read pciconfig_write mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify
        mq_getsetattr waitid socket bind connect listen accept getsockname getpeername
        socketpair send sendto recv recvfrom shutdown setsockopt getsockopt sendmsg recvmsg
        semop semget semctl msgsnd msgrcv msgget msgctl shmat shmdt shmget shmctl add_key
        request_key keyctl semtimedop vserver ioprio_set ioprio_get inotify_init
        inotify_add_watch inotify_rm_watch mbind get_mempolicy set_mempolicy openat mkdirat
        mknodat fchownat futimesat fstatat64 unlinkat renameat linkat symlinkat readlinkat
        fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice
        sync_file_range2 tee vmsplice move_pages getcpu epoll_pwait kexec_load utimensat
        signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime signalfd4
        eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo
        perf_event_open recvmmsg accept4 fanotify_init fanotify_mark prlimit64 name_to_handle_at
        open_by_handle_at clock_adjtime syncfs sendmmsg setns process_vm_readv process_vm_writev
        kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create
        bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
        pkey_mprotect pkey_alloc pkey_free statx rseq io_pgetevents migrate_pages
        kexec_file_load 403 clock_gettime64 clock_settime64 clock_adjtime64 clock_getres_time64
        clock_nanosleep_time64 timer_gettime64 timer_settime64 timerfd_gettime64
        timerfd_settime64 utimensat_time64 pselect6_time64 ppoll_time64 416 io_pgetevents_time64
        recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64
        rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64 pidfd_send_signal
        io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig
        fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
        process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
        landlock_add_rule landlock_restrict_self 448 process_mrelease futex_waitv
        set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait
        futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
        mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr
        file_setattr
    """,
}

_PARAMETERS: Final = """\
accept: int fd, struct sockaddr *upeer_sockaddr, int *upeer_addrlen
accept4: int fd, struct sockaddr *upeer_sockaddr, int *upeer_addrlen, int flags
access: const char *filename, int mode
acct: const char *name
add_key: const char *_type, const char *_description, const void *_payload, size_t plen, \
key_serial_t ringid
adjtimex: struct timex *txc_p
alarm: unsigned int seconds
arch_prctl: int option, unsigned long arg2
bind: int fd, struct sockaddr *umyaddr, int addrlen
bpf: int cmd, union bpf_attr *uattr, unsigned int size
brk: unsigned long brk
cachestat: unsigned int fd, struct cachestat_range *cstat_range, struct cachestat *cstat, \
unsigned int flags
capget: cap_user_header_t header, cap_user_data_t dataptr
capset: cap_user_header_t header, const cap_user_data_t data
chdir: const char *filename
chmod: const char *filename, umode_t mode
chown: const char *filename, uid_t user, gid_t group
chroot: const char *filename
clock_adjtime: const clockid_t which_clock, struct timex *utx
clock_getres: const clockid_t which_clock, struct timespec *tp
clock_gettime: const clockid_t which_clock, struct timespec *tp
clock_nanosleep: const clockid_t which_clock, int flags, const struct timespec *rqtp, struct \
timespec *rmtp
clock_settime: const clockid_t which_clock, const struct timespec *tp
clone: unsigned long clone_flags, unsigned long newsp, int *parent_tidptr, int *child_tidptr, \
unsigned long tls
clone3: struct clone_args *uargs, size_t size
close: unsigned int fd
close_range: unsigned int fd, unsigned int max_fd, unsigned int flags
connect: int fd, struct sockaddr *uservaddr, int addrlen
copy_file_range: int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len, unsigned int \
flags
creat: const char *pathname, umode_t mode
delete_module: const char *name_user, unsigned int flags
dup: unsigned int fildes
dup2: unsigned int oldfd, unsigned int newfd
dup3: unsigned int oldfd, unsigned int newfd, int flags
epoll_create: int size
epoll_create1: int flags
epoll_ctl: int epfd, int op, int fd, struct epoll_event *event
epoll_pwait: int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t \
*sigmask, size_t sigsetsize
epoll_pwait2: int epfd, struct epoll_event *events, int maxevents, const struct __kernel_timespec \
*timeout, const sigset_t *sigmask, size_t sigsetsize
epoll_wait: int epfd, struct epoll_event *events, int maxevents, int timeout
eventfd: unsigned int count
eventfd2: unsigned int count, int flags
execve: const char *filename, const char *const *argv, const char *const *envp
execveat: int fd, const char *filename, const char *const *argv, const char *const *envp, int flags
exit: int error_code
exit_group: int error_code
faccessat: int dfd, const char *filename, int mode
faccessat2: int dfd, const char *filename, int mode, int flags
fadvise64: int fd, loff_t offset, size_t len, int advice
fallocate: int fd, int mode, loff_t offset, loff_t len
fanotify_init: unsigned int flags, unsigned int event_f_flags
fanotify_mark: int fanotify_fd, unsigned int flags, __u64 mask, int dfd, const char *pathname
fchdir: unsigned int fd
fchmod: unsigned int fd, umode_t mode
fchmodat: int dfd, const char *filename, umode_t mode
fchmodat2: int dfd, const char *filename, umode_t mode, unsigned int flags
fchown: unsigned int fd, uid_t user, gid_t group
fchownat: int dfd, const char *filename, uid_t user, gid_t group, int flag
fcntl: unsigned int fd, unsigned int cmd, unsigned long arg
fdatasync: unsigned int fd
fgetxattr: int fd, const char *name, void *value, size_t size
finit_module: int fd, const char *uargs, int flags
flistxattr: int fd, char *list, size_t size
flock: unsigned int fd, unsigned int cmd
fremovexattr: int fd, const char *name
fsconfig: int fd, unsigned int cmd, const char *_key, const void *_value, int aux
fsetxattr: int fd, const char *name, const void *value, size_t size, int flags
fsmount: int fs_fd, unsigned int flags, unsigned int attr_flags
fsopen: const char *_fs_name, unsigned int flags
fspick: int dfd, const char *path, unsigned int flags
fstat: unsigned int fd, struct __old_kernel_stat *statbuf
fstatfs: unsigned int fd, struct statfs *buf
fsync: unsigned int fd
ftruncate: unsigned int fd, unsigned long length
futex: u32 *uaddr, int op, u32 val, struct timespec *utime, u32 *uaddr2, u32 val3
futex_requeue: struct futex_waitv *waiters, unsigned int flags, int nr_wake, int nr_requeue
futex_wait: void *uaddr, unsigned long val, unsigned long mask, unsigned int flags, struct \
__kernel_timespec *timespec, clockid_t clockid
futex_waitv: struct futex_waitv *waiters, unsigned int nr_futexes, unsigned int flags, struct \
__kernel_timespec *timeout, clockid_t clockid
futex_wake: void *uaddr, unsigned long mask, int nr, unsigned int flags
futimesat: int dfd, const char *filename, struct timeval *utimes
get_mempolicy: int *policy, unsigned long *nmask, unsigned long maxnode, unsigned long addr, \
unsigned long flags
get_robust_list: int pid, struct robust_list_head * *head_ptr, size_t *len_ptr
get_thread_area: struct user_desc *u_info
getcpu: unsigned *cpup, unsigned *nodep, struct getcpu_cache *unused
getcwd: char *buf, unsigned long size
getdents: unsigned int fd, struct linux_dirent *dirent, unsigned int count
getdents64: unsigned int fd, struct linux_dirent64 *dirent, unsigned int count
getgroups: int gidsetsize, gid_t *grouplist
getitimer: int which, struct itimerval *value
getpeername: int fd, struct sockaddr *usockaddr, int *usockaddr_len
getpgid: pid_t pid
getpriority: int which, int who
getrandom: char *buf, size_t count, unsigned int flags
getresgid: gid_t *rgidp, gid_t *egidp, gid_t *sgidp
getresuid: uid_t *ruidp, uid_t *euidp, uid_t *suidp
getrlimit: unsigned int resource, struct rlimit *rlim
getrusage: int who, struct rusage *ru
getsid: pid_t pid
getsockname: int fd, struct sockaddr *usockaddr, int *usockaddr_len
getsockopt: int fd, int level, int optname, char *optval, int *optlen
gettimeofday: struct timeval *tv, struct timezone *tz
getxattr: const char *pathname, const char *name, void *value, size_t size
init_module: void *umod, unsigned long len, const char *uargs
inotify_add_watch: int fd, const char *pathname, u32 mask
inotify_init1: int flags
inotify_rm_watch: int fd, __s32 wd
io_cancel: aio_context_t ctx_id, struct iocb *iocb, struct io_event *result
io_destroy: aio_context_t ctx
io_getevents: aio_context_t ctx_id, long min_nr, long nr, struct io_event *events, struct \
timespec *timeout
io_pgetevents: aio_context_t ctx_id, long min_nr, long nr, struct io_event *events, struct \
timespec *timeout, const struct __aio_sigset *usig
io_setup: unsigned nr_events, aio_context_t *ctxp
io_submit: aio_context_t ctx_id, long nr, struct iocb * *iocbpp
io_uring_enter: unsigned int fd, u32 to_submit, u32 min_complete, u32 flags, const sigset_t *sig, \
size_t sigsz
io_uring_register: unsigned int fd, unsigned int opcode, void *arg, unsigned int nr_args
io_uring_setup: u32 entries, struct io_uring_params *params
ioctl: unsigned int fd, unsigned int cmd, unsigned long arg
ioperm: unsigned long from, unsigned long num, int turn_on
iopl: unsigned int level
ioprio_get: int which, int who
ioprio_set: int which, int who, int ioprio
kcmp: pid_t pid1, pid_t pid2, int type, unsigned long idx1, unsigned long idx2
kexec_load: unsigned long entry, unsigned long nr_segments, struct kexec_segment *segments, \
unsigned long flags
keyctl: int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5
kill: pid_t pid, int sig
lchown: const char *filename, uid_t user, gid_t group
lgetxattr: const char *pathname, const char *name, void *value, size_t size
link: const char *oldname, const char *newname
linkat: int olddfd, const char *oldname, int newdfd, const char *newname, int flags
listen: int fd, int backlog
listmount: const struct mnt_id_req *req, u64 *mnt_ids, size_t nr_mnt_ids, unsigned int flags
listxattr: const char *pathname, char *list, size_t size
llistxattr: const char *pathname, char *list, size_t size
lookup_dcookie: u64 cookie64, char *buf, size_t len
lremovexattr: const char *pathname, const char *name
lseek: unsigned int fd, off_t offset, unsigned int whence
lsetxattr: const char *pathname, const char *name, const void *value, size_t size, int flags
lsm_get_self_attr: unsigned int attr, struct lsm_ctx *ctx, u32 *size, u32 flags
lsm_list_modules: u64 *ids, u32 *size, u32 flags
lsm_set_self_attr: unsigned int attr, struct lsm_ctx *ctx, u32 size, u32 flags
lstat: const char *filename, struct __old_kernel_stat *statbuf
madvise: unsigned long start, size_t len_in, int behavior
map_shadow_stack: unsigned long addr, unsigned long size, unsigned int flags
mbind: unsigned long start, unsigned long len, unsigned long mode, const unsigned long *nmask, \
unsigned long maxnode, unsigned int flags
membarrier: int cmd, unsigned int flags, int cpu_id
memfd_create: const char *uname, unsigned int flags
memfd_secret: unsigned int flags
migrate_pages: pid_t pid, unsigned long maxnode, const unsigned long *old_nodes, const unsigned \
long *new_nodes
mincore: unsigned long start, size_t len, unsigned char *vec
mkdir: const char *pathname, umode_t mode
mkdirat: int dfd, const char *pathname, umode_t mode
mknod: const char *filename, umode_t mode, unsigned dev
mknodat: int dfd, const char *filename, umode_t mode, unsigned int dev
mlock: unsigned long start, size_t len
mlock2: unsigned long start, size_t len, int flags
mlockall: int flags
mmap: unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned \
long fd, unsigned long off
modify_ldt: int func, void *ptr, unsigned long bytecount
mount: char *dev_name, char *dir_name, char *type, unsigned long flags, void *data
mount_setattr: int dfd, const char *path, unsigned int flags, struct mount_attr *uattr, size_t usize
move_mount: int from_dfd, const char *from_pathname, int to_dfd, const char *to_pathname, \
unsigned int flags
move_pages: pid_t pid, unsigned long nr_pages, const void * *pages, const int *nodes, int \
*status, int flags
mprotect: unsigned long start, size_t len, unsigned long prot
mq_getsetattr: mqd_t mqdes, const struct mq_attr *u_mqstat, struct mq_attr *u_omqstat
mq_notify: mqd_t mqdes, const struct sigevent *u_notification
mq_open: const char *u_name, int oflag, umode_t mode, struct mq_attr *u_attr
mq_timedreceive: mqd_t mqdes, char *u_msg_ptr, size_t msg_len, unsigned int *u_msg_prio, const \
struct timespec *u_abs_timeout
mq_timedsend: mqd_t mqdes, const char *u_msg_ptr, size_t msg_len, unsigned int msg_prio, const \
struct timespec *u_abs_timeout
mq_unlink: const char *u_name
mremap: unsigned long addr, unsigned long old_len, unsigned long new_len, unsigned long flags, \
unsigned long new_addr
mseal: unsigned long start, size_t len, unsigned long flags
msgctl: int msqid, int cmd, struct msqid_ds *buf
msgget: key_t key, int msgflg
msgrcv: int msqid, struct msgbuf *msgp, size_t msgsz, long msgtyp, int msgflg
msgsnd: int msqid, struct msgbuf *msgp, size_t msgsz, int msgflg
msync: unsigned long start, size_t len, int flags
munlock: unsigned long start, size_t len
munmap: unsigned long addr, size_t len
name_to_handle_at: int dfd, const char *name, struct file_handle *handle, int *mnt_id, int flag
nanosleep: struct timespec *rqtp, struct timespec *rmtp
newfstatat: int dfd, const char *filename, struct stat *statbuf, int flag
open: const char *filename, int flags, umode_t mode
open_by_handle_at: int mountdirfd, struct file_handle *handle, int flags
open_tree: int dfd, const char *filename, unsigned flags
openat: int dfd, const char *filename, int flags, umode_t mode
openat2: int dfd, const char *filename, struct open_how *how, size_t usize
perf_event_open: struct perf_event_attr *attr_uptr, pid_t pid, int cpu, int group_fd, unsigned \
long flags
personality: unsigned int personality
pidfd_getfd: int pidfd, int fd, unsigned int flags
pidfd_open: pid_t pid, unsigned int flags
pidfd_send_signal: int pidfd, int sig, siginfo_t *info, unsigned int flags
pipe: int *fildes
pipe2: int *fildes, int flags
pivot_root: const char *new_root, const char *put_old
pkey_alloc: unsigned long flags, unsigned long init_val
pkey_free: int pkey
pkey_mprotect: unsigned long start, size_t len, unsigned long prot, int pkey
poll: struct pollfd *ufds, unsigned int nfds, int timeout_msecs
ppoll: struct pollfd *ufds, unsigned int nfds, struct timespec *tsp, const sigset_t *sigmask, \
size_t sigsetsize
prctl: int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5
pread64: unsigned int fd, char *buf, size_t count, loff_t pos
preadv: unsigned long fd, const struct iovec *vec, unsigned long vlen, unsigned long pos_l, \
unsigned long pos_h
preadv2: unsigned long fd, const struct iovec *vec, unsigned long vlen, unsigned long pos_l, \
unsigned long pos_h, rwf_t flags
prlimit64: pid_t pid, unsigned int resource, const struct rlimit64 *new_rlim, struct rlimit64 \
*old_rlim
process_madvise: int pidfd, const struct iovec *vec, size_t vlen, int behavior, unsigned int flags
process_mrelease: int pidfd, unsigned int flags
process_vm_readv: pid_t pid, const struct iovec *lvec, unsigned long liovcnt, const struct iovec \
*rvec, unsigned long riovcnt, unsigned long flags
process_vm_writev: pid_t pid, const struct iovec *lvec, unsigned long liovcnt, const struct iovec \
*rvec, unsigned long riovcnt, unsigned long flags
pselect6: int n, fd_set *inp, fd_set *outp, fd_set *exp, struct timespec *tsp, void *sig
ptrace: long request, long pid, unsigned long addr, unsigned long data
pwrite64: unsigned int fd, const char *buf, size_t count, loff_t pos
pwritev: unsigned long fd, const struct iovec *vec, unsigned long vlen, unsigned long pos_l, \
unsigned long pos_h
pwritev2: unsigned long fd, const struct iovec *vec, unsigned long vlen, unsigned long pos_l, \
unsigned long pos_h, rwf_t flags
quotactl: unsigned int cmd, const char *special, qid_t id, void *addr
quotactl_fd: unsigned int fd, unsigned int cmd, qid_t id, void *addr
read: unsigned int fd, char *buf, size_t count
readahead: int fd, loff_t offset, size_t count
readlink: const char *path, char *buf, int bufsiz
readlinkat: int dfd, const char *pathname, char *buf, int bufsiz
readv: unsigned long fd, const struct iovec *vec, unsigned long vlen
reboot: int magic1, int magic2, unsigned int cmd, void *arg
recvfrom: int fd, void *ubuf, size_t size, unsigned int flags, struct sockaddr *addr, int *addr_len
recvmmsg: int fd, struct mmsghdr *mmsg, unsigned int vlen, unsigned int flags, struct timespec \
*timeout
recvmsg: int fd, struct user_msghdr *msg, unsigned int flags
remap_file_pages: unsigned long start, unsigned long size, unsigned long prot, unsigned long \
pgoff, unsigned long flags
removexattr: const char *pathname, const char *name
rename: const char *oldname, const char *newname
renameat: int olddfd, const char *oldname, int newdfd, const char *newname
renameat2: int olddfd, const char *oldname, int newdfd, const char *newname, unsigned int flags
request_key: const char *_type, const char *_description, const char *_callout_info, key_serial_t \
destringid
rmdir: const char *pathname
rseq: struct rseq *rseq, u32 rseq_len, int flags, u32 sig
rt_sigaction: int sig, const struct sigaction *act, struct sigaction *oact, size_t sigsetsize
rt_sigpending: sigset_t *uset, size_t sigsetsize
rt_sigprocmask: int how, sigset_t *nset, sigset_t *oset, size_t sigsetsize
rt_sigqueueinfo: pid_t pid, int sig, siginfo_t *uinfo
rt_sigsuspend: sigset_t *unewset, size_t sigsetsize
rt_sigtimedwait: const sigset_t *uthese, siginfo_t *uinfo, const struct timespec *uts, size_t \
sigsetsize
rt_tgsigqueueinfo: pid_t tgid, pid_t pid, int sig, siginfo_t *uinfo
sched_get_priority_max: int policy
sched_get_priority_min: int policy
sched_getaffinity: pid_t pid, unsigned int len, unsigned long *user_mask_ptr
sched_getattr: pid_t pid, struct sched_attr *uattr, unsigned int usize, unsigned int flags
sched_getparam: pid_t pid, struct sched_param *param
sched_getscheduler: pid_t pid
sched_rr_get_interval: pid_t pid, struct timespec *interval
sched_setaffinity: pid_t pid, unsigned int len, unsigned long *user_mask_ptr
sched_setattr: pid_t pid, struct sched_attr *uattr, unsigned int flags
sched_setparam: pid_t pid, struct sched_param *param
sched_setscheduler: pid_t pid, int policy, struct sched_param *param
seccomp: unsigned int op, unsigned int flags, void *uargs
select: int n, fd_set *inp, fd_set *outp, fd_set *exp, struct timeval *tvp
semctl: int semid, int semnum, int cmd, unsigned long arg
semget: key_t key, int nsems, int semflg
semop: int semid, struct sembuf *tsops, unsigned nsops
semtimedop: int semid, struct sembuf *tsops, unsigned int nsops, const struct timespec *timeout
sendfile: int out_fd, int in_fd, off_t *offset, size_t count
sendmmsg: int fd, struct mmsghdr *mmsg, unsigned int vlen, unsigned int flags
sendmsg: int fd, struct user_msghdr *msg, unsigned int flags
sendto: int fd, void *buff, size_t len, unsigned int flags, struct sockaddr *addr, int addr_len
set_mempolicy: int mode, const unsigned long *nmask, unsigned long maxnode
set_mempolicy_home_node: unsigned long start, unsigned long len, unsigned long home_node, \
unsigned long flags
set_robust_list: struct robust_list_head *head, size_t len
set_thread_area: struct user_desc *u_info
set_tid_address: int *tidptr
setdomainname: char *name, int len
setfsgid: gid_t gid
setfsuid: uid_t uid
setgid: gid_t gid
setgroups: int gidsetsize, gid_t *grouplist
sethostname: char *name, int len
setitimer: int which, struct itimerval *value, struct itimerval *ovalue
setns: int fd, int flags
setpgid: pid_t pid, pid_t pgid
setpriority: int which, int who, int niceval
setregid: gid_t rgid, gid_t egid
setresgid: gid_t rgid, gid_t egid, gid_t sgid
setresuid: uid_t ruid, uid_t euid, uid_t suid
setreuid: uid_t ruid, uid_t euid
setrlimit: unsigned int resource, struct rlimit *rlim
setsockopt: int fd, int level, int optname, char *optval, int optlen
settimeofday: struct timeval *tv, struct timezone *tz
setuid: uid_t uid
setxattr: const char *pathname, const char *name, const void *value, size_t size, int flags
shmat: int shmid, char *shmaddr, int shmflg
shmctl: int shmid, int cmd, struct shmid_ds *buf
shmdt: char *shmaddr
shmget: key_t key, size_t size, int shmflg
shutdown: int fd, int how
sigaltstack: const stack_t *uss, stack_t *uoss
signalfd: int ufd, sigset_t *user_mask, size_t sizemask
signalfd4: int ufd, sigset_t *user_mask, size_t sizemask, int flags
socket: int family, int type, int protocol
socketpair: int family, int type, int protocol, int *usockvec
splice: int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len, unsigned int flags
stat: const char *filename, struct __old_kernel_stat *statbuf
statfs: const char *pathname, struct statfs *buf
statmount: const struct mnt_id_req *req, struct statmount *buf, size_t bufsize, unsigned int flags
statx: int dfd, const char *filename, unsigned flags, unsigned int mask, struct statx *buffer
swapoff: const char *specialfile
swapon: const char *specialfile, int swap_flags
symlink: const char *oldname, const char *newname
symlinkat: const char *oldname, int newdfd, const char *newname
sync_file_range: int fd, loff_t offset, loff_t nbytes, unsigned int flags
syncfs: int fd
sysfs: int option, unsigned long arg1, unsigned long arg2
sysinfo: struct sysinfo *info
syslog: int type, char *buf, int len
tee: int fdin, int fdout, size_t len, unsigned int flags
tgkill: pid_t tgid, pid_t pid, int sig
time: time_t *tloc
timer_create: const clockid_t which_clock, struct sigevent *timer_event_spec, timer_t \
*created_timer_id
timer_delete: timer_t timer_id
timer_getoverrun: timer_t timer_id
timer_gettime: timer_t timer_id, struct itimerspec *setting
timer_settime: timer_t timer_id, int flags, const struct itimerspec *new_setting, struct \
itimerspec *old_setting
timerfd_create: int clockid, int flags
timerfd_gettime: int ufd, struct itimerspec *otmr
timerfd_settime: int ufd, int flags, const struct itimerspec *utmr, struct itimerspec *otmr
times: struct tms *tbuf
tkill: pid_t pid, int sig
truncate: const char *path, long length
umask: int mask
uname: struct old_utsname *name
unlink: const char *pathname
unlinkat: int dfd, const char *pathname, int flag
unshare: unsigned long unshare_flags
uselib: const char *library
ustat: unsigned dev, struct ustat *ubuf
utime: char *filename, struct utimbuf *times
utimensat: int dfd, const char *filename, struct timespec *utimes, int flags
utimes: char *filename, struct timeval *utimes
vmsplice: int fd, const struct iovec *uiov, unsigned long nr_segs, unsigned int flags
wait4: pid_t upid, int *stat_addr, int options, struct rusage *ru
waitid: int which, pid_t upid, struct siginfo *infop, int options, struct rusage *ru
write: unsigned int fd, const char *buf, size_t count
writev: unsigned long fd, const struct iovec *vec, unsigned long vlen
"""
