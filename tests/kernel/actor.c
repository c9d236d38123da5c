/* actor: does one thing to the kernel, for a test that watches; argv[1] says which.
 *
 * It uses system calls rather than library calls where these would do more than is asked, and
 * exits with 120 when one of them fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (256 << 10)

static char **arguments; /* after the verb */
static char *const empty[] = { NULL };
extern char **environ;

static void fail(const char *what)
{
	fprintf(stderr, "actor: %s: %s\n", what, strerror(errno));
	_exit(120);
}

static long check(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static int number(int index)
{
	return arguments[index] ? atoi(arguments[index]) : 0;
}

static void say(const char *word, long value)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %ld\n", word, value);

	if (write(1, line, length) != length)
		fail("write");
}

static pid_t raw_fork(unsigned long flags)
{
	return check(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0), "clone");
}

/* A thread without the thread library: nothing of it runs at its end. */
static pid_t thread(int (*body)(void *), void *argument)
{
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED)
		fail("mmap");
	return check(clone(body, stack + STACK, flags, argument), "clone thread");
}

/* Wait until /proc shows a thread of ours as ended, or not at all. */
static void await_end(pid_t tid)
{
	char path[64], text[512];
	char *state;
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", getpid(), tid);
	for (;;) {
		file = open(path, O_RDONLY);
		if (file < 0)
			return;
		length = read(file, text, sizeof(text) - 1);
		close(file);
		if (length <= 0)
			return;
		text[length] = 0;
		state = strrchr(text, ')');
		if (state && (state[2] == 'Z' || state[2] == 'X'))
			return;
		sched_yield();
	}
}

static int do_exit_thread(void *code)
{
	syscall(SYS_exit, (long)code);
	return 0;
}

static int after_leader_exit_thread(void *code)
{
	await_end(getpid());
	syscall(SYS_exit, (long)code);
	return 0;
}

static int after_leader_exit_group(void *code)
{
	await_end(getpid());
	syscall(SYS_exit_group, (long)code);
	return 0;
}

static int after_leader_fork(void *code)
{
	pid_t child;
	int status;

	await_end(getpid());
	child = raw_fork(0);
	if (!child)
		_exit((long)code);
	check(syscall(SYS_wait4, child, &status, __WALL, NULL), "wait4");
	syscall(SYS_exit, 0L);
	return 0;
}

static int after_leader_exec(void *unused)
{
	(void)unused;
	await_end(getpid());
	check(execve(arguments[0], arguments, environ), "execve");
	return 0;
}

static int exec_in_thread(void *unused)
{
	(void)unused;
	check(execve(arguments[0], arguments, environ), "execve");
	return 0;
}

static void leave(void)
{
	syscall(SYS_exit, (long)number(0)); /* this thread alone */
}

/* exit CODE */
static void verb_exit(void)
{
	_exit(number(0));
}

/* ids: the user and group ids it has */
static void verb_ids(void)
{
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;

	check(getresuid(&uid, &euid, &suid), "getresuid");
	check(getresgid(&gid, &egid, &sgid), "getresgid");
	say("uid", uid);
	say("euid", euid);
	say("suid", suid);
	say("gid", gid);
	say("egid", egid);
	say("sgid", sgid);
	_exit(0);
}

/* pause: until killed */
static void verb_pause(void)
{
	say("ready", getpid());
	for (;;)
		pause();
}

/* signal NUMBER: to itself */
static void verb_signal(void)
{
	signal(number(0), SIG_DFL);
	check(kill(getpid(), number(0)), "kill");
	for (;;)
		pause();
}

/* threads COUNT CODE: some threads that end, then the process does */
static void verb_threads(void)
{
	pid_t tid;
	int i;

	for (i = 0; i < number(0); i++) {
		tid = thread(do_exit_thread, NULL);
		say("thread", tid);
		await_end(tid);
	}
	_exit(number(1));
}

static int do_spin(void *unused)
{
	(void)unused;
	for (;;)
		sched_yield();
	return 0;
}

/* crowd COUNT CODE: exits while that many threads run */
static void verb_crowd(void)
{
	int i;

	for (i = 0; i < number(0); i++)
		thread(do_spin, NULL);
	_exit(number(1));
}

/* leader-first CODE OTHER: the main thread ends with CODE, then the last with OTHER */
static void verb_leader_first(void)
{
	thread(after_leader_exit_thread, (void *)(long)number(1));
	leave();
}

/* leader-first-group CODE OTHER: the same, but the last ends the group */
static void verb_leader_first_group(void)
{
	thread(after_leader_exit_group, (void *)(long)number(1));
	leave();
}

/* leader-first-fork CODE OTHER: the last thread forks a child that exits with OTHER */
static void verb_leader_first_fork(void)
{
	thread(after_leader_fork, (void *)(long)number(1));
	leave();
}

/* thread-exec PROGRAM ...: another thread execs while the main one waits */
static void verb_thread_exec(void)
{
	say("thread", thread(exec_in_thread, NULL));
	for (;;)
		pause();
}

/* leaderless-exec PROGRAM ...: another thread execs when the main one has ended */
static void verb_leaderless_exec(void)
{
	say("thread", thread(after_leader_exec, NULL));
	syscall(SYS_exit, 0L);
}

/* fork-thread-exec PROGRAM ...: the same as thread-exec in a child that only forked */
static void verb_fork_thread_exec(void)
{
	pid_t child = raw_fork(0);
	int status;

	if (!child)
		verb_thread_exec();
	say("child", child);
	check(waitpid(child, &status, 0), "waitpid");
	_exit(WEXITSTATUS(status));
}

/* fork-leaderless-exec PROGRAM ... */
static void verb_fork_leaderless_exec(void)
{
	pid_t child = raw_fork(0);
	int status;

	if (!child)
		verb_leaderless_exec();
	say("child", child);
	check(waitpid(child, &status, 0), "waitpid");
	_exit(WEXITSTATUS(status));
}

/* fork CODE: a child that never execs exits with CODE */
static void verb_fork(void)
{
	pid_t child = raw_fork(0);
	int status;

	if (!child)
		_exit(number(0));
	say("child", child);
	check(waitpid(child, &status, 0), "waitpid");
	_exit(WEXITSTATUS(status));
}

/* vfork PROGRAM ... */
static void verb_vfork(void)
{
	pid_t child = vfork();
	int status;

	if (!child) {
		execve(arguments[0], arguments, environ);
		_exit(120);
	}
	say("child", check(child, "vfork"));
	check(waitpid(child, &status, 0), "waitpid");
	_exit(WEXITSTATUS(status));
}

/* chain DEPTH PROGRAM ...: forks in forks, of which only the last execs */
static void verb_chain(void)
{
	pid_t child;
	int status, depth = number(0);

	while (depth-- > 0) {
		child = raw_fork(0);
		if (child) {
			say("child", child);
			check(waitpid(child, &status, 0), "waitpid");
			_exit(WEXITSTATUS(status));
		}
	}
	check(execve(arguments[1], arguments + 1, environ), "execve");
}

/* clone-parent CODE: a child of our parent, which waits for both */
static void verb_clone_parent(void)
{
	pid_t child = raw_fork(CLONE_PARENT);

	if (!child)
		_exit(number(0));
	say("child", child);
	_exit(0);
}

/* orphan PROGRAM ...: a grandchild execs when its parent has ended and another took it over */
static void verb_orphan(void)
{
	pid_t middle = raw_fork(0);

	if (middle) {
		check(waitpid(middle, NULL, 0), "waitpid");
		_exit(0);
	}
	middle = getpid();
	if (raw_fork(0))
		_exit(0);
	while (getppid() == middle)
		sched_yield();
	say("middle", middle);
	say("orphan", getpid());
	say("parent", getppid());
	check(execve(arguments[0], arguments, environ), "execve");
}

/* silent: a child that does nothing until our standard input ends; we end at once */
static void verb_silent(void)
{
	pid_t child = raw_fork(0);
	char byte;

	if (child) {
		say("child", child);
		_exit(0);
	}
	while (check(read(0, &byte, 1), "read"))
		;
	_exit(5);
}

/* memfd PATH ARGUMENT ...: PATH is copied to a memfd, which is run */
static void verb_memfd(void)
{
	int from = check(open(arguments[0], O_RDONLY | O_CLOEXEC), "open");
	int to = check(memfd_create("actor", MFD_CLOEXEC), "memfd_create");
	char block[65536];
	ssize_t length;

	while ((length = check(read(from, block, sizeof(block)), "read")))
		if (write(to, block, length) != length)
			fail("write");
	check(syscall(SYS_execveat, to, "", arguments, environ, AT_EMPTY_PATH), "execveat");
}

/* unlinked PATH ARGUMENT ...: PATH is opened, removed, run */
static void verb_unlinked(void)
{
	int file = check(open(arguments[0], O_PATH | O_CLOEXEC), "open");

	check(unlink(arguments[0]), "unlink");
	check(syscall(SYS_execveat, file, "", arguments, environ, AT_EMPTY_PATH), "execveat");
}

/* no-argv PROGRAM: without any argument, not even its name */
static void verb_no_argv(void)
{
	check(execve(arguments[0], empty, empty), "execve");
}

/* exec PROGRAM ... */
static void verb_exec(void)
{
	check(execve(arguments[0], arguments, environ), "execve");
}

static const struct {
	const char *name;
	void (*run)(void);
} verbs[] = {
	{ "chain", verb_chain },
	{ "clone-parent", verb_clone_parent },
	{ "crowd", verb_crowd },
	{ "exec", verb_exec },
	{ "exit", verb_exit },
	{ "fork", verb_fork },
	{ "fork-leaderless-exec", verb_fork_leaderless_exec },
	{ "fork-thread-exec", verb_fork_thread_exec },
	{ "ids", verb_ids },
	{ "leader-first", verb_leader_first },
	{ "leader-first-fork", verb_leader_first_fork },
	{ "leader-first-group", verb_leader_first_group },
	{ "leaderless-exec", verb_leaderless_exec },
	{ "memfd", verb_memfd },
	{ "no-argv", verb_no_argv },
	{ "orphan", verb_orphan },
	{ "pause", verb_pause },
	{ "signal", verb_signal },
	{ "silent", verb_silent },
	{ "thread-exec", verb_thread_exec },
	{ "threads", verb_threads },
	{ "unlinked", verb_unlinked },
	{ "vfork", verb_vfork },
};

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc < 2)
		return 0; /* what a test runs when it wants nothing done */
	arguments = argv + 2;
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[1], verbs[i].name))
			verbs[i].run();
	fprintf(stderr, "actor: no verb %s\n", argv[1]);
	return 121;
}
