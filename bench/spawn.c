/* spawn COUNT WIDTH PROGRAM: run PROGRAM COUNT times, WIDTH at once; print seconds of wall time. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv)
{
	int count = argc > 3 ? atoi(argv[1]) : 0, width = argc > 3 ? atoi(argv[2]) : 0;
	int running = 0, started = 0;
	struct timespec from, to;
	char *args[] = { argc > 3 ? argv[3] : NULL, NULL };
	pid_t pid;

	if (count < 1 || width < 1) {
		fprintf(stderr, "usage: spawn COUNT WIDTH PROGRAM\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (started < count || running) {
		if (started < count && running < width) {
			if (posix_spawn(&pid, args[0], NULL, NULL, args, environ)) {
				perror("spawn");
				return 1;
			}
			started++;
			running++;
		} else if (wait(NULL) > 0) {
			running--;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.6f\n", (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9);
	return 0;
}
